"""One of the ranks of DeepSpeed's MoE layers, in variants: plain, then with the adapter in both ways (see megatron_case)."""
import compare
import deepspeed
import recorder as recording
import torch
import torch.distributed as dist
from deepspeed.module_inject.auto_ep_layer import AutoEPMoELayer
from deepspeed.module_inject.auto_ep_presets.base import AutoEPConfig, MoELayerSpec
from deepspeed.moe.layer import MoE
from deepspeed.moe.sharded_moe import MOELayer
from hiermoe_adapters.common import api as companion
from hiermoe_adapters.common import finder
from torch import nn

LAYERS, HIDDEN, TOKENS, EXPERTS = 2, 32, 24, 8
VARIANTS = {  # arguments of MoE; with a capital letter what this case does itself
    "top1": dict(k=1, capacity_factor=1.25, use_rts=False),
    "top1nodrop": dict(k=1, drop_tokens=False),
    "top1used": dict(k=1, use_rts=False, Used=True),
    "top2": dict(k=2, capacity_factor=1.0, top2_2nd_expert_sampling=False),
    "top4": dict(k=4, capacity_factor=1.0),
    "nodrop": dict(k=4, drop_tokens=False),
    "bf16": dict(k=4, drop_tokens=False, Type=torch.bfloat16),
    "residual": dict(k=2, capacity_factor=1.0, use_residual=True, top2_2nd_expert_sampling=False),
    "recompute": dict(k=4, capacity_factor=1.0, Recompute=True),
    "micro": dict(k=4, capacity_factor=1.0, Order="F0 F1 B0 F2 B1 B2"),
    "twice": dict(k=4, capacity_factor=1.0, Order="F0 K0 B0"),
    "eval": dict(k=4, capacity_factor=1.0, Order="E0"),
    "post": dict(Auto="post", k=3),
    "pre": dict(Auto="pre", k=3),
    "postbf16": dict(Auto="post", k=3, Type=torch.bfloat16),
    "bmm": dict(Auto="post", k=3, Combine="legacy_bmm"),
    "postrecompute": dict(Auto="post", k=3, Recompute=True),
    "postmicro": dict(Auto="post", k=3, Order="F0 F1 B0 F2 B1 B2"),
    "premicro": dict(Auto="pre", k=3, Order="F0 F1 B0 F2 B1 B2"),
}
UNREAD = companion.FILLER_UNREAD
FLAGS = {None: dict(dispatch=0, combine=UNREAD, combine_backward=0, dispatch_backward=companion.SUM | UNREAD),
         "post": dict(dispatch=0, combine=0, combine_backward=0, dispatch_backward=companion.SUM),
         "pre": dict(dispatch=companion.ROWS_DIFFER, combine=companion.SUM, combine_backward=companion.COPIES,
                     dispatch_backward=0)}


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(HIDDEN, 16), nn.Linear(16, HIDDEN)

    def forward(self, x):
        return self.down(nn.functional.gelu(self.up(x)))


