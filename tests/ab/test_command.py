#!/usr/bin/env python3
"""hiermoe ab from end to end, around jobs of a few lines: what it says, writes and exits with."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from where import AB, HERE, ROOT
from ab import preload, row, wires
from pathlib import Path

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "HIERMOE_STATS_FILE")}
JOB = [sys.executable, os.path.join(HERE, "fake_job.py")]


def any_library():
    """A library that every program can preload and that changes nothing: one that this Python is linked with."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = line.split()[-1] if line else ""
        if re.search(r"/lib(m|c)[.-][^/]*so", path):
            return path
    raise unittest.SkipTest("this Python is linked with no libc.so")


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="hiermoe ab:")  # what LD_PRELOAD cannot hold
        self.at = self.folder.name
        self.runs = tempfile.TemporaryDirectory(prefix="hiermoe-ab-")
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.runs.cleanup)

    def command(self, *options, job=(), repeat=2):
        return [sys.executable, AB, "--library", any_library(), "--dir", f"{self.runs.name}/{time.monotonic_ns()}",
                "--repeat", str(repeat), *options, "--", *JOB, *job]

    def ends(self, status, *options, said="", job=(), command=None):
        """Runs it to its end; returns standard output."""
        done = subprocess.run(command or self.command(*options, job=job), capture_output=True, text=True, cwd=self.at,
                              env=ENVIRONMENT)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for words in [said] if isinstance(said, str) else said:
            self.assertIn(words, done.stdout + done.stderr)
        return done.stdout

    def test_faster(self):
        path = f"{self.at}/f.json"
        self.ends(0, "--json", path, said=["Faster with the library: speedup 2.000",
                                           "Equal in every digit, in 8 steps: loss", "2 of 2 ranks",
                                           "12 calls were replaced, 8 left alone", "no_gain"])
        figures = json.loads(Path(path).read_text(encoding="utf-8"))
        self.assertAlmostEqual(figures["speedup"], 2)
        self.assertEqual((figures["verdict"], figures["loss_equal"]), ("faster", True))
        self.assertEqual((figures["step_ms"], figures["plain_step_ms"], figures["ranks"]), (50.0, 100.0, 2))
        self.assertEqual([run["kind"] for run in figures["runs"]], ["plain", "hiermoe", "hiermoe", "plain", "plain"])
        self.assertEqual(figures["bytes"], {"bytes_raw": 2000, "bytes_sent": 800})
        self.assertEqual([round(end, 6) for end in figures["interval"]], [2, 2])

    def test_no_difference(self):
        self.ends(0, job=["--preloaded-ms", "100"], said="No difference beyond noise")

    def test_slower(self):
        self.ends(0, job=["--preloaded-ms", "200"], said="Slower with the library: speedup 0.500")

    def test_losses_differ(self):
        self.ends(1, job=["--loss", "1.75"], said="the preloaded job differs from the plain one at step 5, loss 1.75 "
                                                  "instead of 1.5 (relative difference 1.7e-01)")

    def test_the_job_does_not_repeat_itself(self):
        out = self.ends(0, "--json", "-", job=["--restless"], said="The job does not repeat itself either")
        self.assertIsNone(json.loads(out)["loss_equal"])

    def test_failures_of_the_job(self):
        self.ends(2, job=["--exit", "7", "--words", "no such data"], said=["run 1 of 5 (plain) ended with status 7",
                                                                           "  no such data"])
        self.ends(2, job=["--kill", "9"], said="run 1 of 5 (plain) was ended by SIGKILL")
        slow = [*self.command("--timeout", "0.5")[:-len(JOB)], "sleep", "600"]
        self.ends(2, command=slow, said="run 1 of 5 (plain) took longer than --timeout")
        self.ends(2, command=[*self.command()[:-len(JOB)], "/nope/job"], said="/nope/job: No such file")

    def test_output_that_says_nothing(self):
        self.ends(2, job=["--steps", "0"], said="no step times in the output of run 1 of 5 (plain)")
        self.ends(2, job=["--steps", "4"], said="printed 4 steps: expected more than --warmup 4")

    def test_not_preloaded(self):
        self.ends(3, job=["--ranks", "0"], said="no rank left statistics")
        self.ends(3, job=["--ranks", "3", "--silent", "1"], said=["2 of 3 ranks loaded the library", "rank 1"])

    def test_communicators_without_a_size(self):
        self.ends(0, job=["--sizeless"], said="The library was loaded, by how many ranks is not known")

    def test_fail_below(self):
        self.ends(4, "--fail-below", "2.5", said="speedup 2.000 is less than --fail-below 2.5")
        self.ends(0, "--fail-below", "1.9")
        self.ends(1, "--fail-below", "2.5", job=["--loss", "2"])

    def test_wrong_bytes_of_a_benchmark_are_a_difference(self):
        table = "   dispatch  4096  bf16  9.0 8.0 9.5 1.0 0.5  1234  "
        job = (f'[ -n "$HIERMOE_STATS_FILE" ] || {{ echo "{table} 0"; exit 0; }}; '
               f'{" ".join(JOB)} --steps 0; echo "{table} 3"; exit 1')
        self.ends(1, command=[*self.command()[:-len(JOB)], "sh", "-c", job], said="#wrong 3 instead of 0")

    def test_wrong_options(self):
        for options, said in ((["--repeat", "1"], "--repeat: expected a whole number of at least 2, got '1'"),
                              (["--warmup", "-1"], "--warmup: expected a whole number of at least 0"),
                              (["--confidence", "100"], "--confidence: expected per cent from 50 to below 100"),
                              (["--fail-below", "x"], "--fail-below: expected a number above 0, got 'x'"),
                              (["--metric", "x"], "--metric: 'x': expected one group for the number"),
                              (["--json", "/nope/x"], "--json: /nope/x: No such file"),
                              (["--html", "/nope/x"], "--html: /nope/x: No such file"),
                              (["--library", "/nope/lib"], "expected the library in /nope/lib"),
                              (["--dir", self.at], "--dir: ")):
            self.ends(2, *options, said=said)
        self.ends(2, command=[sys.executable, AB, "--repeat", "2"], said="expected -- and the command")
        self.ends(0, command=[sys.executable, AB, "--help"], said="exit status:")

    def test_metric(self):
        path = f"{self.at}/f.json"
        self.ends(0, "--metric", r'"step": (?P<step>\d+), "ms": (?P<us>[\d.]+)', "--json", path)
        self.assertEqual(json.loads(Path(path).read_text(encoding="utf-8"))["plain_step_ms"], 0.1)

    def test_turns_and_preload(self):
        """LD_PRELOAD of the user stays; a library whose path has blanks and colons is reached all the same."""
        count, library = f"{self.runs.name}/count", f"{self.at}/libhiermoe.so"
        shutil.copyfile(any_library(), library)
        command = self.command(job=["--count", count])
        command[command.index("--library") + 1] = library
        self.ends(0, command=["env", f"LD_PRELOAD={any_library()}", *command])
        lines = [line.split() for line in Path(count).read_text(encoding="utf-8").splitlines()]
        self.assertEqual([line[0] for line in lines], ["plain", "hiermoe", "hiermoe", "plain", "plain"])
        self.assertEqual(lines[0][1], any_library())
        ours, others = lines[1][1].split(":")
        self.assertEqual((os.path.basename(ours), others), ("libhiermoe.so", any_library()))
        self.assertTrue(os.path.samefile(os.path.realpath(ours), library))

    def test_row(self):
        out = self.ends(0, "--row", "fake", "a variant")
        found = json.loads(out)
        self.assertEqual(list(found), ["job", "variant", "nodes", "gpus", "gpu", "mode", "step_ms", "plain_step_ms",
                                       "speedup", "replaced", "left", "loss_equal", "date", "commit", "command"])
        self.assertEqual((found["job"], found["variant"], found["gpus"], found["replaced"], found["left"]),
                         ("fake", "a variant", 2, 12, 8))
        self.assertIn("fake_job.py", found["command"])

    def test_pages(self):
        page, table = f"{self.at}/f.html", f"{self.at}/f.md"
        self.ends(0, "--html", page, "--markdown", table)
        html, text = (Path(path).read_text(encoding="utf-8") for path in (page, table))
        self.assertIn("<svg", html)
        self.assertNotRegex(html, r"https?:|<script|<link[^>]*stylesheet")
        self.assertIn("| step, ms | 100 | 50 | speedup 2.000 |", text)

    def test_progress(self):
        self.ends(0, said=["run 1 of 5 (plain):", "4 to come, about", "run 5 of 5 (plain):", "s, 100 ms a step\n"])
        self.ends(0, "--show-output", job=["--words", "hello from the job"], said="hello from the job")

    def test_interrupted(self):
        """The job ends with the command."""
        pids = f"{self.runs.name}/pids"
        command = [*self.command()[:-len(JOB)], "sh", "-c", f"echo $$ >>{pids}; exec sleep 600"]
        process = subprocess.Popen(command, cwd=self.at, stderr=subprocess.PIPE, text=True)
        while not os.path.exists(pids) or not os.path.getsize(pids):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
        self.assertEqual((process.returncode, "interrupted" in said), (143, True), said)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(Path(pids).read_text(encoding="utf-8")), 0)


