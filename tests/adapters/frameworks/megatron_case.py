"""One of the ranks of a small Megatron-core model, in variants: plain, then with the adapter in both ways.

Exact: losses and gradients have the same bits as plain ones. Sums: the fake library puts a token's sum into its first
row and zeros into the others wherever the adapter promised that this does no harm; results are the same but for
rounding. In both every announcement is held against the call that follows.
"""
import os
import threading

import cuda_on_hosts
import torch
import torch.distributed as dist

cuda_on_hosts.install()
import compare  # noqa: E402
import recorder as recording  # noqa: E402
from hiermoe_adapters.common import api as companion, finder  # noqa: E402
from megatron.core import parallel_state  # noqa: E402
from megatron.core.models.common import model_chunk_schedule_plan as plans  # noqa: E402
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec  # noqa: E402
from megatron.core.models.gpt.gpt_model import GPTModel  # noqa: E402
from megatron.core.pipeline_parallel import utils as pipeline  # noqa: E402
from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed  # noqa: E402
from megatron.core.transformer.moe import moe_utils, token_dispatcher  # noqa: E402
from megatron.core.transformer.transformer_config import TransformerConfig  # noqa: E402

LAYERS, TOKENS = 2, 24
VARIANTS = {  # fields of the configuration; with a capital letter what this case does itself
    "base": {},
    "bf16": dict(Bf16=True),
    "probs16": dict(Bf16=True, moe_router_dtype=None),
    "droppad": dict(moe_expert_capacity_factor=1.0, moe_pad_expert_input_to_capacity=True),
    "drop": dict(moe_expert_capacity_factor=0.5),
    "recompute": dict(recompute_granularity="selective", recompute_modules=["moe"]),
    "full": dict(recompute_granularity="full", recompute_method="uniform", recompute_num_layers=1),
    "shared": dict(moe_shared_expert_intermediate_size=32),
    "overlap": dict(moe_shared_expert_intermediate_size=32, moe_shared_expert_overlap=True),
    "micro": dict(Order="F0 F1 B0 F2 B1 B2"),
    "microrecompute": dict(recompute_granularity="full", recompute_method="uniform", recompute_num_layers=1,
                           Order="F0 F1 B0 F2 B1 B2"),
    "overlap1f1b": dict(Bf16=True, Plans=True, overlap_moe_expert_parallel_comm=True),
    "thread": dict(Thread=True),
    "twice": dict(Order="F0 K0 B0", Logits=True),  # backward through the same graph again
    "forward": dict(Order="F0"),
    "eval": dict(Order="E0"),
    "fused": dict(Fused=True),
    "fuseddrop": dict(Fused=True, moe_expert_capacity_factor=0.5),
}
WITH_FOUR = {"etp": dict(expert_tensor_parallel_size=2), "edp": dict(Replicas=2)}


def fused():
    """Stands for Transformer Engine's fused permutations: same values, map of another form."""
    def permute(tokens, probs, mask, num_out_tokens=None, **more):
        count = int(num_out_tokens)
        flat = mask.bool().t().reshape(-1).to(torch.int8).argsort(descending=True, stable=True)[:count]
        return tokens.index_select(0, flat % len(tokens)), probs.t().reshape(-1)[flat], flat.to(torch.int32)

    def unpermute(rows, row_id_map, merging_probs=None, restore_shape=None, **more):
        token = row_id_map.long() % restore_shape[0]
        return torch.zeros(restore_shape, dtype=rows.dtype).index_add_(0, token, rows)

    def sort(rows, sizes, order):
        parts = rows.split(sizes.tolist())
        return torch.cat([parts[at] for at in order.tolist()])

    moe_utils.HAVE_TE = True
    moe_utils.is_te_min_version = lambda version: False
    moe_utils.fused_permute_with_probs, moe_utils.fused_unpermute = permute, unpermute
    moe_utils.fused_sort_chunks_by_index = sort
    moe_utils.fused_sort_chunks_by_index_with_probs = lambda rows, probs, sizes, order: (
        sort(rows, sizes, order), sort(probs, sizes, order))


def build(fields, own, world):
    etp = fields.get("expert_tensor_parallel_size", 1)
    ranks = world // etp // own.get("Replicas", 1)
    parallel_state.initialize_model_parallel(expert_model_parallel_size=ranks, expert_tensor_parallel_size=etp)
    torch.manual_seed(7)
    model_parallel_cuda_manual_seed(7)
    moe = dict(num_moe_experts=4 * ranks, moe_router_topk=3, moe_ffn_hidden_size=16, moe_token_dispatcher_type="alltoall",
               moe_router_load_balancing_type="aux_loss", moe_aux_loss_coeff=1e-3, moe_router_dtype="fp32",
               moe_grouped_gemm=False, expert_model_parallel_size=ranks)
    unfused = dict(gradient_accumulation_fusion=False, masked_softmax_fusion=False, bias_dropout_fusion=False,
                   bias_activation_fusion=False, apply_rope_fusion=False)
    kind = torch.bfloat16 if own.get("Bf16") else torch.float32
    config = TransformerConfig(**{**dict(
        num_layers=LAYERS, hidden_size=32, ffn_hidden_size=16, num_attention_heads=4, gated_linear_unit=True,
        normalization="LayerNorm", activation_func=torch.nn.functional.silu, add_bias_linear=False, hidden_dropout=0.0,
        attention_dropout=0.0, bf16=kind == torch.bfloat16, params_dtype=kind, pipeline_dtype=kind,
        use_cpu_initialization=True), **moe, **unfused, **fields})
    model = GPTModel(config=config, transformer_layer_spec=get_gpt_layer_local_spec(
        num_experts=config.num_moe_experts, moe_grouped_gemm=False), vocab_size=64, max_sequence_length=TOKENS,
        position_embedding_type="rope").to(kind)
    if own.get("Fused"):
        config.moe_permute_fusion = True
    return model


