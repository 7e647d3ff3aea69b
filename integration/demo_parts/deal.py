"""Routing traces (planner/experts/trace.h), dealt over any number of ranks as hiermoe plan deals them."""
import re

HEADER = re.compile(rb"HMTRACE1 ranks=(\d+) layers=(\d+) tokens=(\d+) topk=(\d+) experts=(\d+)\n")


class Trace:
    """ids: two bytes for each of [ranks][layers][tokens][topk]."""

    def __init__(self, data):
        head = HEADER.match(data)
        if not head:
            raise ValueError("expected it to begin with 'HMTRACE1 ranks='")
        self.ranks, self.layers, self.tokens, self.topk, self.experts = map(int, head.groups())
        self.ids = memoryview(data)[head.end():]
        if min(map(int, head.groups())) < 1 or len(self.ids) != 2 * self.ranks * self.layers * self.tokens * self.topk:
            raise ValueError("its first line does not fit its length")

    def part(self, rank, layer, first, count):
        """Of the tokens of one rank and layer."""
        start = ((rank * self.layers + layer) * self.tokens + first) * self.topk * 2
        return self.ids[start:start + count * self.topk * 2]

    def source(self, layer, source, tokens):
        """What simulated rank `source` gets of a layer: deal_source of integration/hiermoe/deal.h."""
        pieces, total, shift = [], self.ranks * self.tokens, int(0.618 * tokens) | 1
        at, end = source * tokens, (source + 1) * tokens
        while at < end:
            token = (at % total + at // total * shift) % total
            first = token % self.tokens
            run = min(self.tokens - first, total - at % total, end - at)
            pieces.append(self.part(token // self.tokens, layer, first, run))
            at += run
        return b"".join(pieces)

    def dealt(self, ranks, tokens):
        """The file of a trace of so many ranks and tokens of each. Every rank holds as many experts as any other; those
        that are added to have it so get no tokens."""
        experts = -(-self.experts // ranks) * ranks
        head = f"HMTRACE1 ranks={ranks} layers={self.layers} tokens={tokens} topk={self.topk} experts={experts}\n"
        return head.encode() + b"".join(self.source(layer, rank, tokens) for rank in range(ranks)
                                        for layer in range(self.layers))