class Parts(unittest.TestCase):
    def test_environment(self):
        base = {"LD_PRELOAD": "/a/libhiermoe.so /b/other.so", "HIERMOE_STATS_FILE": "/old", "HIERMOE_DEPTH": "2"}
        plain = preload.environment("plain", Path("/new/a b.so"), Path("/new/libhiermoe.so"), Path("/runs"), base)
        self.assertEqual(plain, {"LD_PRELOAD": "/b/other.so", "HIERMOE_DEPTH": "2"})
        ours = preload.environment("hiermoe", Path("/new/a b.so"), Path("/new/libhiermoe.so"), Path("/runs"), base)
        self.assertEqual(ours, {"LD_PRELOAD": "/new/libhiermoe.so:/b/other.so", "HIERMOE_DEPTH": "2",
                                "HIERMOE_STATS_FILE": "/runs/stats.%h.%p"})

    def test_hiermoe_run(self):
        """Where the command is beside the library, it starts the preloaded job, and nothing is preloaded here."""
        with tempfile.TemporaryDirectory() as prefix:
            for folder in ("lib", "lib/x86_64-linux-gnu"):
                os.makedirs(f"{prefix}/{folder}")
                library = Path(prefix) / folder / "libhiermoe.so"
                self.assertEqual(preload.command_of("hiermoe", library, Path("/runs"), ["job"]), ["job"])
            os.mkdir(f"{prefix}/bin")
            Path(f"{prefix}/bin/hiermoe").touch()
            for folder in ("lib", "lib/x86_64-linux-gnu"):
                library = Path(prefix) / folder / "libhiermoe.so"
                self.assertEqual(preload.command_of("hiermoe", library, Path("/runs"), ["job", "-x"]),
                                 [f"{prefix}/bin/hiermoe", "run", "--library", str(library), "--stats-file",
                                  "/runs/stats.%h.%p", "--", "job", "-x"])
                self.assertEqual(preload.command_of("plain", library, Path("/runs"), ["job"]), ["job"])
                self.assertEqual(preload.environment("hiermoe", library, library, Path("/runs"),
                                                     {"LD_PRELOAD": "/b/other.so"}), {"LD_PRELOAD": "/b/other.so"})

    def test_counters(self):
        with tempfile.TemporaryDirectory() as root:
            for name, count in (("lo", 1), ("eth0", 20), ("eth1", 300), ("br0", 4000)):
                os.makedirs(f"{root}/net/{name}/statistics")
                Path(f"{root}/net/{name}/statistics/tx_bytes").write_text(f"{count}\n")
            os.mkdir(f"{root}/net/br0/bridge")
            os.makedirs(f"{root}/ib/mlx5_0/ports/1/counters")
            Path(f"{root}/ib/mlx5_0/ports/1/counters/port_xmit_data").write_text("25\n")
            self.assertEqual(wires.kernel(Path(root) / "net"), 320)
            self.assertEqual(wires.infiniband(Path(root) / "ib"), 100)
            self.assertIsNone(wires.infiniband(Path(root) / "none"))
        text = "GPU 0: NVIDIA H200\n\t Link 0: Data Tx: 3 KiB\n\t Link 0: Data Rx: 9 KiB\n\t Link 1: Data Tx: 1 KiB\n"
        self.assertEqual(wires.nvlink_parse(text), 4096)
        self.assertIsNone(wires.nvlink_parse("Failed to get NVLink counters"))
        self.assertEqual(wires.difference({"a": 1, "b": 9, "c": 1}, {"a": 5, "b": 2}), {"a": 4})

    def test_commit(self):
        self.assertEqual(row.commit() is not None, os.path.exists(os.path.join(ROOT, ".git")))


if __name__ == "__main__":
    unittest.main()
