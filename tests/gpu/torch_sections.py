"""What torch_job.py does, in sections: each works on a process group of its own and records every tensor it receives.

A section's second part says what the library's statistics of that group must show when it is preloaded: with a depth set
at least `replaced` calls replaced, else one at least (`none`: not one); and calls left alone for at least one of the
reasons in `left`. What hangs on gains is not asked for where a depth is set.
"""
import threading
import zlib
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch.distributed.distributed_c10d import _coalescing_manager

TOKENS, ROW_BYTES, TOPK, LOCAL_EXPERTS = 512, 2048, 6, 4


@dataclass
class Expect:
    replaced: int = 0
    none: bool = False
    left: tuple = ()


def generator(*key):
    return torch.Generator().manual_seed(zlib.crc32(repr(key).encode()))


class Plan:
    """A routing of each rank's tokens to TOPK of LOCAL_EXPERTS experts a rank, rows in the order of experts.

    Unless it must be whole, a few copies are left out, so that the ranks' numbers of rows have no common divisor: what
    counts have in common is all that the library can see of the size of a row at first."""

    def __init__(self, job, group, key, tokens=TOKENS, silent=(), whole=False):
        self.me, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        counts = []
        for source in range(self.ranks):
            chosen = torch.rand(0 if source in silent else tokens, LOCAL_EXPERTS * self.ranks,
                                generator=generator(job.seed, key, "route", source)).topk(
                                    min(TOPK, LOCAL_EXPERTS * self.ranks), dim=1).indices
            hit = torch.zeros(len(chosen), LOCAL_EXPERTS * self.ranks, dtype=torch.bool).scatter_(1, chosen, True)
            left_out = torch.arange(0 if whole else min(1 + 4 * source, len(chosen)))
            hit[left_out, chosen[left_out, 0]] = False
            expert, token = hit.t().nonzero(as_tuple=True)
            counts.append(torch.bincount(expert // LOCAL_EXPERTS, minlength=self.ranks))
            if source == self.me:
                self.token, self.tokens = token.cuda(), len(chosen)
        self.send = counts[self.me].tolist()
        self.recv = [int(c[self.me]) for c in counts]


def fresh_bytes(job, key, rows, row_bytes=ROW_BYTES):
    return torch.randint(0, 256, (rows, row_bytes), dtype=torch.uint8,
                         generator=generator(job.seed, key, "data", job.rank)).cuda()


def copies(job, plan, key, dtype=torch.bfloat16, row_bytes=ROW_BYTES):
    """The rows to send: each token's bytes once per expert chosen."""
    rows = fresh_bytes(job, key, plan.tokens, row_bytes).index_select(0, plan.token)
    return (rows & 1).bool() if dtype == torch.bool else rows.view(dtype)


def received(plan, rows):
    width = rows.shape[1] * rows.element_size()
    return torch.ones(sum(plan.recv), width, dtype=torch.uint8, device="cuda").view(rows.dtype)


def churn():
    """Takes memory that was just given back, so that work still reading it would show."""
    for size in (1 << 18, 1 << 20, 1 << 22):
        torch.full((size,), 0xEE, dtype=torch.uint8, device="cuda")


def unequal(job, group):
    for i in range(6):
        plan = Plan(job, group, ("unequal", i))
        rows = copies(job, plan, ("unequal", i))
        out = received(plan, rows)
        dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
        del rows
        churn()
        job.record(out)


def equal(job, group):
    for i in range(4):
        rows = fresh_bytes(job, ("equal", i), 64 * dist.get_world_size(group)).repeat_interleave(8, 0)
        out = torch.zeros_like(rows)
        dist.all_to_all_single(out, rows, group=group)
        job.record(out)


def asynchronous(job, group):
    flying = []
    for i in range(6):
        plan = Plan(job, group, ("async", i))
        rows = copies(job, plan, ("async", i))
        out = received(plan, rows)
        flying.append((dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group, async_op=True), out))
        del rows
        churn()
    for work, out in flying:
        work.wait()
        job.record(out)


def streams(job, group):
    side = [torch.cuda.Stream() for _ in range(2)]
    for i in range(6):
        plan = Plan(job, group, ("streams", i))
        side[i % 2].wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side[i % 2]):
            rows = copies(job, plan, ("streams", i))
            out = received(plan, rows)
            dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
            job.record(out)
        torch.cuda.current_stream().wait_stream(side[i % 2])


