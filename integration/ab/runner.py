"""One run of the job: started, its output kept in files, ended with the command itself."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

GRACE = 10.0  # seconds that a job has to end after SIGTERM
STEP = 0.2    # seconds between looks at it


class Interrupted(Exception):
    """A signal ended the command; args[0] is its number."""


_caught: List[int] = []  # signals that came


def signals_catch() -> None:
    """SIGINT, SIGTERM and SIGHUP end the run under way from here on. They are looked for while a run is waited for: an
    exception out of the handler could come between the start of a job and the care for its end."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda number, _: _caught.append(number))


def interrupted_check() -> None:
    if _caught:
        raise Interrupted(_caught[0])


@dataclass
class Run:
    kind: str
    folder: Path
    status: int  # as a shell has it: 128 + number for a signal; 124: its time was up
    seconds: float

    def text(self) -> str:
        return "".join((self.folder / name).read_text(errors="replace") for name in ("out", "err"))

    def end(self) -> str:
        """How it ended, in words."""
        if self.status == 124:
            return "took longer than --timeout"
        if self.status > 128:
            try:
                return f"was ended by {signal.Signals(self.status - 128).name}"
            except ValueError:
                pass
        return f"ended with status {self.status}"


class Follower:
    """Copies what is added to files to standard error."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.files = [open(path, "rb") for path in paths]

    def copy(self) -> None:
        for file in self.files:
            sys.stderr.buffer.write(file.read())
        sys.stderr.buffer.flush()

    def close(self) -> None:
        self.copy()
        for file in self.files:
            file.close()


def group_end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the job and what it started, the harder way after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            pass


def _wait(process: "subprocess.Popen[bytes]", timeout: Optional[float], follower: Optional[Follower]) -> int:
    end = time.monotonic() + timeout if timeout is not None else None
    while True:
        interrupted_check()
        try:
            status = process.wait(STEP)
            return status if status >= 0 else 128 - status
        except subprocess.TimeoutExpired:
            if end is not None and time.monotonic() > end:
                return 124
        if follower is not None:
            follower.copy()


def start(kind: str, command: List[str], env: Dict[str, str], folder: Path, timeout: Optional[float],
          show: bool) -> Run:
    """Runs the command to its end. What it prints goes to folder/out and folder/err; with show also to standard error.
    It gets a session of its own, and all of that ends where the job fails, takes too long or is interrupted. Raises
    OSError where it cannot be started, and Interrupted."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   start_new_session=True)
    follower = Follower([folder / "out", folder / "err"]) if show else None
    status = 1
    try:
        status = _wait(process, timeout, follower)
    finally:
        if status != 0:
            group_end(process)
        if follower is not None:
            follower.close()
    return Run(kind, folder, status, time.monotonic() - began)
