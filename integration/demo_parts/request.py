"""The demo's options, held against what this machine can do before anything is installed or built."""
import argparse
import re
from pathlib import Path

from . import machine
from .deal import Trace

ROOT = Path(__file__).resolve().parent.parent.parent
TRACE = ROOT / "tests" / "traces" / "moe_lm.hmtrace"  # figures of different days are of one routing
DIRECTIONS = {"dispatch": ["dispatch"], "combine": ["combine"], "both": ["dispatch", "combine"]}
RANKS_MOST = 1024  # in a communicator that the library serves


def options(description):
    ap = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--nodes", type=int, default=4, help="emulated nodes (default 4)")
    ap.add_argument("--ranks-per-node", type=int, default=2, help="(default 2)")
    ap.add_argument("--rate", default="1gbit", help="of each node's link, such as 500mbit (default 1gbit)")
    ap.add_argument("--routing", help="uniform, zipf:S, group:N:G or trace:FILE (default: "
                                      f"{TRACE.relative_to(ROOT)}); a trace brings experts and top-k")
    ap.add_argument("--direction", choices=DIRECTIONS, default="dispatch",
                    help="rows to the experts, their results back, or one after the other (default dispatch)")
    ap.add_argument("--guided", action="store_true",
                    help="the benchmark announces its exchanges as adapters do, and results are summed on the way back")
    ap.add_argument("--tokens", type=int, help="per rank (default 1024)")
    ap.add_argument("--hidden", type=int, default=1024, help="bf16 elements per token (default 1024)")
    ap.add_argument("--experts", type=int, help="a multiple of the ranks (default 128, or the next one)")
    ap.add_argument("--topk", type=int, help="(default 8)")
    ap.add_argument("--iterations", type=int, default=10, help="timed, in each run (default 10)")
    ap.add_argument("--rounds", type=int, default=3, help="runs of either kind, in turns (default 3)")
    ap.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    ap.add_argument("--build-dir", type=Path, default=ROOT / "build", help="(default build)")
    ap.add_argument("--no-build", action="store_true", help="use what is in --build-dir as it is")
    ap.add_argument("--library", dest="shim", metavar="LIBRARY", type=Path,
                    help="library to preload (default BUILD_DIR/lib/libhiermoe.so)")
    ap.add_argument("--prefix", default="hmdemo", help="name of the emulated cluster (default hmdemo)")
    ap.add_argument("--timeout", type=float, default=300, help="seconds for one run (default 300)")
    return ap


def check_numbers(args, ap):
    for name in ("nodes", "ranks_per_node", "tokens", "hidden", "experts", "topk", "iterations", "rounds"):
        value = getattr(args, name)
        if value is not None and value < 1:
            ap.error(f"--{name.replace('_', '-')}: expected at least 1")
    if args.nodes > 250:
        ap.error(f"--nodes: expected at most 250, got {args.nodes}")
    if args.nodes * args.ranks_per_node > RANKS_MOST:
        ap.error(f"--ranks-per-node: expected at most {RANKS_MOST} ranks in all, got {args.nodes * args.ranks_per_node}")
    if not re.fullmatch("[1-9][0-9]*[kmg]bit", args.rate):
        ap.error(f"--rate: expected a number from 1 and kbit, mbit or gbit, such as 500mbit, got '{args.rate}'")
    if not re.fullmatch("[A-Za-z0-9_-]{1,32}", args.prefix):
        ap.error(f"--prefix: expected up to 32 letters, digits, _ or -, got '{args.prefix}'")
    if args.timeout <= 0:
        ap.error("--timeout: expected more than 0")


def check_drawn(args, ap):
    """Routing that is drawn: the defaults fill in what was not given. Returns the shape in words."""
    ranks = args.nodes * args.ranks_per_node
    for name, default in (("tokens", 1024), ("experts", -(-128 // ranks) * ranks), ("topk", 8)):
        if getattr(args, name) is None:
            setattr(args, name, default)
    if args.experts % ranks != 0:
        ap.error(f"--experts: expected a multiple of the {ranks} ranks, got {args.experts}")
    if not re.fullmatch(r"uniform|zipf:[0-9.]+|group:[1-9][0-9]*:[1-9][0-9]*|one:[0-9]+", args.routing):
        ap.error(f"--routing: expected uniform, zipf:S, group:N:G, one:RANK or trace:FILE, got '{args.routing}'")
    if args.topk > args.experts:
        ap.error(f"--topk: expected at most the {args.experts} experts, got {args.topk}")
    return f"{args.routing} routing, {args.tokens} tokens a rank, {args.experts} experts, top-{args.topk}"


def check_trace(args, ap):
    """A trace is dealt over the ranks that there are. Sets args.trace; returns the shape in words."""
    path = args.routing[len("trace:"):]
    if args.experts is not None or args.topk is not None:
        ap.error("a trace brings experts and top-k: leave out --experts and --topk")
    try:
        trace = Trace(Path(path).read_bytes())
    except OSError as error:
        ap.error(f"--routing: {path}: {error.strerror}")
    except ValueError as error:
        ap.error(f"--routing: {path} is not a routing trace: {error}")
    args.trace = trace
    args.tokens, args.topk, args.experts = args.tokens or trace.tokens, trace.topk, trace.experts
    return (f"recorded routing {Path(path).name}, {args.tokens} tokens a rank, {trace.experts} experts, "
            f"top-{trace.topk}")


def check_memory(args, ap):
    ranks, free = args.nodes * args.ranks_per_node, machine.memory_free()
    needed = 5 * ranks * args.tokens * args.topk * args.hidden * 2  # send, receive, and the library's own
    if free is not None and needed > free:
        ap.error(f"{ranks} ranks of {args.tokens} tokens, top-{args.topk}, hidden {args.hidden} take about "
                 f"{needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: take fewer")


def check_json(args, ap):
    """Fails before anything is measured rather than after."""
    try:
        with open(args.json, "a"):
            pass
    except OSError as error:
        ap.error(f"--json: {args.json}: {error.strerror}")


def arguments(description):
    """The options, and the shape in words. Ends the program where they cannot be carried out."""
    ap = options(description)
    args = ap.parse_args()
    args.trace = None
    check_numbers(args, ap)
    if args.routing is None:
        if not TRACE.exists():
            ap.error(f"there is no {TRACE}: give --routing uniform, or record a trace with integration/capture_trace.py")
        args.routing = f"trace:{TRACE}"
    shape = (check_trace if args.routing.startswith("trace:") else check_drawn)(args, ap)
    check_memory(args, ap)
    if args.json:
        check_json(args, ap)
    return args, shape