class AllToAll(torch.autograd.Function):
    """As Megatron's: the gradient goes back the way the rows came."""
    threads = set()

    @staticmethod
    def forward(ctx, group, rows, recv, send):
        ctx.group, ctx.recv, ctx.send = group, recv, send
        out = rows.new_empty((sum(recv), *rows.shape[1:]))
        dist.all_to_all_single(out, rows.contiguous(), recv, send, group=group)
        return out

    @staticmethod
    def backward(ctx, grad):
        AllToAll.threads.add(threading.get_ident())
        return None, AllToAll.apply(ctx.group, grad, ctx.send, ctx.recv), None, None


def layer(job, group, key, probs_dtype):
    """Dispatch, experts, combine; each sum in a fixed order. Gradients of equal rows are equal going back."""
    plan = Plan(job, group, key, whole=True)
    order = torch.argsort(plan.token, stable=True)  # where a token's copies are in the send buffer
    place = torch.argsort(order)
    x = torch.randn(TOKENS, ROW_BYTES // 2, generator=generator(job.seed, key, job.rank)).cuda().bfloat16()
    p = torch.rand(TOKENS * TOPK, generator=generator(job.seed, key, "p", job.rank)).cuda().to(probs_dtype)
    x.requires_grad_(), p.requires_grad_()
    rows = x.unsqueeze(1).expand(-1, TOPK, -1).reshape(TOKENS * TOPK, -1).index_select(0, place)
    rows = AllToAll.apply(group, rows, plan.recv, plan.send)
    probs = AllToAll.apply(group, p, plan.recv, plan.send)
    rows = torch.tanh(rows) * probs.unsqueeze(1).to(rows.dtype)
    rows = AllToAll.apply(group, rows, plan.send, plan.recv)
    out = rows.index_select(0, order).view(TOKENS, TOPK, -1).sum(1)
    (out.float() * torch.randn(out.shape, generator=generator(job.seed, key, "loss")).cuda()).sum().backward()
    for tensor in (out.detach(), x.grad, p.grad):
        job.record(tensor)


def autograd(job, group):
    AllToAll.threads.clear()
    for i in range(6):
        layer(job, group, ("autograd", i), torch.float32 if i < 4 else torch.bfloat16)
    if AllToAll.threads == {threading.get_ident()}:
        raise RuntimeError("expected backward all-to-alls from autograd's own thread")


def arrived(out):
    """The tensor behind what a functional collective returns."""
    return out.wait() if hasattr(out, "wait") else out


def functional(job, group):
    for i in range(4):
        plan = Plan(job, group, ("functional", i))
        rows = copies(job, plan, ("functional", i))
        job.record(arrived(funcol.all_to_all_single(rows, plan.recv, plan.send, group)))
    for i in range(3):
        plan = Plan(job, group, ("functional grad", i))
        rows = copies(job, plan, ("functional grad", i)).float().nan_to_num(0.5, 1, -1).requires_grad_()
        out = funcol.all_to_all_single_autograd(rows, plan.recv, plan.send, group) * 3
        out.sum().backward()
        job.record(out.detach())
        job.record(rows.grad)
    rows = fresh_bytes(job, "functional equal", 32 * dist.get_world_size(group))
    job.record(arrived(funcol.all_to_all_single(rows, None, None, group)))


def lists(job, group):
    for i in range(5):
        plan = Plan(job, group, ("list", i))
        rows = copies(job, plan, ("list", i))
        parts = [part.clone() for part in rows.split(plan.send)]
        out = [torch.empty_like(rows[:1]).repeat(count, 1) for count in reversed(plan.recv)][::-1]
        dist.all_to_all(out, parts, group=group)
        del rows, parts
        churn()
        for part in out:
            job.record(part)


def point_to_point(job, group):
    me, ranks = dist.get_rank(group), dist.get_world_size(group)
    peers = [dist.get_global_rank(group, p) for p in range(ranks) if p != me]
    for i in range(4):
        rows = fresh_bytes(job, ("p2p", i), 128)
        out = [torch.zeros_like(rows) for _ in peers]
        ops = [dist.P2POp(dist.isend, rows, p, group) for p in peers]
        ops += [dist.P2POp(dist.irecv, o, p, group) for o, p in zip(out, peers)]
        for work in dist.batch_isend_irecv(ops):
            work.wait()
        for part in out:
            job.record(part)


def coalesced(job, group):
    for i in range(3):
        plans = [Plan(job, group, ("coalesced", i, j)) for j in range(2)]
        rows = [copies(job, plan, ("coalesced", i, j)) for j, plan in enumerate(plans)]
        out = [received(plan, r) for plan, r in zip(plans, rows)]
        with _coalescing_manager(group=group, device=torch.device("cuda", torch.cuda.current_device()),
                                 async_ops=True) as manager:
            for o, r, plan in zip(out, rows, plans):
                dist.all_to_all_single(o, r, plan.recv, plan.send, group=group, async_op=True)
        manager.wait()
        for o in out:
            job.record(o)


DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.int32, torch.int8,
          torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]


