"""Differences over seeds, and what several answers say together."""

import math

import pytest

from normwise.lab.reproduction.judging import Difference, every, less, less_at_best
from reproductions import run


def test_a_difference_has_student_s_interval():
    found = less((0.93, 0.94, 0.98), (0.9, 0.9, 0.9))
    assert found.mean == pytest.approx(0.05)
    assert found.high - found.mean == pytest.approx(4.3027 * 0.0264575 / math.sqrt(3), rel=1e-4)
    assert found.positive is None


@pytest.mark.parametrize("values", [(), (0.1,), (0.1, math.nan), (math.inf, 0.2)])
def test_without_two_numbers_a_difference_is_undecided(values):
    assert less(values, [0.0] * len(values)).positive is None


def test_runs_are_paired_by_seed_and_left_out_where_one_has_no_best_step():
    a = [run("a", seed, best=0.9 + seed / 100) for seed in range(3)]
    b = [run("b", seed, best=0.8) for seed in (0, 2)]
    b[1].done["best"] = None
    assert less_at_best(a, b).mean == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("answers", "said"), [((True, True), True), ((True, None), None), ((False, None), False), ((), True)]
)
def test_one_failure_decides(answers, said):
    assert every(answers) is said


@pytest.mark.parametrize(
    ("low", "high", "answer"), [(-0.1, 0.2, True), (0.3, 0.4, False), (-0.4, -0.3, False), (-0.1, 0.3, None)]
)
def test_a_difference_lies_within_a_margin_only_with_its_interval(low, high, answer):
    assert Difference((low + high) / 2, low, high).within(0.25) is answer
