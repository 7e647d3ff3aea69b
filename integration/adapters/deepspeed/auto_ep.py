"""Hooks of DeepSpeed's AutoEP layers, whose experts were split over ranks by DeepSpeed itself.

Scores weight tokens either before the dispatch ("pre": its rows differ, combine is a plain sum) or after the combine
("post": its rows are copies, whose gradients are added unweighted).
"""
import torch

from ..common import hook, start
from ..common.api import COMBINE, COPIES, DISPATCH, OPAQUE, ROWS_DIFFER, SUM
from ..common.calls import Expect, Way
from ..common.rows import total
from . import versions

AUTO_EP, ROUTER = "deepspeed.module_inject.auto_ep_layer", "deepspeed.moe.ep_router"
FLAGS = {"post": (0, 0, 0, 0, SUM), "pre": (0, ROWS_DIFFER, SUM, COPIES, 0)}  # by role
UNKNOWN = (0, 0, 0, 0, 0)
COUNTS = ("_split_plan_from_expert_counts", "_start_async_split_plan_from_expert_counts")
CALLED = ("apply_scores_before_experts_if_enabled", "combine_from_routed")


class Layer(Expect):
    """A forward pass of one layer. choice: the experts of each token, [tokens, top_k]."""
    __slots__ = ("layer", "choice")


class Choice:
    """Catches what a router gives back."""
    __slots__ = ("expect",)

    def __init__(self, expect):
        self.expect = expect

    def end(self, result):
        if result is not None:
            self.expect.choice = result[1]


class Hooks:
    def __init__(self, announcer, modules):
        self.announcer, self.thread = announcer, announcer.thread
        self.module = modules[AUTO_EP]
        self.layers = 0
        self.called = [getattr(self.module, name) for name in CALLED]
        for name in COUNTS:
            hook.around(self.module, name, self.counts)
        hook.around(self.module._AllToAllV, "forward", self.forward)
        hook.around(self.module._AllToAllV, "backward", self.backward)
        hook.around(self.module.AutoEPMoELayer, "_forward", self.layer)
        hook.around(modules[ROUTER].TokenChoiceTopKRouter, "forward", self.route)

    def layer_of(self, layer):
        """The layer's id. Layers are numbered as they come to their first dispatch: alike on the ranks of a group."""
        number = layer.__dict__.get("hiermoe_layer")
        if number is None:
            number = self.announcer.api.layer_open("deepspeed.auto_ep.%d" % self.layers)
            layer.__dict__["hiermoe_layer"] = number
            self.layers += 1
        return number

    def layer(self, layer, *inputs, **kwargs):
        if layer.ep_size <= 1 or layer.comm_backend != self.module.COMM_BACKEND:
            return None
        if [getattr(self.module, name) for name in CALLED] != self.called:
            return None
        folded = layer.folding_group_handles is not None and layer.folding_group_handles.spec.tp_size > 1
        plain = not folded and (layer.score_apply == "post" or layer.combine_impl != "fused_weighted_sum")
        way = Way(self.announcer, self.layer_of(layer), FLAGS[layer.score_apply] if plain else UNKNOWN)
        note = Layer(self.thread, layer.ep_group, (DISPATCH, COMBINE), way, None if folded else self.mapped)
        note.layer, note.choice = layer, None
        return note

    def route(self, router, *inputs, **kwargs):
        expect = self.thread.expect
        return Choice(expect) if isinstance(expect, Layer) and expect.layer.router is router else None

    def mapped(self, rows):
        """(token of each row, tokens): rows lie by expert, those of one expert by token."""
        choice = self.thread.expect.choice
        if choice is None or choice.numel() != rows.shape[0]:
            return None, 0
        order = torch.argsort(choice.reshape(-1), stable=True)
        return order.div_(choice.shape[1], rounding_mode="floor"), choice.shape[0]

    def counts(self, counts, *more, **kwargs):
        return None if self.thread.expect is None else self.announcer.announce(OPAQUE, None, counts)

    def forward(self, ctx, group, rows, input_splits, output_splits):
        expect = self.thread.expect
        if expect is None or group is not expect.group:
            return None
        call = self.announcer.take(rows, lambda: total(output_splits))
        ctx.hiermoe = call.role, call.way
        return call

    def backward(self, ctx, gradient):
        """It calls the all-to-all itself."""
        remembered = getattr(ctx, "hiermoe", None)
        if remembered is None:
            return None
        note = self.announcer.back(ctx.group, remembered)
        try:
            return self.announcer.take(gradient)
        finally:
            note.end()


def install(modules):
    announcer = start.begin("deepspeed-auto-ep", versions.TABLE, modules)
    if announcer is not None:
        Hooks(announcer, modules)
