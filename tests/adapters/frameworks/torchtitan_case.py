"""One of the ranks of torchtitan's MoE layers, in variants: plain, then with the adapter in both ways (see megatron_case)."""
import compare
import recorder as recording
import torch
import torch.distributed as dist
from hiermoe_adapters.common import api as companion
from hiermoe_adapters.common import finder
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchtitan.distributed.expert_parallel import ExpertParallel
from torchtitan.models.moe import kernels
from torchtitan.models.moe.moe import MoE, MoEArgs
from torchtitan.models.moe.utils import set_token_group_alignment_size_m

LAYERS, HIDDEN, TOKENS = 2, 32, 24
VARIANTS = {  # fields of MoEArgs; with a capital letter what this case does itself
    "post": dict(score_before_experts=False),
    "pre": dict(score_before_experts=True),
    "postbf16": dict(score_before_experts=False, Type=torch.bfloat16),
    "prebf16": dict(score_before_experts=True, Type=torch.bfloat16),
    "group": dict(score_before_experts=False, num_expert_groups=4, num_limited_groups=2),
    "shared": dict(score_before_experts=True, num_shared_experts=1),
    "recompute": dict(score_before_experts=False, Recompute=True),
    "recomputeold": dict(score_before_experts=True, Recompute="reentrant"),
    "micro": dict(score_before_experts=False, Order="F0 F1 B0 F2 B1 B2"),
    "micropre": dict(score_before_experts=True, Order="F0 F1 B0 F2 B1 B2"),
    "twice": dict(score_before_experts=False, Order="F0 K0 B0"),
    "forward": dict(score_before_experts=False, Order="F0"),
    "eval": dict(score_before_experts=False, Order="E0"),
}
FLAGS = {False: dict(dispatch=0, combine=0, combine_backward=0, dispatch_backward=companion.SUM),
         True: dict(dispatch=companion.ROWS_DIFFER, combine=companion.SUM, combine_backward=companion.COPIES,
                    dispatch_backward=0)}


class Watch(TorchDispatchMode):
    """Sees the functional all-to-alls, whose calls are made in C++."""

    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is not torch.ops._c10d_functional.all_to_all_single.default:
            return func(*args, **(kwargs or {}))
        heard = self.recorder.before(args[0], sum(args[1]))
        output = torch.ops._c10d_functional.wait_tensor(func(*args, **(kwargs or {})))
        self.recorder.after(heard, output)
        return output


class Model(torch.nn.Module):
    def __init__(self, fields, mesh, kind, recompute):
        super().__init__()
        self.recompute = recompute
        self.embed, self.head = torch.nn.Embedding(64, HIDDEN), torch.nn.Linear(HIDDEN, 64)
        self.layers = torch.nn.ModuleList(MoE(MoEArgs(**{**dict(
            num_experts=8, num_shared_experts=0, top_k=3, score_func="softmax", route_norm=True, load_balance_coeff=None,
            use_grouped_mm=False), **fields}), HIDDEN, 16) for _ in range(LAYERS))
        with torch.no_grad():
            for layer in self.layers:
                layer.init_weights(0.2, torch.device("cpu"))
        self.to(kind)
        for layer in self.layers:
            ExpertParallel()._apply(layer.experts, mesh)

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            if self.recompute:
                x = x + torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=self.recompute == "reentrant")
            else:
                x = x + layer(x)
        return self.head(x).float()


def run(fields, mesh):
    """Losses and gradients of a variant, by name."""
    fields, own = ({k: v for k, v in fields.items() if k[0].isupper() == capital} for capital in (False, True))
    torch.manual_seed(7)
    model = Model(fields, mesh, own.get("Type", torch.float32), own.get("Recompute"))
    random = torch.Generator().manual_seed(100 + dist.get_rank())
    losses, results = {}, {}

    def step(what, number):
        if what in "EF":
            with torch.set_grad_enabled(what == "F"):
                losses[number] = model(torch.randint(0, 64, (2, TOKENS), generator=random)).square().mean()
            results["loss" + number] = losses[number].detach()
        else:
            losses[number].backward(retain_graph=what == "K")
            if what == "B":
                del losses[number]

    for word in own.get("Order", "F0 B0").split():
        step(word[0], word[1:])
    losses.clear()
    for name, value in model.named_parameters():
        if value.grad is not None:
            results[name] = (value.grad.to_local() if isinstance(value, DTensor) else value.grad).clone()
    return results


def judge(name, fields, recorder):
    if name == "twice":  # the second pass finds no handle: that it is announced and right is enough
        recorder.fake.keep = False
    compare.announced(name, recorder)
    expected = {"forward": ["opaque", "dispatch", "combine"] * LAYERS,
                "post": ["opaque", "dispatch", "combine"] * LAYERS + ["combine_backward", "dispatch_backward"] * LAYERS}
    if name in expected:
        compare.check(recorder.fake.roles == expected[name], name, "announced", recorder.fake.roles)
    for heard in recorder.fake.heard:
        if heard.role != "opaque":
            compare.check(heard.flags == FLAGS[fields["score_before_experts"]][heard.role], name, heard)
        if heard.role == "dispatch":
            compare.check(heard.entries is not None and len(heard.entries) == heard.rows_out, name, "has no map")


def main():
    histc = torch.histc
    torch.histc = lambda numbers, **how: histc(numbers.float(), **how).long()  # integers only on GPUs
    kernels.fill_indices_wrapper = kernels.fill_indices_cpu
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("ep",))
    set_token_group_alignment_size_m(8)
    variants = compare.chosen(VARIANTS)
    plain = {name: run(fields, mesh) for name, fields in variants.items()}
    started = recording.Recorder()
    companion.load = lambda: started.fake.api
    finder.install()
    hooks = MoE.forward.hiermoe_begin.__self__
    print("attached:", started.fake.attached, flush=True)
    for name, fields in variants.items():
        for sums in (False, True):
            recorder = recording.Recorder(sums)
            hooks.announcer.api, hooks.layers = recorder.fake.api, 0
            with Watch(recorder):
                got = run(fields, mesh)
            low = fields.get("Type")
            compare.same(name, got, plain[name], (0.02 if low else 1e-5) if sums else None)
            judge(name, fields, recorder)
    compare.done()


if __name__ == "__main__":
    main()
