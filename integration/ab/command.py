"""The way through hiermoe ab: options, runs, verdict, exit status."""
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from report import lines as stats

from . import options, output, preload, row, runner, schedule, show, summary, wires
from .schedule import PLAIN, PRELOADED

EXIT_DIFFERS, EXIT_FAILED, EXIT_NOT_PRELOADED, EXIT_SLOWER = 1, 2, 3, 4
TAIL = 25  # lines of a failed run's output that are shown


class Failed(Exception):
    """Said to the user as it is; status is the exit status."""

    def __init__(self, text: str, status: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.status = status


def say(text: str) -> None:
    print(f"ab: {text}", file=sys.stderr, flush=True)


def folder_make(given: "str | None") -> Path:
    folder = Path(given if given is not None else time.strftime("hiermoe-ab-%Y%m%d-%H%M%S")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=given is None)
    except OSError as error:
        raise Failed(f"--dir: {folder}: {error.strerror}: expected a folder that can be made") from error
    return folder


def files_check(args: argparse.Namespace) -> None:
    """Fails before anything is run rather than after."""
    for name in ("json", "markdown", "html"):
        path = getattr(args, name)
        if path is None or path == "-":
            continue
        try:
            with open(path, "a", encoding="utf-8"):
                pass
        except OSError as error:
            raise Failed(f"--{name}: {path}: {error.strerror}") from error


def job_failed(run: runner.Run, what: str) -> Failed:
    tail = run.text().splitlines()[-TAIL:]
    return Failed(f"{what} {run.end()}; all of its output is in {run.folder}, its last lines:\n" +
                  "\n".join(f"  {line}" for line in tail))


def loaded_check(lines: List[stats.Line], folder: Path) -> None:
    """Proof that every rank loaded the library: each wrote statistics of the largest communicator."""
    ranks, size = stats.world(lines)
    if not lines:
        raise Failed(f"no rank left statistics in {folder}: the library was not preloaded, or the job has no NCCL "
                     "communicator. A launcher for several hosts must pass LD_PRELOAD and HIERMOE_STATS_FILE on "
                     "(mpirun -x, srun --export=ALL), and they must share that folder (--dir)", EXIT_NOT_PRELOADED)
    if len(ranks) < size:
        missing = ", ".join(str(rank) for rank in range(size) if rank not in ranks)
        raise Failed(f"{len(ranks)} of {size} ranks loaded the library; without it, or with no statistics in {folder}: "
                     f"rank {missing}", EXIT_NOT_PRELOADED)


class Session:
    """The runs of one comparison."""

    def __init__(self, args: argparse.Namespace, command: List[str]) -> None:
        self.args, self.command = args, command
        try:
            self.library = preload.library_find(args.library)
        except FileNotFoundError as error:
            raise Failed(str(error)) from error
        files_check(args)
        self.folder = folder_make(args.dir)
        try:
            own = preload.runner_find(self.library) is None  # else hiermoe run sees to it
            self.loadable = preload.loadable(self.library, self.folder) if own else self.library
        except ValueError as error:
            raise Failed(str(error)) from error
        self.kinds = schedule.order(args.repeat)
        self.results: List[summary.Result] = []

    def start(self, kind: str, folder: Path) -> runner.Run:
        env = preload.environment(kind, self.library, self.loadable, folder, os.environ)
        command = preload.command_of(kind, self.library, folder, self.command)
        try:
            return runner.start(kind, command, env, folder, self.args.timeout, self.args.show_output)
        except OSError as error:
            raise Failed(f"{self.command[0]}: {error.strerror}") from error

    def result(self, run: runner.Run, wire: Dict[str, int], what: str) -> summary.Result:
        """What a run showed; fails where it cannot be compared."""
        said = output.read(run.text(), self.args.metric)
        if run.status != 0 and not said.wrong():  # benchmarks end with a failure where bytes were wrong
            raise job_failed(run, what)
        medians = said.medians(self.args.warmup)
        if said.format is None:
            raise Failed(f"no step times in the output of {what} (see {run.folder}): expected lines of Megatron, "
                         "DeepSpeed, torchtitan, nccl-tests or moe_perf, or --metric REGEX")
        if not medians:
            raise Failed(f"{what} printed {len(said.ms)} steps: expected more than --warmup {self.args.warmup}")
        if self.results and set(medians) != set(self.results[0].medians):
            raise Failed(f"{what} timed {sorted(medians)}, the first run {sorted(self.results[0].medians)}")
        lines = stats.read(sorted(run.folder.glob("stats.*")))
        if run.kind == PRELOADED:
            loaded_check(lines, run.folder)
        return summary.Result(run, said, medians, wire, lines)

    def run(self, number: int) -> None:
        kind, count = self.kinds[number], len(self.kinds)
        what = f"run {number + 1} of {count} ({kind})"
        before = wires.read()
        run = self.start(kind, self.folder / f"{number}.{kind}")
        result = self.result(run, wires.difference(before, wires.read()), what)
        self.results.append(result)
        left = schedule.seconds_left(self.kinds, [each.run.seconds for each in self.results])
        rest = f"; {count - number - 1} to come, about {schedule.duration(left)}" if number + 1 < count else ""
        step = math.exp(result.log)
        unit = result.output.format.unit if result.output.format is not None else "ms"
        say(f"{what}: {schedule.duration(run.seconds)}, {step:.4g} {unit} a step{rest}")

    def figures(self) -> Dict[str, Any]:
        say(f"{len(self.kinds)} runs in turns, output in {self.folder}")
        for number in range(len(self.kinds)):
            self.run(number)
        return {**summary.summarise(self.results, self.args.confidence / 100), **row.context(self.command)}


def write(args: argparse.Namespace, figures: Dict[str, Any]) -> None:
    texts = {"json": json.dumps(figures, indent=1) + "\n", "markdown": show.markdown(figures),
             "html": show.html(figures)}
    taken = args.row or "-" in (args.json, args.markdown, args.html)
    print(show.text(figures), file=sys.stderr if taken else sys.stdout)
    for name, text in texts.items():
        path = getattr(args, name)
        if path == "-":
            sys.stdout.write(text)
        elif path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise Failed(f"--{name}: {path}: {error.strerror}") from error
    if args.row:
        print(json.dumps(row.row(args.row[0], args.row[1], figures)))


def status_of(args: argparse.Namespace, figures: Dict[str, Any]) -> int:
    if figures["loss_equal"] is False:
        return EXIT_DIFFERS
    if args.fail_below is not None and figures["speedup"] < args.fail_below:
        say(f"speedup {figures['speedup']:.3f} is less than --fail-below {args.fail_below:g}")
        return EXIT_SLOWER
    return 0


def main(argv: List[str]) -> int:
    args, command = options.parse(argv)
    runner.signals_catch()
    try:
        figures = Session(args, command).figures()
        write(args, figures)
        sys.stdout.flush()
    except Failed as error:
        say(str(error))
        return error.status
    except runner.Interrupted as signal:
        say("interrupted")
        return 128 + int(signal.args[0])
    return status_of(args, figures)
