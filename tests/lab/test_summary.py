import math

import pytest

from lab.studies import record
from normwise.lab.summary import best, best_rate, summarize, summarize_arm, target


def arm_of(records):
    return summarize_arm("plain", {"steps": 20}, 0.2, [summarize(record, 0.9) for record in records])


def test_the_best_evaluation_is_the_first_of_the_highest():
    assert best(record([0.1, 0.8, 0.9, 0.9]))["step"] == 20


def test_the_target_is_the_highest_mean_not_the_mean_of_the_highest():
    assert target([record([0.1, 0.9, 0.5]), record([0.1, 0.5, 0.9])]) == pytest.approx(0.7)


def test_the_target_counts_at_each_step_the_runs_that_reached_it():
    assert target([record([0.1, 0.4]), record([0.1, 0.2, 0.8])]) == pytest.approx(0.8)


def test_equal_runs_reach_their_own_target_whatever_it_rounds_to():
    for right in range(240):
        same = [record([0.0, right / 240], seed=seed) for seed in range(3)]
        assert all(summarize(run, target(same)).steps_to_target is not None for run in same)


def test_a_run_is_summarised_at_its_best_validation_step():
    run = summarize(record([0.1, 0.8, 0.9, 0.7]), goal=0.8)
    assert (run.best_step, run.steps_to_target, run.steps) == (20, 10, 30)
    assert (run.train, run.validation, run.test) == (0.3, 0.9, pytest.approx(0.1))
    assert run.gradient_ratio == 0.25
    assert run.seconds == 4 * 1.5


def test_a_run_below_the_target_never_got_there():
    assert summarize(record([0.1, 0.8]), goal=0.81).steps_to_target is None


def test_the_median_counts_a_run_that_never_got_there_as_the_slowest():
    runs = [record([0.1, 0.9], seed=0), record([0.1, 0.1, 0.9], seed=1), record([0.1, 0.2], seed=2)]
    arm = arm_of(runs)
    assert (arm.steps_to_target, arm.never) == (20, 1)
    assert arm_of([runs[0], runs[2], runs[2]]).steps_to_target is None


def test_a_failed_run_does_not_count_and_a_diverged_one_does():
    runs = [record([0.1, 0.9]), record([0.1, 0.5], status="diverged"), record([0.1, 0.3], status="failed")]
    arm = arm_of(runs)
    assert arm.test_mean == pytest.approx((0.1 + 0.5) / 2)
    assert arm.test_std == pytest.approx(math.sqrt(2) * 0.2)
    assert (len(arm.runs), len(arm.counted), arm.never) == (3, 2, 1)


def test_one_run_has_no_standard_deviation_and_none_has_no_mean():
    assert arm_of([record([0.1, 0.9])]).test_std is None
    empty = arm_of([record([], status="failed")])
    assert (empty.test_mean, empty.steps_to_target, empty.never) == (None, None, 0)


def test_the_best_rate_is_chosen_on_validation():
    records = [
        record([0.5], lr=0.02),
        record([0.9], lr=0.2, seed=0),
        record([0.3], lr=0.2, seed=1),
        record([0.8], lr=2.0),
    ]
    assert best_rate(records) == 2.0
    assert best_rate([record([0.5], lr=0.02), record([0.5], lr=0.2)]) == 0.02
    assert best_rate([]) is None
