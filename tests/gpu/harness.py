"""What the GPU tests share: where the binaries are, running ranks under nodes.sh in bounded time, reading back what the
library counted, and one log of everything."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Failed(Exception):
    """A test's verdict; its text is the reason."""


class Skipped(Exception):
    """Cannot be run here; its text is the reason."""


class Ranks:
    """What the ranks of one run did."""

    def __init__(self, status, seconds, said, stats):
        self.status, self.seconds, self.said, self.stats = status, seconds, said, stats

    def json_lines(self, rank=0):
        found = []
        for line in self.said.get(rank, "").splitlines():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except ValueError:
                    pass
        return found

    def replaced(self):
        """Smallest number of calls replaced in any process, over its communicators."""
        total = {}
        for line in self.stats:
            total[line["pid"]] = total.get(line["pid"], 0) + line["replaced"]
        return min(total.values(), default=0)

    def left(self):
        """Calls left alone, by reason, over all ranks."""
        total = {}
        for line in self.stats:
            for reason, count in line["left"].items():
                total[reason] = total.get(reason, 0) + count
        return total


def gpu_count():
    try:
        text = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in text.splitlines())


def gpu_name():
    try:
        text = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True,
                              text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    return text.splitlines()[0].strip() if text.strip() else "none"


def build():
    """Folder with bin/ and lib/: HM_BUILD, or one built from the checkout."""
    given = os.environ.get("HM_BUILD")
    if given:
        return Path(given).resolve()
    folder = ROOT / "build"
    targets = ["hiermoe", "moe_perf", "kernels_test", "gpu_random_calls", "gpu_call_cost"]
    for command in (["cmake", "-S", str(ROOT), "-B", str(folder)],
                    ["cmake", "--build", str(folder), "--parallel", "--target", *targets]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}\n"
                     "the build failed; where headers are missing, set HM_BUILD to a folder with bin/ and lib/")
    return folder


class Harness:
    def __init__(self, out, gpus, nccl=None, budget=480, patience=1):
        self.build, self.out, self.gpus, self.nccl = build(), Path(out).resolve(), gpus, nccl
        self.shim = self.build / "lib" / "libhiermoe.so"
        self.end, self.patience = time.monotonic() + budget, patience
        self.temporary = Path(tempfile.mkdtemp(prefix="hmgpu."))
        self.mps, self.figures, self.runs = None, [], 0
        self.out.mkdir(parents=True, exist_ok=True)
        self.log_file = open(self.out / "run.log", "a", buffering=1)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def program(self, name):
        path = self.build / "bin" / name
        if not path.exists():
            raise Failed(f"{path} is missing: build the target {name}, or set HM_BUILD")
        return str(path)

    def log(self, text):
        self.log_file.write(text if text.endswith("\n") else text + "\n")

    def figure(self, **values):
        """Keeps a measurement for results.json."""
        self.figures.append(values)

    def left_seconds(self):
        return self.end - time.monotonic()

    def mps_begin(self):
        """One multi-process service for all runs on several nodes."""
        if self.mps or not shutil.which("nvidia-cuda-mps-control"):
            return
        self.mps = self.temporary / f"mps{self.runs}"
        self.mps.mkdir()
        if subprocess.run(["nvidia-cuda-mps-control", "-d"], env=dict(os.environ, **self.mps_variables()),
                          timeout=60).returncode:
            self.mps = None
            raise Failed("nvidia-cuda-mps-control -d failed")

    def mps_variables(self):
        where = str(self.mps)
        return dict(CUDA_MPS_PIPE_DIRECTORY=where, CUDA_MPS_LOG_DIRECTORY=where) if self.mps else {}

    def mps_end(self):
        if not self.mps:
            return
        try:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, timeout=30,
                           capture_output=True, env=dict(os.environ, **self.mps_variables()))
        except subprocess.TimeoutExpired:
            self.log("the multi-process service did not end within 30 s")
        self.mps = None

    def close(self):
        self.mps_end()
        (self.out / "results.json").write_text(json.dumps(self.figures, indent=1) + "\n")
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.log_file.close()

    def run(self, command, seconds, env=None):
        """Runs a command in a process group of its own; none of the group is left. (status or None for late, output)"""
        seconds = min(seconds, self.left_seconds())
        if seconds < 5:
            raise Failed("not run: the time for all tests is used up (--budget)")
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            began = time.monotonic()
            process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=said,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                self.end_group(process)
            said.seek(0)
            text = said.read()
        self.log(f"$ {' '.join(map(str, command))}\n{text}-> status {status}, {time.monotonic() - began:.1f} s\n")
        return status, text

    @staticmethod
    def end_group(process):
        for sign, patience in ((signal.SIGTERM, 12), (signal.SIGKILL, 8)):
            try:
                os.killpg(process.pid, sign)
                process.wait(patience)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                pass

    def ranks(self, nodes, gpus, command, preload=False, env=(), seconds=60, check=True):
        """Runs a command as nodes x gpus ranks; with check, a status other than 0 is a failure."""
        self.runs += 1
        folder = self.temporary / f"run{self.runs}"
        folder.mkdir()
        seconds *= self.patience
        surroundings = dict(os.environ, LOG_DIR=str(folder), TIMEOUT=str(int(seconds)), **dict(env))
        if self.nccl:
            surroundings["NCCL_DIR"] = str(self.nccl)
        if nodes > 1:
            self.mps_begin()
            surroundings.update(self.mps_variables())
        if preload:
            surroundings.update(PRELOAD=str(self.shim), HIERMOE_STATS_FILE=str(folder / "stats.%p"))
        settings = " ".join(f"{k}={v}" for k, v in dict(env).items())
        self.log(f"# {nodes} x {gpus} ranks, {'preloaded' if preload else 'plain'} {settings}")
        began = time.monotonic()
        status, text = self.run([str(HERE / "nodes.sh"), str(nodes), str(gpus), "--", *map(str, command)], seconds + 20,
                                surroundings)
        if status in (None, 124, 137, 143):
            self.mps_end()  # a client that was killed can spoil the service for those after it
        result = Ranks(status, time.monotonic() - began, self.said(folder), self.statistics(folder))
        if preload:
            self.log("statistics: " + json.dumps(result.stats))
        if check and status != 0:
            why = "still ran when its time was up" if status in (None, 124) else f"ended with status {status}"
            raise Failed(f"{Path(command[0]).name} {nodes}x{gpus} {'preloaded' if preload else 'plain'} {why}: "
                         + self.last_words(text, result))
        return result

    @staticmethod
    def last_words(text, result):
        """The first line of anybody that says what is wrong, else the last line of all."""
        lines = [line for said in [text, *result.said.values()] for line in said.splitlines() if line.strip()]
        for word in ("WRONG", "wrong bytes", "Error", "error", "says:", "expected"):
            for line in lines:
                if word in line:
                    return line.strip()[:300]
        return lines[-1].strip()[:300] if lines else "nobody said anything"

    @staticmethod
    def said(folder):
        return {int(path.suffix[1:]): path.read_text(errors="replace") for path in sorted(folder.glob("rank.*"))}

    @staticmethod
    def statistics(folder):
        """The last line of each communicator of each process: counters are cumulative."""
        rows = [json.loads(line) for path in sorted(folder.glob("stats.*")) for line in path.read_text().splitlines()]
        return list({(row["host"], row["pid"], row["communicator"]): row for row in rows}.values())


def median(values):
    return statistics.median(values)
