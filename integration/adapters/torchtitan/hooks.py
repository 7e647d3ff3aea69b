"""Hooks of torchtitan's MoE layer and of its expert parallelism.

Scores weight tokens either before the dispatch ("pre": its rows differ, combine is a plain sum) or after the combine
("post": its rows are copies, whose gradients are added unweighted).

The all-to-alls are functional collectives whose backward pass is torch's own C++. It is left in its place: hooks of its
autograd node, which run just before and after it on the same thread, announce and settle it.
"""
from ..common import hook, say, start
from ..common.api import COMBINE, COPIES, DISPATCH, OPAQUE, ROWS_DIFFER, SUM
from ..common.calls import Expect, Way
from ..common.rows import total
from . import versions

MOE, PARALLEL = "torchtitan.models.moe.moe", "torchtitan.distributed.expert_parallel"
POST, PRE = (0, 0, 0, 0, SUM), (0, ROWS_DIFFER, SUM, COPIES, 0)  # by role


class Layer:
    """A forward pass of one MoE layer. order: of its rows, each a token's number times top_k and more."""
    __slots__ = ("thread", "before", "moe", "tokens", "order")

    def __init__(self, thread, moe, tokens):
        self.thread, self.before = thread, getattr(thread, "layer", None)
        self.moe, self.tokens, self.order = moe, tokens, None
        thread.layer = self

    def end(self, result):
        self.thread.layer = self.before


class Order:
    """Catches what a layer's reorderer gives back, after the hooks that make its indices global."""
    __slots__ = ("layer",)

    def __init__(self, layer):
        self.layer = layer

    def end(self, result):
        if result is not None:
            self.layer.order = result[1]


class Forward:
    """An all-to-all with a backward pass: settles, then hooks torch's node of that."""
    __slots__ = ("hooks", "call", "group")

    def __init__(self, hooks, call, group):
        self.hooks, self.call, self.group = hooks, call, group

    def end(self, result):
        self.call.end(result)
        node = getattr(result, "grad_fn", None)  # of the wrapping in an AsyncCollectiveTensor
        if node is not None:
            Backward(self.hooks, self.group, (self.call.role, self.call.way)).watch(node.next_functions[0][0])


class Backward:
    """The backward pass of one call."""
    __slots__ = ("hooks", "group", "remembered", "call")

    def __init__(self, hooks, group, remembered):
        self.hooks, self.group, self.remembered, self.call = hooks, group, remembered, None

    def watch(self, node):
        node.register_prehook(self.before)
        node.register_hook(self.after)

    def before(self, gradients):
        try:
            note = self.hooks.announcer.back(self.group, self.remembered)
            try:
                self.call = self.hooks.announcer.take(gradients[0])
            finally:
                note.end()
        except Exception as error:
            say.trouble("the hook before torch's all-to-all backward", error)

    def after(self, gradients, given):
        call, self.call = self.call, None
        try:
            if call is not None:
                call.end()
        except Exception as error:
            say.trouble("the hook after torch's all-to-all backward", error)


class Hooks:
    def __init__(self, announcer, modules):
        self.announcer, self.thread = announcer, announcer.thread
        self.layers = 0
        moe, parallel = modules[MOE], modules[PARALLEL]
        self.plain = moe.MoE
        hook.around(moe.MoE, "forward", self.layer)
        hook.around(moe.TokenReorderer, "__call__", self.reorder)
        hook.around(parallel.ExpertParallel, "_token_dispatch", self.token_dispatch)
        hook.around(parallel.ExpertParallel, "_token_combine", self.token_combine)
        hook.around(parallel, "all_to_all_single", self.counts)
        hook.around(parallel, "all_to_all_single_autograd", self.call)

    def layer_of(self, experts):
        """The layer's id. Layers are numbered as they come to their first dispatch: alike on the ranks of a group."""
        number = experts.__dict__.get("hiermoe_layer")
        if number is None:
            number = self.announcer.api.layer_open("torchtitan.moe.%d" % self.layers)
            experts.__dict__["hiermoe_layer"] = number
            self.layers += 1
        return number

    def layer(self, moe, x, *more, **kwargs):
        return Layer(self.thread, moe, x.shape[0] * x.shape[1])

    def reorder(self, reorderer, *inputs, **kwargs):
        layer = getattr(self.thread, "layer", None)
        return Order(layer) if layer is not None and layer.moe.reorderer is reorderer else None

    def token_dispatch(self, parallel, experts, inputs, mesh, *more, **kwargs):
        layer = getattr(self.thread, "layer", None)
        if layer is None or layer.moe.experts is not experts or mesh.ndim != 1 or mesh.size() <= 1:
            return None
        way = Way(self.announcer, self.layer_of(experts), PRE if layer.moe.score_before_experts else POST)
        experts.__dict__["hiermoe_way"] = way
        return Expect(self.thread, mesh.get_group(), (DISPATCH,), way, lambda rows: self.mapped(layer, rows))

    def token_combine(self, parallel, experts, rows, mesh, *more, **kwargs):
        way = experts.__dict__.pop("hiermoe_way", None)
        return None if way is None else Expect(self.thread, mesh.get_group(), (COMBINE,), way)

    def mapped(self, layer, rows):
        """(token of each row, tokens)."""
        order = layer.order
        if order is None or order.shape[0] != rows.shape[0]:
            return None, 0
        return order // layer.moe.router.top_k, layer.tokens

    def counts(self, rows, *splits, **kwargs):
        """The exchange of counts, whose result nobody can go back through."""
        return None if self.thread.expect is None else self.announcer.announce(OPAQUE, None, rows)

    def call(self, rows, output_splits, input_splits, group, *more, **kwargs):
        expect = self.thread.expect
        if expect is None:
            return None
        received = None if output_splits is None else lambda: total(output_splits)
        return Forward(self, self.announcer.take(rows, received), group)


def install(modules):
    announcer = start.begin("torchtitan", versions.TABLE, modules)
    if announcer is not None:
        Hooks(announcer, modules)
