#!/usr/bin/env python3
"""hiermoe report: its numbers are the statistics' sums, sections without data are left out, the page needs nothing."""
import html.parser
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from where import REPORT, ROOT
from report import advice, lines, sections

RANKS, NODES = 8, 4
COUNTERS = ("replaced", "agreements", "bytes_raw", "bytes_sent", "bytes_raw_between_nodes", "bytes_sent_between_nodes",
            "rows", "distinct", "predicted_calls", "measured_calls", "measured_plain_calls")
TIMES = ("predicted_plain_ms", "predicted_ms", "measured_ms", "measured_agree_ms", "measured_plain_ms")


def line_of(draw, rank, **more):
    """A rank's last line, with numbers that nobody would guess."""
    line = dict(event="end", time=1700000100.5, host=f"host{rank // 2}", pid=100 + rank, communicator=0, rank=rank,
                ranks=RANKS, node=rank // 2, nodes=NODES, profile="prior", version="1.2.3", nccl=22809,
                began=1700000000.25)
    line.update({key: draw.randrange(1, 10 ** 9) for key in COUNTERS})
    line.update({key: draw.randrange(1, 10 ** 9) / 1000 for key in TIMES})
    line.update(bytes_raw_to_node=[draw.randrange(10 ** 9) for _ in range(NODES)],
                bytes_sent_to_node=[draw.randrange(10 ** 9) for _ in range(rank % NODES)],
                measured_log2_us=[0, 0, draw.randrange(9), rank], measured_plain_log2_us=[],
                depth=[0, 0, draw.randrange(1, 99), 0], left={"trial": draw.randrange(1, 99), "no_gain": rank + 1})
    line.update(more)
    return line


