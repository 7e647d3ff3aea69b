#!/usr/bin/env python3
"""Trains a small mixture-of-experts language model and records which experts its routers chose.

    capture_trace.py --out FILE                        on a GPU, a few hundred steps, under three minutes
    capture_trace.py --out FILE --device cpu --steps 3 --hidden 64 --experts 16 --ffn 32 --topk 2   a smoke run

The text is the source of Python's standard library, or the files that --text names, byte by byte. Without an auxiliary
loss (--balance 0) routers come to prefer some experts. The batch of the last step is cut into equal slices,
one for each rank, as expert parallelism would spread it. The file has one line,
"HMTRACE1 ranks=R layers=L tokens=T topk=K experts=E", and then expert ids as little-endian uint16
[rank][layer][token][k].
"""
import argparse
import array
import glob
import math
import os
import sys
import time
import types

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:  # said after the arguments were checked
    torch, nn, missing = None, types.SimpleNamespace(Module=object), error


class Experts(nn.Module):
    """A router and its experts (SwiGLU), computed as one batch of padded experts."""

    def __init__(self, args):
        super().__init__()
        self.topk, self.experts = args.topk, args.experts
        scale = args.hidden ** -0.5
        self.router = nn.Parameter(torch.randn(args.experts, args.hidden) * scale)
        self.w_in = nn.Parameter(torch.randn(args.experts, args.hidden, 2 * args.ffn) * scale)
        self.w_out = nn.Parameter(torch.randn(args.experts, args.ffn, args.hidden) * args.ffn ** -0.5)
        self.chosen = None  # expert ids [tokens, topk] of the latest pass

    def route(self, x):
        with torch.autocast(x.device.type, enabled=False):
            share = F.linear(x.float(), self.router).softmax(-1)
        weight, chosen = share.topk(self.topk, dim=-1)
        self.chosen = chosen.detach()
        # The auxiliary loss of the Switch Transformer (2101.03961, Eq. 4): 1 where experts are used evenly.
        used = torch.bincount(chosen.flatten(), minlength=self.experts).float() / chosen.numel()
        return weight / weight.sum(-1, keepdim=True), chosen, self.experts * (used * share.mean(0)).sum()

    def forward(self, x):
        tokens, hidden = x.shape
        weight, chosen, loss = self.route(x)
        flat = chosen.flatten()
        order = flat.argsort(stable=True)
        counts = torch.bincount(flat, minlength=self.experts)
        # Rows beyond the capacity are dropped, which only a badly skewed start needs. The recorded choice has them all.
        capacity = min(int(counts.max()), 4 * math.ceil(flat.numel() / self.experts))
        expert = flat[order]
        slot = torch.arange(flat.numel(), device=x.device) - (counts.cumsum(0) - counts)[expert]
        kept = slot < capacity
        token, place = (order // self.topk)[kept], (expert * capacity + slot)[kept]
        rows = x.new_zeros(self.experts * capacity, hidden).index_copy(0, place, x[token])
        gate, up = torch.bmm(rows.view(self.experts, capacity, hidden), self.w_in).chunk(2, dim=-1)
        out = torch.bmm(F.silu(gate) * up, self.w_out).view(-1, hidden)
        out = out[place].float() * weight.flatten()[order][kept, None]
        return x.new_zeros(tokens, hidden, dtype=torch.float32).index_add(0, token, out), loss


class Block(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.heads = args.heads
        self.norm_attention, self.norm_experts = nn.LayerNorm(args.hidden), nn.LayerNorm(args.hidden)
        self.qkv = nn.Linear(args.hidden, 3 * args.hidden, bias=False)
        self.out = nn.Linear(args.hidden, args.hidden, bias=False)
        self.experts = Experts(args)

    def forward(self, x):
        batch, length, hidden = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, hidden))
        mixed, loss = self.experts(self.norm_experts(x).view(-1, hidden))
        return x + mixed.view_as(x), loss


class Model(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, args.hidden), nn.Embedding(args.length, args.hidden)
        self.blocks = nn.ModuleList(Block(args) for _ in range(args.layers))
        self.norm, self.head = nn.LayerNorm(args.hidden), nn.Linear(args.hidden, 256, bias=False)

    def forward(self, text):
        x = self.bytes(text[:, :-1]) + self.places.weight
        balance = 0.0
        for block in self.blocks:
            x, loss = block(x)
            balance = balance + loss
        logits = self.head(self.norm(x)).float()
        return F.cross_entropy(logits.view(-1, 256), text[:, 1:].reshape(-1)), balance


def count(text):
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{text}'")
    return int(text)


