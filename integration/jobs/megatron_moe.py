"""A small mixture-of-experts language model, trained with unmodified megatron-core: a job to try the library on.

    tests/gpu/nodes.sh 1 2 -- python3 megatron_moe.py --steps 30
    PRELOAD=build/lib/libhiermoe.so tests/gpu/nodes.sh 1 2 -- python3 megatron_moe.py --steps 30

Needs torch and megatron-core (0.16; neither Transformer Engine nor Apex). All ranks form one expert-parallel group. The
text is the source of Python's standard library, byte by byte. Rank 0 prints a JSON object for each step: step, loss,
grad_norm, ms. With --deterministic, two runs print the same loss and grad_norm to the last digit. By default a layer
has the shape of Qwen3-30B-A3B: hidden 2048, 128 experts of width 768, top-8.
"""
import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.distributed.finalize_model_grads import finalize_model_grads
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed
from megatron.core.transformer.moe import moe_utils
from megatron.core.transformer.transformer_config import TransformerConfig

SEED = 2024
VOCABULARY = 256


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--steps", type=int, default=30)
    ap.add_argument("--layers", type=int, default=4)
    ap.add_argument("--hidden", type=int, default=2048)
    ap.add_argument("--experts", type=int, default=128)
    ap.add_argument("--topk", type=int, default=8)
    ap.add_argument("--expert-width", type=int, default=768)
    ap.add_argument("--sequence", type=int, default=1024)
    ap.add_argument("--batch", type=int, default=2, help="sequences of each rank in each step")
    ap.add_argument("--deterministic", action="store_true")
    return ap.parse_args()


def start(args):
    """Process groups and random states; returns this rank and the number of ranks."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if args.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", rank=rank, world_size=world)
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=1, pipeline_model_parallel_size=1,
                                             expert_model_parallel_size=world)
    torch.manual_seed(SEED)
    model_parallel_cuda_manual_seed(SEED)
    if not hasattr(moe_utils, "te_general_gemm"):  # 0.16.0 looks at it even without Transformer Engine
        moe_utils.te_general_gemm = None
    return rank, world


def configuration(args, world):
    moe = dict(num_moe_experts=args.experts, moe_router_topk=args.topk, moe_ffn_hidden_size=args.expert_width,
               moe_token_dispatcher_type="alltoall", moe_router_load_balancing_type="aux_loss",
               moe_aux_loss_coeff=1e-3, moe_router_dtype="fp32", moe_grouped_gemm=False,
               expert_model_parallel_size=world)
    unfused = dict(gradient_accumulation_fusion=False, masked_softmax_fusion=False, bias_dropout_fusion=False,
                   bias_activation_fusion=False, apply_rope_fusion=False)
    number = dict(bf16=True, params_dtype=torch.bfloat16, pipeline_dtype=torch.bfloat16)
    return TransformerConfig(num_layers=args.layers, hidden_size=args.hidden, ffn_hidden_size=args.expert_width,
                             num_attention_heads=16, gated_linear_unit=True, normalization="LayerNorm",
                             activation_func=torch.nn.functional.silu, add_bias_linear=False, hidden_dropout=0.0,
                             attention_dropout=0.0, finalize_model_grads_func=finalize_model_grads, **moe, **unfused,
                             **number)


def model_and_optimizer(args, world):
    config = configuration(args, world)
    layers = get_gpt_layer_local_spec(num_experts=args.experts, moe_grouped_gemm=False)
    model = GPTModel(config=config, transformer_layer_spec=layers, vocab_size=VOCABULARY,
                     max_sequence_length=args.sequence, position_embedding_type="rope")
    parallel = DistributedDataParallelConfig(grad_reduce_in_fp32=True, use_distributed_optimizer=True)
    model = DistributedDataParallel(config, parallel, model.cuda().bfloat16())
    adam = OptimizerConfig(optimizer="adam", lr=3e-4, weight_decay=0.1, clip_grad=1.0, bf16=True,
                           params_dtype=torch.bfloat16, use_distributed_optimizer=True)
    return model, get_megatron_optimizer(adam, [model])


class Text:
    """Random pieces of text: inputs, and labels that are one byte further on."""

    def __init__(self, args, rank):
        files = sorted(Path(os.__file__).parent.glob("*.py"))
        self.bytes = torch.frombuffer(bytearray(b"".join(f.read_bytes() for f in files)), dtype=torch.uint8)
        self.random = torch.Generator().manual_seed(SEED + rank)
        self.batch, self.sequence = args.batch, args.sequence

    def next(self):
        places = torch.randint(0, len(self.bytes) - self.sequence - 1, (self.batch,), generator=self.random)
        text = torch.stack([self.bytes[p:p + self.sequence + 1] for p in places]).long().cuda()
        return text[:, :-1].contiguous(), text[:, 1:].contiguous()


def train_step(model, optimizer, batch, position, mask):
    model.zero_grad_buffer()
    optimizer.zero_grad()
    loss = model(batch[0], position, mask, labels=batch[1]).float().mean()
    loss.backward()
    finalize_model_grads([model])
    _, grad_norm, _ = optimizer.step()
    return loss.detach(), float(grad_norm)


def main():
    args = arguments()
    rank, world = start(args)
    model, optimizer = model_and_optimizer(args, world)
    text = Text(args, rank)
    position = torch.arange(args.sequence, device="cuda").expand(args.batch, -1)
    mask = torch.ones(1, 1, args.sequence, args.sequence, dtype=torch.bool, device="cuda").triu(1)
    for step in range(args.steps):
        batch = text.next()
        torch.cuda.synchronize()
        began = time.perf_counter()
        loss, grad_norm = train_step(model, optimizer, batch, position, mask)
        torch.cuda.synchronize()
        ms = 1e3 * (time.perf_counter() - began)
        dist.all_reduce(loss)
        if rank == 0:
            print(json.dumps(dict(step=step, loss=loss.item() / world, grad_norm=grad_norm, ms=round(ms, 2))),
                  flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
