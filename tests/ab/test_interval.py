#!/usr/bin/env python3
"""The verdict is seldom wrong: 1,000 comparisons made of recorded runs (samples/README.md) each, with fixed seeds."""
import json
import math
import random
import statistics
import unittest

from where import sample
from ab import interval, schedule

RUNS = json.loads(sample("step_times.json"))
WARMUP, COMPARISONS = 4, 1000
WRONG_MOST = 0.07


LOGS = [math.log(statistics.median(times[WARMUP:])) for times in RUNS]


def at_random(draw, count):
    """Runs that have nothing to do with each other."""
    return [draw.choice(LOGS) for _ in range(count)]


def in_a_row(draw, count):
    """Runs as they followed each other, forwards or backwards: what drifted then drifts here."""
    first = draw.randrange(len(LOGS) - count + 1)
    logs = LOGS[first:first + count]
    return logs if draw.random() < 0.5 else logs[::-1]


def drifting(draw, count):
    """Runs on a machine that gets slower by 10 % with each."""
    return [log + 0.1 * i for i, log in enumerate(at_random(draw, count))]


def verdicts(take, seed, pairs, speedup=1.0, confidence=0.95):
    """How many comparisons came to each verdict, and how many intervals held the true speedup."""
    draw, kinds = random.Random(seed), schedule.order(pairs)
    counts, held = {"faster": 0, "slower": 0, "no difference": 0}, 0
    for _ in range(COMPARISONS):
        logs = [log - (math.log(speedup) if kind == schedule.PRELOADED else 0)
                for log, kind in zip(take(draw, len(kinds)), kinds)]
        found = interval.compare(kinds, logs, confidence)
        counts[found.verdict] += 1
        held += found.interval[0] <= speedup <= found.interval[1]
    return counts, held


class Simulated(unittest.TestCase):
    def test_without_a_difference(self):
        for take in (at_random, in_a_row, drifting):
            for pairs in (2, 3, 4, 6):
                counts, _ = verdicts(take, 1, pairs)
                wrong = counts["faster"] + counts["slower"]
                self.assertLessEqual(wrong, WRONG_MOST * COMPARISONS, f"{take.__name__}, {pairs} pairs: {counts}")

    def test_with_99_per_cent(self):
        for pairs in (2, 4):
            counts, _ = verdicts(at_random, 2, pairs, confidence=0.99)
            self.assertLessEqual(counts["faster"] + counts["slower"], 0.02 * COMPARISONS, f"{pairs} pairs: {counts}")

    def test_a_speedup_is_never_a_slowdown(self):
        for take in (at_random, in_a_row):
            for speedup, other in ((1.5, "slower"), (1 / 1.5, "faster")):
                counts, _ = verdicts(take, 3, 4, speedup)
                self.assertLessEqual(counts[other], 0.01 * COMPARISONS, f"{take.__name__}, {speedup}: {counts}")

    def test_the_interval_holds_the_truth(self):
        for speedup in (1.0, 1.3, 0.5):
            for take in (at_random, in_a_row):
                _, held = verdicts(take, 4, 4, speedup)
                self.assertGreaterEqual(held, (1 - WRONG_MOST) * COMPARISONS, f"{take.__name__}, {speedup}")

    def test_a_large_speedup_is_found(self):
        """Runs differ by 25 %, and still: twice as fast is found by six pairs nearly always."""
        counts, _ = verdicts(at_random, 5, 6, 2.0)
        self.assertGreaterEqual(counts["faster"], 0.85 * COMPARISONS, str(counts))

    def test_steps_for_runs_would_be_wrong(self):
        """Why the run is what is repeated: an interval made of steps is wrong two times of five."""
        draw, wrong = random.Random(6), 0
        for _ in range(200):
            kinds, logs = [], []
            for plain, other in zip(*[[draw.choice(RUNS)[WARMUP:] for _ in range(4)] for _ in range(2)]):
                for before, after in zip(plain, other):
                    kinds += ["plain", "hiermoe"]
                    logs += [math.log(before), math.log(after)]
            wrong += interval.compare(kinds, logs, 0.95).verdict != "no difference"
        self.assertGreater(wrong, 0.3 * 200)


class Student(unittest.TestCase):
    def test_quantiles(self):
        """Against the table of NIST/SEMATECH e-Handbook 1.3.6.7.2."""
        for freedom, share, expected in ((1, 0.975, 12.706), (2, 0.975, 4.303), (3, 0.975, 3.182), (4, 0.995, 4.604),
                                         (9, 0.975, 2.262), (30, 0.95, 1.697), (100, 0.995, 2.626)):
            self.assertAlmostEqual(interval.student_quantile(share, freedom), expected, 3)

    def test_by_hand(self):
        """Differences log 2, log 2 and log 4: mean and deviation are known."""
        kinds = ["plain", "hiermoe", "hiermoe", "plain", "plain", "hiermoe"]
        two = math.log(2)
        found = interval.compare(kinds, [0, -two, -two, 0, 0, -2 * two], 0.95)
        self.assertAlmostEqual(found.speedup, 2 ** (4 / 3))
        half = 4.30265 * (two / math.sqrt(3)) / math.sqrt(3)
        self.assertAlmostEqual(math.log(found.interval[1] / found.speedup), half, 4)
        self.assertEqual((found.verdict, found.noise), ("no difference", 1.0))

    def test_the_widest_interval_is_a_number(self):
        kinds = ["plain", "hiermoe", "hiermoe", "plain", "plain"]
        low, high = interval.compare(kinds, [0, 5, -5, 0, 0], 0.99999).interval
        self.assertTrue(0 < low < 1 < high < math.inf)

    def test_below_the_noise_floor_is_no_difference(self):
        """All pairs agree on 1 %, but plain runs differ by 5 %."""
        kinds = ["plain", "hiermoe", "hiermoe", "plain", "plain"]
        found = interval.compare(kinds, [0, -0.01, 0.041, 0.051, 0.0], 0.95)
        self.assertGreater(found.interval[0], 1)
        self.assertEqual(found.verdict, "no difference")
        quiet = interval.compare(kinds, [0, -0.01, -0.0101, 0, 0], 0.95)
        self.assertEqual(quiet.verdict, "faster")


class Order(unittest.TestCase):
    def test_turns(self):
        letters = {"plain": "A", "hiermoe": "B"}
        for pairs, expected in ((2, "ABBAA"), (3, "ABBAAB"), (4, "ABBAABBA")):
            self.assertEqual("".join(letters[kind] for kind in schedule.order(pairs)), expected)

    def test_time_left(self):
        self.assertEqual(schedule.seconds_left(schedule.order(2), [10, 4]), 24)
        self.assertEqual(schedule.seconds_left(schedule.order(2), [10]), 40)
        self.assertEqual(schedule.seconds_left(schedule.order(2), [1] * 5), 0)
        self.assertEqual([schedule.duration(s) for s in (9.6, 200, 7500)], ["10 s", "3 min 20 s", "2 h 5 min"])


if __name__ == "__main__":
    unittest.main()