class Source(nn.Module):
    """A layer as AutoEP finds it in a model."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.experts = nn.Module()
        self.experts.gate_up_proj = nn.Parameter(torch.randn(EXPERTS, 2 * 16, HIDDEN) * 0.2)
        self.experts.down_proj = nn.Parameter(torch.randn(EXPERTS, HIDDEN, 16) * 0.2)


def auto_layer(own, top_k):
    spec = MoELayerSpec(
        moe_module_name="mlp", model_family="mixtral", router_name="gate", experts_name="experts",
        expert_storage="fused_3d", expert_w1_name="gate_up_proj", expert_w2_name="down_proj", expert_w3_name=None,
        num_experts=EXPERTS, top_k=top_k, hidden_size=HIDDEN, ffn_hidden_size=16, score_func="softmax",
        score_apply="post", route_norm=True, gate_bias=False, return_router_logits=False,
        router_logits_capture_target="none", router_logits_capture_index=None, router_logits_capture_layer_name=None,
        has_shared_experts=False, shared_experts_name="")
    config = AutoEPConfig(enabled=True, autoep_size=dist.get_world_size(), score_apply=own["Auto"],
                          combine_impl=own.get("Combine", "auto"), use_grouped_mm=False)
    return AutoEPMoELayer(spec, Source(), dist.get_world_size(), dist.get_rank(), config)


class Model(nn.Module):
    def __init__(self, fields, own):
        super().__init__()
        self.own = own
        self.embed, self.head = nn.Embedding(64, HIDDEN), nn.Linear(HIDDEN, 64)
        self.layers = nn.ModuleList(
            auto_layer(own, fields["k"]) if "Auto" in own else
            MoE(HIDDEN, Expert(), num_experts=EXPERTS, ep_size=dist.get_world_size(), **fields) for _ in range(LAYERS))
        for layer in self.layers:
            layer.set_deepspeed_parallelism()
        self.to(own.get("Type", torch.float32))

    def layer(self, layer, x, used):
        given = layer(x) if "Auto" in self.own else layer(x, used)
        return (given, 0.0) if torch.is_tensor(given) else given[:2]

    def forward(self, tokens):
        x, more = self.embed(tokens), 0.0
        used = (tokens.reshape(-1) % 5 != 0).to(x.dtype) if self.own.get("Used") else None
        for layer in self.layers:
            if self.own.get("Recompute"):
                y, aux = torch.utils.checkpoint.checkpoint(self.layer, layer, x, used, use_reentrant=False)
            else:
                y, aux = self.layer(layer, x, used)
            x, more = x + y, more + aux
        return self.head(x).float().square().mean() + 0.01 * more


def run(fields):
    """Losses and gradients of a variant, by name."""
    fields, own = ({k: v for k, v in fields.items() if k[0].isupper() == capital} for capital in (False, True))
    torch.manual_seed(7)
    model = Model(fields, own)
    torch.manual_seed(8)
    random = torch.Generator().manual_seed(100 + dist.get_rank())
    losses, results = {}, {}
    for what, number in own.get("Order", "F0 B0").split():
        if what in "EF":
            with torch.set_grad_enabled(what == "F"):
                losses[number] = model(torch.randint(0, 64, (2, TOKENS), generator=random))
            results["loss" + number] = losses[number].detach()
        else:
            losses[number].backward(retain_graph=what == "K")
            if what == "B":
                del losses[number]
    losses.clear()
    results.update({name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None})
    return results


def judge(name, fields, recorder):
    if name == "twice":  # the second pass finds no handle: that it is announced and right is enough
        recorder.fake.keep = False
    compare.announced(name, recorder)
    counts = ["opaque"] if "Auto" in fields else []
    expected = (counts + ["dispatch", "combine"]) * LAYERS + ["combine_backward", "dispatch_backward"] * LAYERS
    if name in ("top4", "post", "pre"):
        compare.check(recorder.fake.roles == expected, name, "announced", recorder.fake.roles)
    for heard in recorder.fake.heard:
        if heard.role != "opaque":
            compare.check(heard.flags == FLAGS[fields.get("Auto")][heard.role], name, heard)
        if heard.role == "dispatch":
            compare.check(heard.entries is not None and len(heard.entries) == heard.rows_out, name, "has no map")
            fillers = (heard.entries or []).count(heard.tokens)
            compare.check(fillers == 0 if "Auto" in fields else fillers < heard.rows_out, name, fillers, "fillers")


def main():
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    now = []
    recording.wrap(lambda: now[-1] if now else None)
    variants = compare.chosen(VARIANTS)
    if not hasattr(AutoEPMoELayer, "_forward"):
        print("AutoEP of before 0.19.8 is left alone: its variants are not run", flush=True)
        variants = {name: fields for name, fields in variants.items() if "Auto" not in fields}
    plain = {name: run(fields) for name, fields in variants.items()}
    started = recording.Recorder()
    companion.load = lambda: started.fake.api
    finder.install()
    print("attached:", started.fake.attached, flush=True)
    found = [getattr(AutoEPMoELayer, "_forward", None), MOELayer.forward]
    hooks = [function.hiermoe_begin.__self__ for function in found if function is not None]
    for name, fields in variants.items():
        for sums in (False, True):
            recorder = recording.Recorder(sums)
            for each in hooks:
                each.announcer.api, each.layers = recorder.fake.api, 0
            now.append(recorder)
            got = run(fields)
            now.clear()
            compare.same(name, got, plain[name], (0.02 if "Type" in fields else 1e-5) if sums else None)
            judge(name, fields, recorder)
    compare.done()


if __name__ == "__main__":
    main()
