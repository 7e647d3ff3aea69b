"""Stands between a framework and the all-to-alls that it makes on hosts: takes what was announced and checks that it is true.

With `sums`, it also does what the library may do where sums are promised: the sum of a token's rows in the first of them
and zeros in the others; NaN in rows that nobody is said to read. A promise that does not hold shows in the results.
"""
import torch

from fake_api import FakeApi, companion
from hiermoe_adapters.common import rows as rows_module

WIDE = {torch.bfloat16: torch.float32, torch.float16: torch.float32}


class Recorder:
    def __init__(self, sums=False, **fake):
        self.fake, self.sums = FakeApi(**fake), sums
        self.calls = []  # (Heard or None, group) of every all-to-all, in order
        self.faults = []

    def expect(self, true, *words):
        if not true:
            self.faults.append(" ".join(map(str, words)))

    def before(self, rows, received):
        """A call comes that sends the tensor `rows` and gets `received` rows: what it was announced as, or None."""
        heard = self.fake.take()
        self.calls.append(heard)
        if heard is None:
            return None
        kind, width, count = rows_module.shape_of(rows)
        self.expect((heard.type, heard.width, heard.rows_out) == (kind, width, count), heard, "sends", kind, width, count)
        self.expect(heard.rows_in in (received, companion.UNKNOWN), heard, "receives", received)
        flat = rows.detach().reshape(count, -1)
        if heard.role == "dispatch" and heard.entries is not None and not heard.flags & companion.ROWS_DIFFER:
            self.copies(heard, flat, heard.entries)
        if heard.flags & companion.COPIES and self.dispatch_of(heard):
            self.copies(heard, flat, self.dispatch_of(heard).entries)
        return heard

    def copies(self, heard, rows, entries):
        first = {}
        for at, token in enumerate(entries):
            leader = first.setdefault(token, at)
            if not torch.equal(rows[at].view(torch.uint8), rows[leader].view(torch.uint8)):
                self.expect(False, heard, "rows", leader, at, "of token", token, "differ")
                return

    def dispatch_of(self, heard):
        """The dispatch that the handle of a later call names."""
        found = [other for other in self.fake.heard if other.made and other.made == heard.handle]
        return found[0] if found else None

    def after(self, heard, output):
        """The call is done: puts sums into the output."""
        dispatch = self.dispatch_of(heard) if heard is not None else None
        if not self.sums or dispatch is None or not heard.flags & (companion.SUM | companion.FILLER_UNREAD):
            return
        rows = output.detach().view(-1, output.shape[-1])
        token = torch.tensor(dispatch.entries)
        self.expect(len(rows) == len(token), heard, "gets", len(rows), "rows for a map of", len(token))
        filler = token == dispatch.tokens
        if heard.flags & companion.SUM:
            wide = rows.to(WIDE.get(rows.dtype, rows.dtype))
            added = torch.zeros(dispatch.tokens + 1, rows.shape[1], dtype=wide.dtype).index_add_(0, token, wide)
            seen, summed = set(), torch.zeros_like(rows)
            for at, entry in enumerate(dispatch.entries):
                if entry not in seen:
                    seen.add(entry)
                    summed[at] = added[entry].to(rows.dtype)
            rows.copy_(summed)
        if heard.flags & companion.FILLER_UNREAD:
            rows[filler] = float("nan")


def wrap(recorder_now):
    """Replaces torch.distributed.all_to_all_single for good; recorder_now() gives the Recorder, or None."""
    plain = torch.distributed.all_to_all_single

    def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False):
        recorder = recorder_now()
        output_split_sizes, input_split_sizes = (list(map(int, splits)) if splits is not None else None
                                                 for splits in (output_split_sizes, input_split_sizes))
        if recorder is None:
            return plain(output, input, output_split_sizes, input_split_sizes, group, async_op)
        received = rows_module.shape_of(output)[2]
        heard = recorder.before(input, received)
        work = plain(output, input, output_split_sizes, input_split_sizes, group, async_op)
        if async_op:
            work.wait()
        recorder.after(heard, output)
        return work

    torch.distributed.all_to_all_single = all_to_all_single


def uneven():
    """all_gather and reduce_scatter of tensors of unequal sizes, which gloo does not have."""
    def all_gather(parts, tensor, group=None, async_op=False):
        ranks = torch.distributed.get_process_group_ranks(group)
        for part, rank in zip(parts, ranks):
            if rank == torch.distributed.get_rank():
                part.copy_(tensor)
            torch.distributed.broadcast(part, rank, group=group)

    def reduce_scatter(output, parts, op=torch.distributed.ReduceOp.SUM, group=None, async_op=False):
        mine = torch.distributed.get_group_rank(group, torch.distributed.get_rank())
        for at, part in enumerate(parts):
            part = part.clone()
            torch.distributed.all_reduce(part, op, group=group)
            if at == mine:
                output.copy_(part)

    torch.distributed.all_gather, torch.distributed.reduce_scatter = all_gather, reduce_scatter
