"""The tests that tests/gpu/run runs: each takes the harness and `quick`, returns a few words on what it saw, and raises
Failed or Skipped."""
import ast
import json
import shutil

import compare_steps
from harness import HERE, ROOT, Failed, Skipped, median

# Makes every saved row count in predictions: of calls that repeat rows, and only of those, depths are tried first. What
# they take decides from then on.
SLOW_LINKS = {"HIERMOE_PROFILE": str(HERE / "slow_links.profile")}
# Whatever can be is replaced, at the most levels that there are up to two.
DEEP = {"HIERMOE_DEPTH": "2"}
# Reasons that hang on what calls gain. Where a depth is set, only calls that cannot have it are left alone lately.
NO_GAIN = {"no_gain", "no_gain_lately", "trial", "job_no_faster"}
TRUST_MOE_PERF = {"HIERMOE_TRUST": "moe_perf_all_to_all_v"}


def kernels(h, quick):
    status, text = h.run([h.program("kernels_test"), *(["--small"] if quick else [])], 90)
    if status == 77:
        raise Skipped(text.strip().splitlines()[-1])
    if status != 0:
        raise Failed(f"kernels_test ended with {status}: {text.strip()[-300:]}")
    return text.strip().splitlines()[-1]


def sanitizer(tool):
    def test(h, quick):
        if quick:
            raise Skipped("not with --quick")
        if not shutil.which("compute-sanitizer"):
            raise Skipped("compute-sanitizer is not installed")
        status, text = h.run(["compute-sanitizer", "--tool", tool, "--error-exitcode", "9",
                              h.program("kernels_test"), "--small"], 100)
        if "Device not supported" in text:
            raise Skipped("compute-sanitizer does not support this device")
        if status != 0:
            raise Failed(f"status {status}: {text.strip()[-300:]}")
        return text.strip().splitlines()[-1]
    return test


def moe_perf(nodes):
    """Every byte of every exchange, plain and preloaded. In a dispatch rows repeat, in a combine none do. Dispatches run
    with a depth set, so that all are replaced, those with equal counts too; both directions as it judges by itself,
    whatever that is here."""
    def test(h, quick):
        words = []
        size = ["--tokens", 2048, "--hidden", 1024, "--iters", 6, "--warmup", 2, "--layers", 3]
        for pattern in ("megatron",) if quick else ("megatron", "deepspeed", "alltoall"):
            command = [h.program("moe_perf"), "--pattern", pattern, *size]
            h.ranks(nodes, h.gpus, [*command, "--direction", "both"])
            for direction in ("dispatch", "both"):
                alone = direction == "dispatch"
                ranks = h.ranks(nodes, h.gpus, [*command, "--direction", direction], preload=True,
                                env={**TRUST_MOE_PERF, **(DEEP if alone else {})})
                if alone and ranks.replaced() < 4:
                    raise Failed(f"{pattern} {direction}: expected at least 4 of 8 dispatches to be replaced on every "
                                 f"rank, got {ranks.replaced()}; left alone: {ranks.left()}")
                words.append(f"{pattern} {direction} {ranks.replaced()}")
        return "replaced: " + ", ".join(words)
    return test


