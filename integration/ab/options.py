"""The command line of hiermoe ab."""
from __future__ import annotations

import argparse
from typing import List, Optional, Tuple

from . import formats

USAGE = "hiermoe ab [OPTION ...] -- COMMAND [ARG ...]"
DESCRIPTION = """Runs COMMAND plain and with libhiermoe.so preloaded, in turns, and says what that changed: step times
with a confidence interval, losses and gradient norms digit by digit, bytes on the wire.

COMMAND is what starts the job on all ranks: torchrun, mpirun, srun, a script. Step times are found in what it prints
where it is of Megatron, DeepSpeed, torchtitan, nccl-tests, moe_perf, or of JSON objects a line with step and ms; for
others see --metric. Its output is kept in the folder of --dir.
"""
EPILOG = """exit status:
  0  losses and gradient norms are equal, or nothing is known of them
  1  they differ, while plain runs are equal to each other
  2  it could not be run: wrong options, the job failed, no step times in its output
  3  a rank did not load the library
  4  the speedup is less than --fail-below
"""


def _pairs(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 2, got '{text}'")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got '{text}'")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{text}'")
    return value


def _percent(text: str) -> float:
    value = _positive(text)
    if not 50 <= value < 100:
        raise argparse.ArgumentTypeError(f"expected per cent from 50 to below 100, such as 99, got '{text}'")
    return value


def _metric(text: str) -> formats.Format:
    try:
        return formats.metric_format(text)
    except Exception as error:  # re.error is a ValueError from Python 3.13 on
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from error


def parser() -> argparse.ArgumentParser:
    ap = argparse.ArgumentParser(prog="hiermoe ab", usage=USAGE, description=DESCRIPTION, epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--repeat", metavar="N", type=_pairs, default=4, help="runs of either kind (default 4, at least 2)")
    ap.add_argument("--warmup", metavar="N", type=_count, default=4,
                    help="first steps of a run that do not count: the job warms up, the library learns (default 4)")
    ap.add_argument("--confidence", metavar="PERCENT", type=_percent, default=95.0, help="of the interval (default 95)")
    ap.add_argument("--metric", metavar="REGEX", type=_metric,
                    help="searched in each line; its first group is a time in ms. Named groups: ms, s, us or rate (a "
                         "second's worth), and step, series, loss, grad_norm")
    ap.add_argument("--timeout", metavar="SECONDS", type=_positive, help="for one run (default: none)")
    ap.add_argument("--fail-below", metavar="X", type=_positive, help="exit with 4 if the speedup is less than X")
    ap.add_argument("--dir", metavar="DIR", help="new folder for what the runs print and count, on a file system that "
                                                 "all hosts share (default: hiermoe-ab-DATE-TIME here)")
    ap.add_argument("--library", metavar="FILE", help="libhiermoe.so to preload (default: this installation's)")
    ap.add_argument("--show-output", action="store_true", help="also show what the job prints")
    ap.add_argument("--json", metavar="FILE", help="write the figures (- is standard output)")
    ap.add_argument("--markdown", metavar="FILE", help="write them as a table in Markdown")
    ap.add_argument("--html", metavar="FILE", help="write them as one page")
    ap.add_argument("--row", nargs=2, metavar=("JOB", "VARIANT"),
                    help="print one line for tests/results/jobs.jsonl; the table goes to standard error")
    return ap


def parse(argv: List[str]) -> Tuple[argparse.Namespace, List[str]]:
    """Options, and the command behind --. Says what is wrong and exits with 2."""
    ap = parser()
    at: Optional[int] = argv.index("--") if "--" in argv else None
    args = ap.parse_args(argv if at is None else argv[:at])
    command = [] if at is None else argv[at + 1:]
    if not command:
        ap.error("expected -- and the command that starts the job")
    return args, command
