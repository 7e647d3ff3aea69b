#!/usr/bin/env python3
"""Step times, losses and gradient norms are found in what each framework prints (samples/README.md)."""
import unittest

from where import sample
from ab import formats, output


def read(name):
    return output.read(sample(name))


class Formats(unittest.TestCase):
    def times(self, found, name, expected):
        self.assertEqual(found.format.name, name)
        self.assertEqual({key: round(ms, 6) for key, ms in found.ms.items()}, expected)

    def test_megatron(self):
        found = read("megatron.txt")
        self.times(found, "Megatron", {("", 1): 9210.4, ("", 2): 410.2, ("", 3): 404.8})
        self.assertEqual(found.digits["", 2], {"lm loss": ["1.082954E+01"], "load_balancing_loss": ["1.040112E+00"],
                                               "grad norm": ["5.871"]})

    def test_megatron_forks(self):
        found = read("megatron_fork.txt")
        self.times(found, "Megatron", {("", 34): 4103.1, ("", 35): 4002.5})
        self.assertEqual(found.digits["", 34], {"lm_loss": ["1.118665E+01"]})
        self.assertEqual(found.digits["", 35], {"lm loss": ["1.117000E+01"], "mtp_1 loss": ["1.120000E+01"],
                                                "grad norm": ["1.950"]})

    def test_torchtitan(self):
        """Colours, the ranks' prefixes, the slowest rank; validation is no step."""
        found = read("torchtitan.txt")
        self.times(found, "torchtitan", {("", 1): 1.25, ("", 2): round(1e3 / 10050, 6)})
        self.assertEqual(found.digits["", 1], {"loss": ["8.13405", "8.13405"], "grad_norm": ["1.3319", "1.3319"]})
        self.assertEqual(found.digits["", 2], {"loss": ["8.10680"], "grad_norm": ["26.6250"]})

    def test_deepspeed(self):
        """Rates become times of a sample, losses are those that stand apart; a loss scale is no loss."""
        found = read("deepspeed.txt")
        self.times(found, "DeepSpeed", {("", 10): 10.0, ("", 20): 8.0})
        self.assertEqual(found.digits, {("", 0): {"loss": ["2.075"], "grad_norm": ["0.5"]},
                                        ("", 1): {"loss": ["0.8091"], "grad_norm": ["0.25"]}})

    def test_deepspeed_pipeline(self):
        found = read("deepspeed_pipeline.txt")
        self.times(found, "DeepSpeed pipeline", {("", 10): 432.0, ("", 20): 401.0})
        self.assertEqual(found.digits["", 20], {"loss": ["5.1034"]})

    def test_nccl_tests(self):
        """Each size, out of place and in place, is a series of its own; there is no warm-up to skip."""
        found = read("nccl_tests.txt")
        small, large = "65536 B float", "262144 B float"
        self.times(found, "nccl-tests", {(f"{small} out of place", 0): 0.02, (f"{small} in place", 0): 0.022,
                                         (f"{large} out of place", 0): 0.04, (f"{large} in place", 0): 0.044})
        self.assertEqual(found.digits[f"{small} out of place", 0], {"#wrong": ["0"]})
        self.assertEqual(len(found.medians(4)), 4)

    def test_moe_perf(self):
        found = read("moe_perf.txt")
        self.assertEqual(found.format.name, "moe_perf")
        row = next(line for line in sample("moe_perf.txt").splitlines() if "dispatch" in line).split()
        self.assertEqual(found.ms, {("dispatch", 0): float(row[3]) / 1e3})
        self.assertEqual(found.digits, {("dispatch", 0): {"#wrong": ["0"]}})
        self.assertEqual(output.read("   dispatch  4096  bf16  9.0 8.0 9.5 1.0 0.5  1234  0\n").wire, 1234)

    def test_json(self):
        """All digits, as they were printed."""
        found = read("json.txt")
        self.times(found, "JSON lines", {("", 0): 1203.51, ("", 1): 310.25})
        self.assertEqual(found.digits["", 1], {"loss": ["5.440711498260498"], "grad_norm": ["2.9871232509613037"]})

    def test_json_variants(self):
        found = output.read('{"variant": "a", "step": 0, "ms": 1.5, "loss": NaN}\n{"variant": "b", "step": 0, "ms": 2}')
        self.assertEqual(found.medians(0), {"a": 1.5, "b": 2.0})
        self.assertEqual(found.digits["a", 0], {"loss": ["NaN"]})

    def test_nothing(self):
        for text in ("", "hello\n", '{"step": 1}\n{"ms": "x", "step": 2}\n[1]\n{', "step: 3 of 4\n"):
            self.assertIsNone(output.read(text).format, text)

    def test_warmup(self):
        """The first steps do not count, whatever their numbers are; fewer steps are none."""
        found = output.read("".join(f'{{"step": {step}, "ms": {ms}}}\n' for step, ms in ((30, 9), (10, 99), (20, 8))))
        self.assertEqual(found.medians(1), {"": 8.5})
        self.assertEqual(found.medians(3), {})


class Metric(unittest.TestCase):
    def one(self, pattern, line):
        return list(output.read(line, formats.metric_format(pattern)).ms.items())

    def test_units(self):
        self.assertEqual(self.one(r"took ([\d.]+)", "took 12.5"), [(("", 0), 12.5)])
        self.assertEqual(self.one(r"(?P<s>[\d.]+) s/it", "1.5 s/it"), [(("", 0), 1500.0)])
        self.assertEqual(self.one(r"(?P<us>\d+) us", "250 us"), [(("", 0), 0.25)])
        self.assertEqual(self.one(r"(?P<rate>[\d,.]+) tok/s", "2,000 tok/s"), [(("", 0), 0.5)])

    def test_steps_and_losses(self):
        form = formats.metric_format(r"(?P<series>\w+) (?P<step>\d+): (?P<ms>\d+) l=(?P<loss>\S+)")
        found = output.read("a 7: 5 l=1.50\nb 7: 6 l=2.5\n", form)
        self.assertEqual(found.ms, {("a", 7): 5.0, ("b", 7): 6.0})
        self.assertEqual(found.digits["a", 7], {"loss": ["1.50"]})

    def test_a_number_that_is_none(self):
        self.assertEqual(self.one(r"took (\S+)", "took ages\ntook 0\ntook 3"), [(("", 0), 3.0)])

    def test_refusals(self):
        for pattern in ("no group", "(", r"(?P<ms>1)(?P<s>2)"):
            with self.assertRaises(Exception):
                formats.metric_format(pattern)


if __name__ == "__main__":
    unittest.main()