def random_calls(h, quick):
    """10,000 calls, each twice; forced depths replace whatever can be."""
    base = {"HIERMOE_TRUST": "nccl_exchange_issue", "HIERMOE_MIN_BYTES": "0"}
    runs = [(1, 3000, {"HIERMOE_DEPTH": "1"}),
            (2, 2500, {"HIERMOE_DEPTH": "2", "HIERMOE_TEST_FINGERPRINT_BITS": "8"}),
            (4, 2000, {"HIERMOE_DEPTH": "2"}),
            (4, 1500, {"HIERMOE_DEPTH": "1", "HIERMOE_MAX_SCRATCH": "2M"}),
            (4, 1000, {**SLOW_LINKS, "HIERMOE_TEST_FINGERPRINT_BITS": "4"})]
    words, total = [], 0
    for number, (nodes, calls, env) in enumerate(runs):
        if nodes * h.gpus < 2:
            continue
        calls = calls // 10 if quick else calls
        ranks = h.ranks(nodes, h.gpus, [h.program("gpu_random_calls"), "--calls", calls, "--seed", 20260 + number],
                        preload=True, env={**base, **env}, seconds=90)
        said = ranks.json_lines()
        if not said or not said[0]["preloaded"]:
            raise Failed("the library was not in front of NCCL")
        forced = "HIERMOE_DEPTH" in env
        if ranks.replaced() < (calls // 4 if forced else 1):
            raise Failed(f"{nodes}x{h.gpus} {env}: {ranks.replaced()} of {calls} calls were replaced; left alone: "
                         f"{ranks.left()}")
        total += calls
        words.append(f"{nodes}x{h.gpus} {ranks.replaced()}/{calls}")
    return f"{total} calls; replaced: " + ", ".join(words)


def agreement(h, quick):
    """Calls that were agreed on and left alone, beside the same calls plain and a bare all-gather. How many are agreed
    on is for the library to decide; whatever it does with a call, it counts it once."""
    words = []
    for nodes in (1, 4) if h.gpus > 1 else (4,):
        for rows, row_bytes in ((64, 1024), (1024, 4096)):
            ranks = h.ranks(nodes, h.gpus, [h.program("gpu_call_cost"), "agreement", "--rows", rows, "--row-bytes",
                                            row_bytes], preload=True,
                            env={"HIERMOE_TRUST": "shape", "HIERMOE_MIN_BYTES": "0"})
            said = ranks.json_lines()[0]
            if said["samples"] == 0:
                raise Failed(f"of {said['calls']} calls none was agreed on and left alone: {ranks.stats[:1]}")
            for line in ranks.stats:
                if line["replaced"] + sum(line["left"].values()) != said["calls"]:
                    raise Failed(f"{said['calls']} calls were made; replaced and left in the statistics: {line}")
                if not said["samples"] <= line["agreements"] <= said["calls"]:
                    raise Failed(f"of {said['calls']} calls {said['samples']} were seen to be agreed on: {line}")
            said["shape"] = f"{nodes}x{h.gpus}"
            h.figure(**said)
            words.append(f"{said['shape']} {rows}x{row_bytes} B a peer: {1e3 * said['agreement_ms']:.0f} us, 2 KB "
                         f"all-gather {1e3 * said['all_gather_2k_ms']:.0f} us")
    return "; ".join(words)


OVERHEADS = {"no copies": {}, "observe": {"HIERMOE_MODE": "observe"}, "off": {"HIERMOE_MODE": "off"}}
OVERHEAD_GOAL = 1.005


def overhead_inside(h, quick):
    """By name and past the library in turns, in one process, 64 MB a rank."""
    nodes = 1 if h.gpus > 1 else 2
    rows, words, late = 16384 // (nodes * h.gpus), [], []
    for name, env in OVERHEADS.items():
        ranks = h.ranks(nodes, h.gpus, [h.program("gpu_call_cost"), "overhead", "--rows", rows, "--row-bytes", 4096,
                                        "--rounds", 150 if quick else 500], preload=True,
                        env={"HIERMOE_TRUST": "shape", **env})
        said = ranks.json_lines()[0]
        h.figure(kind=name, shape=f"{nodes}x{h.gpus}", **said)
        words.append(f"{name} {100 * (said['ratio'] - 1):+.2f}% of {said['plain_ms']:.3f} ms (plain against itself "
                     f"{100 * (said['plain_again_ratio'] - 1):+.2f}%)")
        if said["ratio"] > OVERHEAD_GOAL:
            late.append(name)
    if late:
        raise Failed(f"over 0.5%: {', '.join(late)}; " + "; ".join(words))
    return "; ".join(words)


def overhead_between(h, name, measure, rounds):
    """measure(preload, env) in fresh processes, plain and preloaded in turns. Plain runs' own spread bounds what such a
    comparison can show."""
    times = {"plain": [], **{kind: [] for kind in OVERHEADS}}
    for _ in range(rounds):
        times["plain"].append(measure(False, {}))
        for kind, env in OVERHEADS.items():
            times[kind].append(measure(True, env))
    plain = median(times["plain"])
    spread = (max(times["plain"]) - min(times["plain"])) / plain
    words, late = [f"plain {plain:.3f} ms, spread of {rounds} runs {100 * spread:.2f}%"], []
    for kind in OVERHEADS:
        ratio = median(times[kind]) / plain
        words.append(f"{kind} {100 * (ratio - 1):+.2f}%")
        if ratio > OVERHEAD_GOAL + spread:
            late.append(kind)
    h.figure(test=name, times_ms=times, spread=spread)
    if late:
        raise Failed(f"over 0.5% and the spread: {', '.join(late)}; " + "; ".join(words))
    return "; ".join(words)


def overhead_processes(h, quick):
    nodes = 1 if h.gpus > 1 else 2
    def measure(preload, env):
        path = h.temporary / "overhead.json"
        h.ranks(nodes, h.gpus, [h.program("moe_perf"), "--direction", "combine", "--tokens", 2048, "--check", 0,
                                "--warmup", 64, "--iters", 300, "--json", path], preload=preload,
                env={**TRUST_MOE_PERF, **env})
        return json.loads(path.read_text())["results"]["combine"]["ms"]["median"]
    return overhead_between(h, "overhead_processes", measure, 2 if quick else 4)


def overhead_torch(h, quick):
    if quick:
        raise Skipped("not with --quick")
    need_torch(h)
    nodes = 1 if h.gpus > 1 else 2
    def measure(preload, env):
        ranks = h.ranks(nodes, h.gpus, ["python3", HERE / "torch_overhead.py"], preload=preload, env=env)
        return ranks.json_lines()[-1]["median_ms"]
    return overhead_between(h, "overhead_torch", measure, 2)


def need_torch(h):
    status, _ = h.run(["python3", "-c", "import torch; assert torch.cuda.is_available()"], 90)
    if status != 0:
        raise Skipped("python3 has no torch that sees a GPU")


def torch_expectation(name):
    """Statistics that a section of torch_job.py must show, as its table has them; None: any."""
    source = (HERE / "torch_sections.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SECTIONS":
            table = {key.value: {k.arg: ast.literal_eval(k.value) for k in value.elts[1].keywords}
                     for key, value in zip(node.value.keys, node.value.values)}
    if name in ("alone", "lazy world", "eager world"):
        return None
    return table["unequal" if name == "subset" or name.startswith("split ") else name.removeprefix("eager ")]


def torch_section_judge(name, lines, deep):
    """What is wrong with a section's statistics on one rank, or None. deep: a depth is set."""
    expect = torch_expectation(name)
    if expect is None:
        return None
    if not lines:
        return "no statistics line came when its group was destroyed"
    replaced, left = sum(line["replaced"] for line in lines), {}
    for line in lines:
        for reason, count in line["left"].items():
            left[reason] = left.get(reason, 0) + count
    least = expect.get("replaced", 0) if deep else min(expect.get("replaced", 0), 1)
    if replaced < least:
        return f"{replaced} calls replaced, expected at least {least}; left alone: {left}"
    wanted = set(expect.get("left", ()))
    by_gain = bool(wanted & NO_GAIN)
    if expect.get("none") and replaced and not (deep and by_gain):
        return f"{replaced} calls replaced, expected none"
    # Without a set depth the policy may leave a call alone before anybody looks at what it is.
    unseen = set() if deep else NO_GAIN - {"no_gain"}
    if wanted and not (wanted | unseen) & set(left) and not (deep and by_gain):
        return f"left alone: {left}, expected one of {', '.join(sorted(wanted))}"
    if deep and (NO_GAIN - {"no_gain_lately"}) & set(left):
        return f"left alone: {left}, though a depth is set"
    return None


def torch_compare(plain, preloaded, deep):
    """What differs between the two jobs, in sentences."""
    for rank, (a, b) in enumerate(zip(plain, preloaded)):
        for who, job in (("plain", a), ("preloaded", b)):
            for name, text in job["errors"].items():
                yield f"rank {rank} {who}, section {name}: {text.strip().splitlines()[-1]}"
        for name in a["hashes"]:
            if name in b["hashes"] and a["hashes"][name] != b["hashes"][name]:
                yield f"rank {rank}, section {name}: OTHER BYTES than plain"
        if a["hashes"].keys() != b["hashes"].keys():
            yield f"rank {rank}: sections that ended well differ: {sorted(a['hashes'].keys() ^ b['hashes'].keys())}"
        for name, lines in b["stats"].items():
            wrong = torch_section_judge(name, lines, deep) if name in b["hashes"] else None
            if wrong:
                yield f"rank {rank}, section {name}: {wrong}"


def torch_job(nodes):
    """An unmodified job, with the default HIERMOE_TRUST: callers are recognised or nothing is replaced. As the library
    decides by itself, and with a depth set, so that all that can be is replaced."""
    def test(h, quick):
        need_torch(h)
        jobs = []
        for preload, env in ((False, {}), (True, SLOW_LINKS), (True, DEEP)):
            ranks = h.ranks(nodes, h.gpus, ["python3", HERE / "torch_job.py", "--seed", 11], preload=preload,
                            env=env, seconds=120, check=False)
            jobs.append([said[-1] for r in range(nodes * h.gpus) if (said := ranks.json_lines(r))])
            if len(jobs[-1]) != nodes * h.gpus:
                raise Failed(f"{'preloaded' if preload else 'plain'} {env}: {len(jobs[-1])} of {nodes * h.gpus} ranks "
                             f"came to their end, status {ranks.status}: {h.last_words('', ranks)}")
        wrong = [f"{kind}: {line}" for kind, job, deep in (("auto", jobs[1], False), ("deep", jobs[2], True))
                 for line in torch_compare(jobs[0], job, deep)]
        for line in wrong:
            h.log(f"torch_job {nodes}x{h.gpus}: {line}")
        if wrong:
            raise Failed(f"{len(wrong)} findings, all in run.log; first: {wrong[0]}")
        counts = {name: sum(line["replaced"] for line in lines) for name, lines in jobs[2][0]["stats"].items()}
        h.figure(test="torch_job", shape=f"{nodes}x{h.gpus}", replaced=counts, stats=jobs[2][0]["stats"])
        return f"{len(jobs[0][0]['hashes'])} sections bit for bit, {jobs[0][0]['megabytes']:.0f} MB a rank; replaced: " + \
            ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return test


def megatron(nodes):
    """Loss and gradient norm of a training job, plain and preloaded, equal in every digit."""
    def test(h, quick):
        if quick:
            raise Skipped("not with --quick")
        if h.run(["python3", "-c", "import megatron.core"], 90)[0] != 0:
            raise Skipped("python3 has no megatron.core (PYTHONPATH)")
        steps = []
        for preload in (False, True):
            ranks = h.ranks(nodes, h.gpus, ["python3", ROOT / "integration" / "jobs" / "megatron_moe.py", "--deterministic",
                                            "--steps", 8, "--layers", 2], preload=preload, env=SLOW_LINKS,
                            seconds=120)
            steps.append(compare_steps.steps_of(ranks.said[0].splitlines()))
        if not ranks.replaced():
            raise Failed(f"nothing was replaced; left alone: {ranks.left()}")
        different = compare_steps.difference(*steps)
        if different:
            raise Failed(different)
        return f"{len(steps[0])} steps equal in every digit; replaced {ranks.replaced()}"
    return test


def tests(gpus):
    several = [1, 2, 4] if gpus > 1 else [2, 4]
    table = [("kernels", kernels)]
    table += [(f"moe_perf_{n}x{gpus}", moe_perf(n)) for n in several]
    table += [(f"torch_job_{n}x{gpus}", torch_job(n)) for n in several[:2]]
    table += [(f"megatron_{several[0]}x{gpus}", megatron(several[0]))]
    table += [("random_calls", random_calls), ("agreement", agreement), ("overhead_inside", overhead_inside),
              ("overhead_processes", overhead_processes), ("overhead_torch", overhead_torch)]
    table += [(f"sanitizer_{tool}", sanitizer(tool)) for tool in ("memcheck", "racecheck")]
    return table