class Page(html.parser.HTMLParser):
    """Tags that are opened and closed, and all words."""
    ALONE = ("meta", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.faults = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        self.words.append(data)


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.at, self.draw = self.folder.name, random.Random(1)

    def files(self, last):
        """A file a rank; an earlier line and a torn one must not count."""
        for line in last:
            with open(f"{self.at}/stats.{line['rank']}", "w", encoding="utf-8") as file:
                earlier = {key: value // 2 if isinstance(value, int) and key in COUNTERS else value
                           for key, value in line.items()}
                file.write(json.dumps(dict(earlier, event="interval")) + "\n" + json.dumps(line) + "\n")
                file.write('{"event": "interval", "time": 17\n')
        return last

    def ends(self, status, *arguments, said=""):
        done = subprocess.run([sys.executable, REPORT, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for words in [said] if isinstance(said, str) else said:
            self.assertIn(words, done.stdout + done.stderr)
        return done.stdout

    def test_numbers_are_sums(self):
        last = self.files([line_of(self.draw, rank) for rank in range(RANKS)])
        said = self.ends(0, self.at, "--html", f"{self.at}/page.html")
        os.unlink(f"{self.at}/page.html")
        table = dict(re.findall(r"^(\w+) +([\d.]+)$", said[said.index("All counters"):], flags=re.M))
        for key in COUNTERS:
            self.assertEqual(int(table[key]), sum(line[key] for line in last), key)
        for key in TIMES:
            self.assertAlmostEqual(float(table[key]), sum(line[key] for line in last), 3, key)
        self.assertEqual(re.search(r"replaced at depth 2 +(\d+)", said)[1], str(sum(line["depth"][2] for line in last)))
        self.assertEqual(re.search(r"^no_gain +(\d+)", said, flags=re.M)[1], str(sum(range(1, RANKS + 1))))
        mean = sum(line["measured_ms"] for line in last) / sum(line["measured_calls"] for line in last)
        self.assertIn(f"{mean:.3f}", re.search(r"^replaced +[\d.]+$", said[said.index("Time"):], flags=re.M)[0])

    def test_bytes_by_level_and_node(self):
        last = [line_of(self.draw, rank, bytes_raw=1000, bytes_sent=700, bytes_raw_between_nodes=900,
                        bytes_sent_between_nodes=450) for rank in range(RANKS)]
        table = sections.traffic(last).table
        self.assertEqual([row[:3] for row in table[1:]], [("all", "8000", "5600"), ("between nodes", "7200", "3600"),
                                                          ("inside nodes", "800", "2000")])
        whole = sections._matrix(last, NODES, "bytes_raw_to_node")
        for node in range(NODES):
            for other in range(NODES):
                self.assertEqual(whole[node][other], sum(line["bytes_raw_to_node"][other] for line in last
                                                         if line["node"] == node))
        self.assertEqual(len(sections.matrix(last).charts), 2)

    def test_ranks_are_compared(self):
        last = [line_of(self.draw, rank, bytes_sent=100) for rank in range(RANKS)]
        last[5]["bytes_sent"] = 300
        row = next(row for row in sections.skew(last).table if row[0] == "bytes sent")
        self.assertEqual(row[1:], ("100 B", "100 B", "300 B", "2.400", "5"))

    def test_sections_without_data_are_left_out(self):
        bare = dict(host="h", pid=1, communicator=0, rank=0, ranks=2, depth=[0, 0], left={})
        titles = [section.title for section in sections.every([bare])]
        self.assertEqual(titles, ["", "Where it comes from", "All counters"])
        whole = [section.title for section in sections.every([line_of(self.draw, rank) for rank in range(RANKS)])]
        self.assertEqual(len(whole), len(sections.SECTIONS))

    def test_what_is_said(self):
        last = [line_of(self.draw, rank) for rank in range(RANKS) if rank != 3]
        last[0].update(version="9.9", event="interval", left={"observe": 4})
        self.files(last)
        self.ends(0, *(f"{self.at}/{name}" for name in os.listdir(self.at)),
                  said=["7 of 8 ranks on 4 nodes", "No statistics of rank 3", "different versions", "observe mode",
                        "1 of 7 communicators wrote no last line", advice.ADVICE["observe"]])

    def test_page(self):
        """Well-formed, without scripts, without anything from the network; names from jobs are only words."""
        self.files([line_of(self.draw, rank, profile="<b>&'\"") for rank in range(RANKS)])
        self.ends(0, self.at, "--html", f"{self.at}/../{os.path.basename(self.at)}.html")
        path = f"{self.at}.html"
        self.addCleanup(os.unlink, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        page = Page(text)
        self.assertEqual((page.open, page.faults), ([], []))
        self.assertIn("<b>&'\"", page.words)
        self.assertNotRegex(text, r"https?:|<script|\bsrc=|@import|url\((?!#)")
        if shutil.which("chromium") is None:
            return
        done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                               f"--user-data-dir={self.at}/chromium", "--dump-dom", f"file://{path}"],
                              capture_output=True, text=True)
        self.assertIn("What HierMoE did", done.stdout)
        self.assertNotIn("CONSOLE", done.stderr)

    def test_wrong_inputs(self):
        self.ends(2, said="usage:")
        self.ends(2, "/nope", said="report: /nope: No such file")
        self.ends(2, self.at, said="no line of statistics")
        with open(f"{self.at}/other", "w", encoding="utf-8") as file:
            file.write('{"host": "h", "pid": 1, "communicator": 0}\n[]\n7\nwords\n\n')
        self.ends(2, self.at, said="no line of statistics")
        self.files([line_of(self.draw, 0)])
        self.ends(2, self.at, "--html", "/nope/x", said="--html: /nope/x: No such file")

    def test_every_reason_has_advice(self):
        with open(os.path.join(ROOT, "shim", "base", "reasons.def"), encoding="utf-8") as file:
            reasons = {name.lower() for name in re.findall(r"^HM_REASON\((\w+),", file.read(), flags=re.M)} - {"none"}
        self.assertEqual(set(advice.ADVICE), reasons)

    def test_keys_are_those_of_the_library(self):
        with open(os.path.join(ROOT, "shim", "base", "stats.def"), encoding="utf-8") as file:
            known = set(re.findall(r'^HM_STAT\w*\(.*?"(\w+)"', file.read(), flags=re.M))
        used = set(COUNTERS) | set(TIMES) | {"measured_log2_us", "measured_plain_log2_us", "bytes_raw_to_node",
                                             "bytes_sent_to_node", "measured_predicted_ms"}
        self.assertEqual(used - known, set())

    def test_lines_of_one_communicator(self):
        """The last one counts, of each process and communicator."""
        path = f"{self.at}/stats"
        with open(path, "w", encoding="utf-8") as file:
            for pid, communicator, replaced in ((1, 0, 1), (1, 1, 10), (1, 0, 2), (2, 0, 100)):
                file.write(json.dumps(dict(host="h", pid=pid, communicator=communicator, rank=0, ranks=1, depth=[],
                                           left={}, replaced=replaced)) + "\n")
        found = lines.read([Path(path)])
        self.assertEqual(sorted(line["replaced"] for line in found), [2, 10, 100])


if __name__ == "__main__":
    unittest.main()