def run(name, fields, world):
    """Losses and gradients of a variant, by name."""
    fields, own = ({k: v for k, v in fields.items() if k[0].isupper() == capital} for capital in (False, True))
    model = build(fields, own, world)
    position = torch.arange(TOKENS).expand(2, -1)
    mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool).triu(1)
    random = torch.Generator().manual_seed(100 + dist.get_rank())
    losses, results = {}, {}

    def forward(number):
        text = torch.randint(0, 64, (2, TOKENS + 1), generator=random)
        if own.get("Logits"):  # Megatron's loss cannot go back twice
            return model(text[:, :-1].contiguous(), position, mask).float().square().mean()
        return model(text[:, :-1].contiguous(), position, mask, labels=text[:, 1:].contiguous()).float().mean()

    def step(what, number):
        if what == "E":
            with torch.no_grad():
                results["loss" + number] = forward(number)
        elif what == "F":
            losses[number] = forward(number)
            results["loss" + number] = losses[number].detach()
        else:
            losses[number].backward(retain_graph=what == "K")
        if what == "B":
            del losses[number]

    def interleaved():
        """Each pass forward is woven into the one before going back, as pipelines with overlap_moe_... do it."""
        before, gradient = None, None
        for number in "012-":
            text = torch.randint(0, 64, (2, TOKENS + 1), generator=random)
            plan = None if number == "-" else model.build_schedule_plan(
                text[:, :-1].contiguous(), position, mask, labels=text[:, 1:].contiguous())
            loss = plans.TransformerModelChunkSchedulePlan.run(plan, before, b_grad=gradient)
            before = plan
            if plan is not None:
                results["loss" + number], gradient = loss.detach().clone(), torch.full_like(loss, 1 / loss.numel())

    def order():
        if own.get("Plans"):
            interleaved()
            return
        for word in own.get("Order", "F0 B0").split():
            step(word[0], word[1:])
        losses.clear()

    worker = threading.Thread(target=order) if own.get("Thread") else None
    if worker is None:
        order()
    else:
        worker.start()
        worker.join()
    results.update({key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None})
    parallel_state.destroy_model_parallel()
    return results


def expected_roles(name):
    """The order of calls of the two layers, where it is simple; the probabilities' gradients may come on either side."""
    forward = ["dispatch", "opaque", "combine"] * LAYERS
    return {"base": forward + (["combine_backward", "opaque", "dispatch_backward"] * LAYERS), "forward": forward,
            "eval": forward}.get(name)


def judge(name, recorder, world):
    compare.announced(name, recorder)
    roles, expected = recorder.fake.roles, expected_roles(name)
    if expected:
        compare.check(roles == expected, name, "announced", roles)
    for heard in recorder.fake.heard:
        if heard.role == "dispatch":
            compare.check(heard.entries is not None and len(heard.entries) == heard.rows_out, name, "has no map")
            compare.check(all(0 <= entry < heard.tokens for entry in heard.entries or []), name, "maps beyond tokens")
        if heard.role in ("dispatch", "combine"):
            compare.check(heard.layer in (0, 1), name, "layer", heard.layer)
    handles = [heard.handle for heard in recorder.fake.heard if heard.role == "dispatch_backward" and heard.handle]
    compare.check(len(set(handles)) == len(handles), name, "uses handles twice", handles)


def main():
    world = int(os.environ["WORLD_SIZE"])
    variants = compare.chosen(VARIANTS if world == 2 else WITH_FOUR)
    if not variants:
        compare.done()
    dist.init_process_group("gloo")
    now = []
    recording.wrap(lambda: now[-1] if now else None)
    recording.uneven()
    pipeline.set_streams()
    fused()
    if not hasattr(moe_utils, "te_general_gemm"):
        moe_utils.te_general_gemm = None
    plain = {name: run(name, fields, world) for name, fields in variants.items()}

    started = recording.Recorder()
    companion.load = lambda: started.fake.api
    finder.install()
    hooks = token_dispatcher.MoEAlltoAllTokenDispatcher.token_dispatch.hiermoe_begin.__self__
    print("attached:", started.fake.attached, flush=True)
    for name, fields in variants.items():
        for sums in (False, True):
            recorder = recording.Recorder(sums)
            hooks.announcer.api, hooks.layers = recorder.fake.api, 0  # from here on it speaks to this one
            now.append(recorder)
            got = run(name, fields, world)
            now.clear()
            low = fields.get("Bf16")
            compare.same(name, got, plain[name], (0.02 if low else 1e-5) if sums else None)
            if name == "twice":  # the second pass finds no handle: that it is announced and right is enough
                recorder.fake.keep = False
            judge(name, recorder, world)
    compare.done()


if __name__ == "__main__":
    main()
