"""Hooks of Megatron-core's alltoall dispatcher.

token_dispatch and token_combine say what the next all-to-all of this thread is. _AllToAll.forward announces it, and
keeps that in its autograd context. _AllToAll.backward says the mirrored role and does what Megatron wrote, which ends
in _AllToAll.forward again, on the same thread.
"""
from ..common import hook, start
from ..common.api import COMBINE, COPIES, DISPATCH, OPAQUE, SUM
from ..common.calls import Expect, Way
from ..common.rows import total
from . import maps, versions

MAPPINGS, UTILS, DISPATCHER = ("megatron.core.tensor_parallel.mappings", "megatron.core.transformer.moe.moe_utils",
                               "megatron.core.transformer.moe.token_dispatcher")
# By role. Probabilities multiply inside the experts, so that combine adds rows unweighted and its gradients are copies;
# the dispatch is an index_select, whose gradient adds unweighted, too.
FLAGS = (0, 0, SUM, COPIES, SUM)
ON_THE_WAY = ("dispatch_preprocess", "token_dispatch", "dispatch_postprocess", "combine_preprocess", "token_combine",
              "combine_postprocess")
CALLED = ("all_to_all", "permute", "unpermute")


class Hooks:
    def __init__(self, announcer, modules):
        self.announcer, self.thread = announcer, announcer.thread
        self.module = modules[DISPATCHER]
        self.base = self.module.MoEAlltoAllTokenDispatcher
        self.called = [modules[MAPPINGS].all_to_all, modules[UTILS].permute, modules[UTILS].unpermute]
        self.kinds = {}  # class of a dispatcher: whether it is Megatron's own on the way
        self.layers = 0
        function = modules[MAPPINGS]._AllToAll
        hook.around(function, "forward", self.forward)
        hook.around(function, "backward", self.backward)
        hook.around(self.base, "token_dispatch", self.token_dispatch)
        hook.around(self.base, "token_combine", self.token_combine)

    def ours(self, dispatcher):
        """Whether these are the functions that the table of versions was made of, and there is somebody to talk to."""
        kind = type(dispatcher)
        known = self.kinds.get(kind)
        if known is None:
            known = all(getattr(kind, name) is getattr(self.base, name) for name in ON_THE_WAY)
            self.kinds[kind] = known
        module = self.module
        return known and dispatcher.ep_size > 1 and [module.all_to_all, module.permute, module.unpermute] == self.called

    def layer_of(self, dispatcher):
        """The layer's id. Layers are numbered as they come to their first dispatch: alike on the ranks of a group."""
        number = dispatcher.__dict__.get("hiermoe_layer")
        if number is None:
            number = self.announcer.api.layer_open("megatron.moe.%d" % self.layers)
            self.layers += 1
            dispatcher.hiermoe_layer = number
        return number

    def token_dispatch(self, dispatcher, *args, **kwargs):
        if not self.ours(dispatcher):
            return None
        way = Way(self.announcer, self.layer_of(dispatcher), FLAGS)
        dispatcher.hiermoe_way = way, dispatcher.reversed_local_input_permutation_mapping
        return Expect(self.thread, dispatcher.ep_group, (DISPATCH,), way,
                      lambda rows: maps.of_dispatcher(dispatcher, rows))

    def token_combine(self, dispatcher, *args, **kwargs):
        way, mapped = dispatcher.__dict__.pop("hiermoe_way", (None, None))
        if way is None:
            return None
        # Megatron itself puts rows back by this attribute: while it is the dispatch's own, so is the way.
        same = mapped is dispatcher.reversed_local_input_permutation_mapping
        return Expect(self.thread, dispatcher.ep_group, (COMBINE,) if same else (), way)

    def forward(self, ctx, group, rows, output_splits=None, input_splits=None, *rest, **kwargs):
        expect = self.thread.expect
        if expect is None or group is not expect.group:
            return None
        if rows.dim() != 2:  # the probabilities
            ctx.hiermoe = OPAQUE, None
            return self.announcer.announce(OPAQUE, None, rows)
        call = self.announcer.take(rows, None if output_splits is None else lambda: total(output_splits))
        ctx.hiermoe = call.role, call.way
        return call

    def backward(self, ctx, *gradients):
        remembered = getattr(ctx, "hiermoe", None)
        return None if remembered is None else self.announcer.back(ctx.group, remembered)


def install(modules):
    announcer = start.begin("megatron-core", versions.TABLE, modules)
    if announcer is not None:
        Hooks(announcer, modules)