def dtypes(job, group):
    for dtype in DTYPES:
        for i in range(3):
            plan = Plan(job, group, ("dtype", str(dtype), i), tokens=128)
            rows = copies(job, plan, ("dtype", str(dtype), i), dtype)
            out = received(plan, rows)
            dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
            job.record(out)


def unaligned(job, group):
    """1-D views that begin at any element; some rows of odd size."""
    for i, row_bytes in enumerate((2048, 2048, 1026, 1026, 514, 514)):
        plan = Plan(job, group, ("unaligned", i))
        rows = copies(job, plan, ("unaligned", i), torch.bfloat16, row_bytes).reshape(-1)
        width = row_bytes // 2
        home = torch.zeros(rows.numel() + i + 1, dtype=rows.dtype, device="cuda")
        home[i + 1:] = rows
        back = torch.zeros(sum(plan.recv) * width + i + 3, dtype=rows.dtype, device="cuda")
        dist.all_to_all_single(back[i + 3:], home[i + 1:], [c * width for c in plan.recv],
                               [c * width for c in plan.send], group=group)
        job.record(back)


def empty(job, group):
    for i, silent in enumerate(([0], range(1 << 20), [dist.get_world_size(group) - 1], [], range(1 << 20), [0])):
        plan = Plan(job, group, ("empty", i), silent=silent)
        rows = copies(job, plan, ("empty", i))
        out = received(plan, rows)
        dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
        job.record(out)
    for i in range(2):
        plan = Plan(job, group, ("tiny", i), tokens=2)
        rows = copies(job, plan, ("tiny", i), row_bytes=64)
        out = received(plan, rows)
        dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
        job.record(out)


def no_copies(job, group):
    ranks = dist.get_world_size(group)
    for i in range(20):
        rows = fresh_bytes(job, ("no copies", i), 64 * ranks).bfloat16()
        out = torch.zeros_like(rows)
        dist.all_to_all_single(out, rows, [64] * ranks, [64] * ranks, group=group)
        job.record(out)


def capture(job, group, key):
    """An all-to-all recorded into a graph, played with new data each time."""
    plan = Plan(job, group, key)
    rows = copies(job, plan, (key, "first"))
    out = received(plan, rows)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        dist.all_to_all_single(out, rows, plan.recv, plan.send, group=group)
    for i in range(3):
        rows.copy_(copies(job, plan, (key, i)))
        graph.replay()
        torch.cuda.synchronize()
        job.record(out)
    graph.reset()
    torch.cuda.synchronize()


def graph(job, group):
    unequal(job, group)
    capture(job, group, "graph")
    unequal(job, group)


def graph_first(job, group):
    """The group's first all-to-all is a captured one; the communicator is there already."""
    one = torch.ones(1, device="cuda")
    dist.all_reduce(one, group=group)
    job.record(one)
    capture(job, group, "graph first")
    unequal(job, group)


SECTIONS = {
    "unequal": (unequal, Expect(replaced=5)),
    "equal": (equal, Expect(left=("no_gain", "no_gain_lately", "rows_too_small"))),
    "asynchronous": (asynchronous, Expect(replaced=5)),
    "streams": (streams, Expect(replaced=5)),
    "autograd": (autograd, Expect(replaced=4, left=("no_gain", "no_gain_lately"))),
    "functional": (functional, Expect(replaced=4)),
    "lists": (lists, Expect(replaced=4)),
    "point_to_point": (point_to_point, Expect(none=True)),
    "coalesced": (coalesced, Expect(none=True)),
    "dtypes": (dtypes, Expect(replaced=20)),
    "unaligned": (unaligned, Expect(replaced=4)),
    "empty": (empty, Expect(replaced=2, left=("too_small", "rows_too_small"))),
    "no_copies": (no_copies, Expect(none=True, left=("no_gain", "no_gain_lately"))),
    "graph": (graph, Expect(replaced=10, left=("capturing",))),
    "graph_first": (graph_first, Expect(replaced=5, left=("capturing",))),
}