def check_out(args, ap):
    """Fails before the training rather than after it."""
    try:
        with open(args.out, "ab"):
            pass
    except OSError as error:
        ap.error(f"--out: {args.out}: {error.strerror}")


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", required=True, help="file to write")
    ap.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    for name, default, text in (("steps", 400, "training steps"), ("layers", 4, "layers of the model"),
                                ("hidden", 512, "width"), ("heads", 8, "attention heads"), ("experts", 128, "experts"),
                                ("topk", 8, "experts per token"), ("ffn", 256, "width of an expert"),
                                ("length", 512, "bytes of a sequence"), ("ranks", 8, "slices of the batch"),
                                ("tokens", 1024, "tokens of a slice")):
        ap.add_argument(f"--{name}", type=count, default=default, help=f"{text} (default {default})")
    ap.add_argument("--seed", type=int, default=1234, help="of weights and text (default 1234)")
    ap.add_argument("--keep", default="1,3", help="layers to write, counted from 0 (default 1,3)")
    ap.add_argument("--text", help="files to learn from, a pattern such as '/usr/include/**/*.h' (default: Python's library)")
    ap.add_argument("--balance", type=float, default=1e-2, help="weight of each layer's auxiliary loss (default 0.01)")
    args = ap.parse_args()
    try:
        args.keep = [int(layer) for layer in args.keep.split(",")]
    except ValueError:
        ap.error("--keep: expected layer numbers such as 1,3")
    if not all(0 <= layer < args.layers for layer in args.keep):
        ap.error(f"--keep: expected layers from 0 to {args.layers - 1}")
    if args.ranks * args.tokens % args.length:
        ap.error(f"expected ranks * tokens to be a multiple of --length, got {args.ranks} * {args.tokens} and "
                 f"{args.length}")
    if args.hidden % args.heads or not args.topk <= args.experts <= 65535:
        ap.error("expected hidden to be a multiple of heads, and topk at most experts, of which at most 65535")
    args.files = sorted(glob.glob(args.text or os.path.join(os.path.dirname(os.__file__), "*.py"), recursive=True))
    args.files = [name for name in args.files if os.path.isfile(name)]
    if sum(map(os.path.getsize, args.files)) <= args.length + 1:
        ap.error(f"--text: {args.text}: expected files with more than {args.length + 1} bytes together")
    if torch is None:
        ap.error(f"needs the Python package torch: {missing}")
    if args.device == "cuda" and not torch.cuda.is_available():
        ap.error("there is no GPU here: --device cpu runs small models (see the smoke run in --help)")
    check_out(args, ap)
    return args


def file_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def train(args):
    """Returns the experts chosen in the last step, [layers kept, tokens of the batch, topk]."""
    torch.manual_seed(args.seed)
    data = torch.frombuffer(bytearray(b"".join(map(file_bytes, args.files))), dtype=torch.uint8)
    model = Model(args).to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    warmup = max(1, args.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / warmup) * (0.55 + 0.45 * math.cos(math.pi * s / args.steps)))
    picks = torch.Generator().manual_seed(args.seed)
    batch = args.ranks * args.tokens // args.length
    begin = time.monotonic()
    for step in range(args.steps):
        start = torch.randint(0, len(data) - args.length - 1, (batch,), generator=picks)
        text = torch.stack([data[s:s + args.length + 1] for s in start.tolist()]).long().to(args.device)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            loss, balance = model(text)
        optimizer.zero_grad(set_to_none=True)
        (loss + args.balance * balance).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step}: {loss.item() / math.log(2):.3f} bits per byte, balance "
                  f"{balance.item() / args.layers:.3f}, {time.monotonic() - begin:.0f} s", flush=True)
    return torch.stack([model.blocks[layer].experts.chosen for layer in args.keep]).cpu()


def describe(chosen, args):
    """Prints how unevenly experts are used, and to how many groups of ranks a token goes."""
    for index, layer in enumerate(args.keep):
        used = torch.bincount(chosen[index].flatten(), minlength=args.experts).float()
        line = f"layer {layer}: busiest expert {used.max() / used.mean():.2f} times the mean"
        for groups in (4, args.ranks):
            if args.experts % groups == 0:
                hit = F.one_hot(chosen[index] // (args.experts // groups), groups).sum(1).clamp(max=1).sum(1)
                line += f"; {hit.float().mean():.2f} of {groups} groups per token"
        print(line)


def write(chosen, args):
    header = (f"HMTRACE1 ranks={args.ranks} layers={len(args.keep)} tokens={args.tokens} topk={args.topk} "
              f"experts={args.experts}\n")
    ids = chosen.view(len(args.keep), args.ranks, args.tokens, args.topk).transpose(0, 1).reshape(-1)
    words = array.array("H", ids.tolist())
    if sys.byteorder == "big":
        words.byteswap()
    with open(args.out, "wb") as out:
        out.write(header.encode() + words.tobytes())
    print(f"wrote {args.out}: {header.strip()}")


def main():
    args = arguments()
    chosen = train(args)
    describe(chosen, args)
    write(chosen, args)


if __name__ == "__main__":
    main()
