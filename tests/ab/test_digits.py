#!/usr/bin/env python3
"""Losses that differ in one digit are told apart, and jobs that do not repeat themselves from wrong results."""
import unittest

import where  # noqa: F401
from ab import digits, output


def job(*losses, norm="0.5"):
    return output.read("".join(f'{{"step": {step}, "ms": 1, "loss": {loss}, "grad_norm": {norm}}}\n'
                               for step, loss in enumerate(losses)))


class Digits(unittest.TestCase):
    def test_equal(self):
        verdict = digits.judge([job("1.5", "1.25"), job("1.5", "1.25")], [job("1.5", "1.25")])
        self.assertEqual((verdict.equal, verdict.steps, verdict.names), (True, 2, ["grad_norm", "loss"]))

    def test_one_digit(self):
        verdict = digits.judge([job("1.5", "1.25"), job("1.5", "1.25")], [job("1.5", "1.25"), job("1.5", "1.26")])
        self.assertIs(verdict.equal, False)
        self.assertEqual((verdict.difference.step, verdict.difference.name), (1, "loss"))
        self.assertAlmostEqual(verdict.difference.absolute, 0.01)
        self.assertAlmostEqual(verdict.difference.relative, 0.008)

    def test_the_same_number_in_other_digits_differs(self):
        self.assertIs(digits.judge([job("1.5")] * 2, [job("1.50")]).equal, False)

    def test_the_first_step(self):
        found = digits.first_difference(job("1", "2", "3"), job("1", "4", "5"))
        self.assertEqual((found.step, found.plain, found.other), (1, "2", "4"))

    def test_gradient_norms_count(self):
        self.assertEqual(digits.first_difference(job("1", norm="0.5"), job("1", norm="0.6")).name, "grad_norm")

    def test_the_job_does_not_repeat_itself(self):
        verdict = digits.judge([job("1", "2"), job("1", "3")], [job("1", "4")])
        self.assertIsNone(verdict.equal)
        self.assertEqual(verdict.itself.step, 1)

    def test_nothing_to_compare(self):
        none = output.read('{"step": 0, "ms": 1}\n')
        self.assertIsNone(digits.judge([none, none], [none]).equal)
        self.assertIsNone(digits.judge([job("1"), job("1")], [none]).equal)

    def test_not_a_number(self):
        self.assertIsNone(digits.first_difference(job("NaN"), job("NaN")))
        found = digits.first_difference(job("NaN"), job("1.5"))
        self.assertEqual((found.absolute, found.relative), (None, None))

    def test_a_run_that_was_cut_off(self):
        self.assertIs(digits.judge([job("1", "2")] * 2, [job("1")]).equal, True)

    def test_ranks_print_in_any_order(self):
        def ranks(*lines):
            return output.read("".join(f'{{"step": 0, "ms": 1, "loss": {loss}}}\n' for loss in lines))
        self.assertIs(digits.judge([ranks("1", "2"), ranks("2", "1")], [ranks("2", "1")]).equal, True)
        self.assertIs(digits.judge([ranks("1", "2"), ranks("2", "1")], [ranks("2", "3")]).equal, False)


if __name__ == "__main__":
    unittest.main()
