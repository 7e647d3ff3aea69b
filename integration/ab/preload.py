"""The library, and the environment of either kind of run."""
from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional

from .schedule import PRELOADED

NAME = "libhiermoe.so"
STATISTICS = "stats.%h.%p"  # in the folder of a run


def library_find(given: Optional[str]) -> Path:
    """--library, or the one of this build or installation. Raises FileNotFoundError with what was expected."""
    if given is not None:
        places = [Path(given)]
    else:
        program, source = Path(sys.argv[0]).absolute().parent, Path(__file__).resolve().parents[2]
        prefixes = [program.parents[1] if len(program.parents) > 1 else program, source.parent, source / "build"]
        places = [path for prefix in prefixes for pattern in ("lib", "lib64", "lib/*") for path in
                  sorted(prefix.glob(f"{pattern}/{NAME}"))]
    for path in places:
        if path.is_file():
            return path.resolve()
    raise FileNotFoundError(f"expected the library in {given}" if given else
                            f"{NAME} was not found in the build or installation: expected --library FILE")


def _others(value: str) -> List[str]:
    """What LD_PRELOAD names besides the library. ld.so parts it at colons and blanks."""
    return [name for name in re.split("[ :]+", value) if name and os.path.basename(name) != NAME]


def loadable(library: Path, folder: Path) -> Path:
    """The library under a path that LD_PRELOAD can hold: a link in the folder where its own has blanks or colons."""
    if not re.search(r"[\s:]", str(library)):
        return library
    link = folder / NAME
    if re.search(r"[\s:]", str(link)):
        raise ValueError(f"LD_PRELOAD cannot hold {library}, nor a link in {folder}: expected a path without blanks "
                         "and colons, see --dir")
    if not link.is_symlink():
        link.symlink_to(library)
    return link


def runner_find(library: Path) -> Optional[Path]:
    """The hiermoe command of the build or installation that the library is of: PREFIX/bin beside PREFIX/lib or
    PREFIX/lib/TRIPLET. It knows how launchers hand LD_PRELOAD on to ranks of other hosts."""
    for prefix in list(library.parents)[1:3]:
        if (prefix / "bin" / "hiermoe").is_file():
            return prefix / "bin" / "hiermoe"
    return None


def command_of(kind: str, library: Path, folder: Path, command: List[str]) -> List[str]:
    """What is started for a run of this kind: the job, under hiermoe run where that is there."""
    runner = runner_find(library)
    if kind != PRELOADED or runner is None:
        return command
    return [str(runner), "run", "--library", str(library), "--stats-file", f"{folder}/{STATISTICS}", "--", *command]


def environment(kind: str, library: Path, loadable: Path, folder: Path, base: Mapping[str, str]) -> Dict[str, str]:
    """That of a run of this kind whose statistics go to the folder; loadable: the library's path for LD_PRELOAD, which
    is set here where hiermoe run does not do it. Other HIERMOE_ settings stay as they are."""
    env = dict(base)
    preload = _others(env.pop("LD_PRELOAD", ""))
    env.pop("HIERMOE_STATS_FILE", None)
    if kind == PRELOADED and runner_find(library) is None:
        preload.insert(0, str(loadable))
        env["HIERMOE_STATS_FILE"] = f"{folder}/{STATISTICS}"
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
    return env
