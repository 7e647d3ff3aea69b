"""The command line and exit status of hiermoe report."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List

from . import lines, page, sections

DESCRIPTION = """Folds what HIERMOE_STATS_FILE got from all ranks into a table, and with --html into one page: time and
bytes by level, traffic from node to node before and after, reasons for which calls were left alone and what to do,
the gain predicted in observe mode, differences between ranks. Sections without data are left out.
"""
EPILOG = "exit status: 0; 2 a file could not be read or written, or there is no line of statistics in any"
TITLE = "What HierMoE did"


class Failed(Exception):
    """Said to the user as it is."""


def files(names: List[str]) -> List[Path]:
    """The files named, and those of named folders, one deep."""
    found: List[Path] = []
    for name in names:
        path = Path(name)
        try:
            found += sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        except OSError as error:
            raise Failed(f"{path}: {error.strerror}") from error
    return found


def statistics(names: List[str]) -> List[lines.Line]:
    try:
        found = lines.read(files(names))
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}") from error
    if not found:
        raise Failed(f"no line of statistics in {', '.join(names)}: expected files that a job wrote with "
                     "HIERMOE_STATS_FILE set")
    return sorted(found, key=lambda line: (-line["ranks"], line["rank"], line["communicator"]))


def main(argv: List[str]) -> int:
    ap = argparse.ArgumentParser(prog="hiermoe report", description=DESCRIPTION, epilog=EPILOG,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("files", metavar="FILE", nargs="+", help="written by ranks; of a folder, all files in it")
    ap.add_argument("--html", metavar="FILE", help="write one page without anything from the network")
    args = ap.parse_args(argv)
    try:
        made = sections.every(statistics(args.files))
        if args.html is not None:
            try:
                Path(args.html).write_text(page.html(TITLE, made), encoding="utf-8")
            except OSError as error:
                raise Failed(f"--html: {args.html}: {error.strerror}") from error
        sys.stdout.write(page.text(TITLE, made))
        sys.stdout.flush()
    except Failed as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    return 0
