"""Hooks of DeepSpeed's MOELayer (deepspeed.moe.layer.MoE).

Experts have places of fixed capacity, [experts, capacity, hidden]; an empty place is a row of zeros, a filler, which
nobody reads when it comes back. Gates weight rows where tokens live: a combine is no plain sum, but the gradients of
the dispatch are added unweighted.
"""
import torch

from ..common import hook, start
from ..common.api import COMBINE, DISPATCH, FILLER_UNREAD, SUM
from ..common.calls import Expect, Way
from . import versions

MOE = "deepspeed.moe.sharded_moe"
FLAGS = (0, 0, FILLER_UNREAD, 0, SUM | FILLER_UNREAD)  # by role
UNKNOWN = (0, 0, 0, 0, 0)  # the same, where another library places the rows (Tutel) or ranks share them
CALLED = ("_route_slots", "_sparse_encode", "_sparse_decode")


class Layer(Expect):
    """A forward pass of one layer: a dispatch, then a combine. slots: by route, the place of each token."""
    __slots__ = ("slots", "tokens")


class Hooks:
    def __init__(self, announcer, modules):
        self.announcer, self.thread = announcer, announcer.thread
        self.module = modules[MOE]
        self.layers = 0
        self.token_of = {}
        hook.around(self.module, "_sparse_encode", self.encode)
        self.called = [getattr(self.module, name) for name in CALLED]
        hook.around(self.module._AllToAll, "forward", self.forward)
        hook.around(self.module._AllToAll, "backward", self.backward)
        hook.around(self.module.MOELayer, "forward", self.layer)

    def layer_of(self, layer):
        """The layer's id. Layers are numbered as they come to their first dispatch: alike on the ranks of a group."""
        number = layer.__dict__.get("hiermoe_layer")
        if number is None:
            number = layer.__dict__["hiermoe_layer"] = self.announcer.api.layer_open("deepspeed.moe.%d" % self.layers)
            self.layers += 1
        return number

    def layer(self, layer, *inputs, **kwargs):
        if layer.ep_size <= 1 or [getattr(self.module, name) for name in CALLED] != self.called:
            return None
        shared = self.module.bwc_tensor_model_parallel_world_size(self.module.groups.mpu) > 1
        way = Way(self.announcer, self.layer_of(layer), UNKNOWN if layer.use_tutel or shared else FLAGS)
        note = Layer(self.thread, layer.ep_group, (DISPATCH, COMBINE), way, None if shared else self.mapped)
        note.slots, note.tokens = None, 0
        return note

    def encode(self, tokens, slots, *sizes):
        if isinstance(self.thread.expect, Layer):
            self.thread.expect.slots, self.thread.expect.tokens = slots, tokens.shape[0]

    def mapped(self, rows):
        """(token of each place, tokens): the inverse of the slots, as _sparse_encode makes it for itself."""
        expect = self.thread.expect
        slots, tokens, places = expect.slots, expect.tokens, rows.shape[0] * rows.shape[1]
        if slots is None:
            return None, 0
        key = slots.shape, slots.device
        token = self.token_of.get(key)
        if token is None:
            self.token_of.clear()
            token = self.token_of[key] = torch.arange(tokens, device=slots.device).repeat(slots.shape[0])
        # tokens that were dropped share the place beyond the last one
        entries = torch.full((places + 1,), tokens, dtype=torch.int64, device=slots.device)
        return entries.scatter_(0, slots.reshape(-1), token)[:places], tokens

    def forward(self, ctx, group, rows):
        expect = self.thread.expect
        if expect is None or group is not expect.group:
            return None
        call = self.announcer.take(rows)
        ctx.hiermoe = call.role, call.way
        return call

    def backward(self, ctx, *gradients):
        remembered = getattr(ctx, "hiermoe", None)
        return None if remembered is None else self.announcer.back(ctx.group, remembered)


def install(modules):
    announcer = start.begin("deepspeed-moe", versions.TABLE, modules)
    if announcer is not None:
        Hooks(announcer, modules)
