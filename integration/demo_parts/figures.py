"""The demo's figures, and the table of them."""
import statistics

from . import machine
from .request import DIRECTIONS


def depth_used(runs):
    """The depth of most replaced calls (0: none was replaced), how many calls were replaced, and how many were left
    alone by reason."""
    calls, reasons = {}, {}
    for _, statistics_lines in runs:
        for line in statistics_lines:
            for depth, count in enumerate(line["depth"]):
                calls[depth] = calls.get(depth, 0) + count
            for reason, count in line["left"].items():
                reasons[reason] = reasons.get(reason, 0) + count
    calls = {depth: count for depth, count in calls.items() if count}
    return (max(calls, key=calls.get) if calls else 0), sum(calls.values()), reasons


def one_direction(results):
    """The figures of one direction, over all runs of a kind."""
    return dict(ms=statistics.median(ms for r in results for ms in r["ms"]["all"]),
                cpu_ms=statistics.fmean(sum(r["cpu_ms"]) for r in results) / machine.cores(),
                wire_bytes=statistics.fmean(r["wire"]["bytes"] for r in results),
                wrong=sum(r["wrong"] for r in results), checked_bytes=sum(r["checked_bytes"] for r in results))


def one_kind(args, runs):
    """Of one kind of runs: all directions together, as one follows the other."""
    results = {name: [result["results"][name] for result, _ in runs] for name in DIRECTIONS[args.direction]}
    each = [one_direction(of) for of in results.values()]
    figures = {key: sum(one[key] for one in each) for key in each[0]}
    errors = [r["max_error_ulp"] for of in results.values() for r in of if "max_error_ulp" in r]
    figures["max_error_ulp"] = max(errors) if errors else None
    return figures


def times(volume, factor):
    """A volume of one direction for several: the way back carries what the way there does, the other way round."""
    if isinstance(volume, dict):
        return {key: times(value, factor) for key, value in volume.items()}
    return [value * factor for value in volume] if isinstance(volume, list) else volume * factor


def summarise(args, runs):
    figures = {key: one_kind(args, runs[kind]) for key, kind in (("baseline", "plain"), ("shim", "hiermoe"))}
    unique = times(runs["plain"][0][0]["unique"], len(DIRECTIONS[args.direction]))
    base, shim = figures["baseline"], figures["shim"]
    depth, replaced, reasons = depth_used(runs["hiermoe"])
    figures.update(speedup=base["ms"] / shim["ms"], exact=base["wrong"] == 0 and shim["wrong"] == 0,
                   wire_ratio=shim["wire_bytes"] / base["wire_bytes"] if base["wire_bytes"] else None, depth=depth,
                   replaced=replaced, left=reasons, ranks=args.nodes * args.ranks_per_node, nodes=args.nodes, rate=args.rate,
                   direction=args.direction, mode="guided" if args.guided else "exact",
                   max_error_ulp=shim["max_error_ulp"], cores=machine.cores(),
                   preloaded_ranks=min(len(lines) for _, lines in runs["hiermoe"]),
                   config=runs["plain"][0][0]["config"], unique=unique,
                   wire_per_unique={key: figures[key]["wire_bytes"] / unique["bytes"]["per_node"]
                                    if unique["bytes"]["per_node"] else None for key in ("baseline", "shim")})
    return figures


def link_ms(args, bytes_on_link):
    """Ms that a link needs for these bytes alone."""
    number, unit = args.rate[:-4], {"k": 1e3, "m": 1e6, "g": 1e9}[args.rate[-4]]
    return bytes_on_link * 8 / (int(number) * unit) * 1e3


def links_ms(args, figures):
    """Of the busiest link, plain and once per node."""
    busiest = figures["unique"]["busiest_link"]
    return {key: link_ms(args, max(busiest[f"{key}_out"], busiest[f"{key}_in"])) for key in ("flat", "node")}


def table(args, shape, figures):
    base, shim, unique = figures["baseline"], figures["shim"], figures["unique"]
    link, ratio, floor = links_ms(args, figures), figures["wire_ratio"], figures["wire_per_unique"]
    rows = [("", "plain", "hiermoe", ""),
            (f"time of {'dispatch and combine' if args.direction == 'both' else 'one ' + args.direction}, ms", f"{base['ms']:.1f}", f"{shim['ms']:.1f}",
             f"speedup {figures['speedup']:.2f}"),
            ("  its busiest link needs at least", f"{link['flat']:.1f}", f"{link['node']:.1f}", ""),
            ("  processor time of it, on each core", f"{base['cpu_ms']:.1f}", f"{shim['cpu_ms']:.1f}",
             f"{figures['ranks']} ranks on {figures['cores']} cores"),
            ("on the wire between nodes, MB", f"{base['wire_bytes'] / 1e6:.2f}", f"{shim['wire_bytes'] / 1e6:.2f}",
             f"{ratio:.3f} of plain" if ratio else ""),
            ("  over each token once per node",
             *(f"{floor[key]:.2f}x" if floor[key] else "-" for key in ("baseline", "shim")),
             f"{unique['bytes']['per_node'] / 1e6:.2f} MB"),
            ("wrong bytes", str(base["wrong"]), str(shim["wrong"]),
             f"of {(base['checked_bytes'] + shim['checked_bytes']) / 1e9:.2f} GB checked"),
            *([("largest error of a sum, ulp", f"{base['max_error_ulp']:.2f}", f"{shim['max_error_ulp']:.2f}", "")]
              if shim["max_error_ulp"] is not None else []),
            ("depth", "-", str(figures["depth"] or "none"), "")]
    print(f"\n{args.nodes} nodes x {args.ranks_per_node} ranks, {args.rate} links, hidden {args.hidden} bf16, {shape}")
    for name, plain, ours, note in rows:
        print(f"{name:36} {plain:>12} {ours:>12}  {note}".rstrip())


def notes(args, figures):
    """What to bear in mind with these figures: sentences."""
    shim, link, said = figures["shim"], links_ms(args, figures), []
    why = ", ".join(f"{reason} ({count})" for reason, count in figures["left"].items())
    if figures["preloaded_ranks"] == 0:
        said.append("the library was not loaded: no rank left statistics")
    elif not figures["depth"]:
        said.append("the library replaced no call" + (f": {why}" if why else ""))
    elif why:
        calls = figures["replaced"] + sum(figures["left"].values())
        said.append(f"the library replaced {figures['replaced']} of {calls} calls of all ranks, warming up included; "
                    f"left alone: {why}")
    if figures["busy"] > machine.BUSY:
        said.append(f"the machine was busy with other work ({100 * figures['busy']:.0f} % of its processors' time): "
                    "times are too long")
    if machine.crowded(figures["ranks"]):
        said.append(machine.crowded(figures["ranks"]))
    elif shim["cpu_ms"] > link["node"]:
        said.append("processors rather than links decide the preloaded time here: on a cluster GPUs move the rows")
    return said
