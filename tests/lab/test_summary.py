import math

import pytest

from lab.made import ACCURATE, record
from normwise.lab.arms import Point
from normwise.lab.learned import beyond_chance, learned
from normwise.lab.summary import ArmSummary, best_point, summarize, target
from normwise.lab.task import Task
from normwise.records.metric import ACCURACY, LOSS

ALWAYS = lambda value: True  # noqa: E731


def summed(one, goal=None, beyond=ALWAYS):
    return summarize(one, goal, beyond)


def arm_of(records, goal=0.9):
    runs = tuple(summed(record, goal) for record in records)
    return ArmSummary("plain", {"steps": 20}, ACCURATE, Point(0.2), runs)


def test_the_target_is_the_highest_mean_not_the_mean_of_the_highest():
    assert target([record([0.1, 0.9, 0.5]), record([0.1, 0.5, 0.9])], ACCURACY) == pytest.approx(0.7)


def test_the_target_of_a_loss_is_the_lowest_mean():
    records = [record([-2.0, -0.5, -0.9], metric=LOSS), record([-2.0, -0.7, -0.4], metric=LOSS)]
    assert target(records, LOSS) == pytest.approx(0.6)


def test_a_run_that_stopped_early_counts_on_with_its_last_value_and_one_that_diverged_does_not():
    longer = record([0.1, 0.2, 0.8])
    assert target([record([0.1, 0.4]), longer], ACCURACY) == pytest.approx(0.6)
    assert target([record([0.1, 0.4], status="diverged"), longer], ACCURACY) == pytest.approx(0.8)


def test_a_step_with_a_value_that_is_not_finite_has_no_mean():
    assert target([record([0.1, 0.4, None]), record([0.1, 0.2, 0.8])], ACCURACY) == pytest.approx(0.3)
    assert target([record([None, None])], ACCURACY) is None


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_equal_runs_reach_their_own_target_whatever_it_rounds_to(metric):
    for right in range(240):
        same = [record([0.0, right / 240], seed=seed, metric=metric) for seed in range(3)]
        goal = target(same, metric)
        assert all(summed(run, goal).steps_to_target is not None for run in same)


def test_a_run_is_summarized_at_its_best_step_with_what_whole_parts_gave():
    run = summed(record([0.1, 0.8, 0.9, 0.7]), goal=0.8)
    assert (run.best_step, run.steps_to_target, run.steps) == (20, 10, 30)
    assert (run.train, run.validation, run.test) == pytest.approx((0.3, 0.85, 0.1))
    assert run.gradient_ratio == 0.25
    assert run.seconds == 4 * 1.5


def test_a_loss_reaches_a_target_from_above():
    run = record([-2.0, -1.0, -0.5], metric=LOSS)
    assert [summed(run, goal).steps_to_target for goal in (1.0, 0.6, 0.4)] == [10, 20, None]


def test_a_run_without_a_finite_value_has_no_result():
    run = summed(record([None, None], status="diverged"), goal=0.5)
    assert (run.best_step, run.test, run.steps_to_target, run.learned) == (None, None, None, False)


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
    assert (empty.test_mean, empty.steps_to_target, empty.never, empty.learned) == (None, None, 0, None)


def test_the_best_point_has_the_best_mean_and_of_equals_the_smallest_rate_and_the_first_value():
    values = {Point(0.02): [0.5], Point(0.2): [0.9, 0.3], Point(2.0): [0.8]}
    assert best_point(list(values), values.get, ACCURACY) == Point(2.0)
    assert best_point(list(values), values.get, LOSS) == Point(0.02)
    equal = [Point(0.2, "b"), Point(0.02, "b"), Point(0.02, "a")]
    assert best_point(equal, lambda point: [0.5], ACCURACY) == Point(0.02, "b")


def test_a_point_with_a_run_that_has_no_value_is_chosen_only_where_all_have_such():
    values = {Point(0.02): [0.9, None], Point(0.2): [0.5, 0.5]}
    assert best_point(list(values), values.get, ACCURACY) == Point(0.2)
    assert best_point([Point(0.2), Point(0.02)], lambda point: [], ACCURACY) == Point(0.02)


# What validation did over 45 evaluations: it lay at chance, 0.1, but for some.
def curve(*beyond, count=45):
    return record([0.5 if index in beyond else 0.1 for index in range(count)])


@pytest.mark.parametrize(
    ("beyond", "expected"),
    [
        ((33,), False),  # a blip
        ((23, 31, 43), False),  # blips
        ((10, 11, 12, 13), False),  # less than a tenth
        ((10, 11, 12, 13, 15, 16, 17, 18), False),
        ((10, 11, 12, 13, 14), True),  # and forgot
        ((44,), False),
        ((42, 43), False),
        ((43, 44), True),  # began to learn at the end
    ],
)
def test_a_run_learned_when_it_stayed_beyond_chance_or_ended_there(beyond, expected):
    assert learned(curve(*beyond), ACCURATE.beyond_chance) is expected


def test_a_short_run_needs_two_evaluations_beyond_chance():
    assert [learned(curve(*beyond, count=3), ACCURATE.beyond_chance) for beyond in ((2,), (1, 2), (0, 1))] == [
        False, True, True
    ]  # fmt: skip
    assert not learned(curve(0, count=1), ACCURATE.beyond_chance)


def test_without_known_chance_it_is_the_best_that_the_runs_measured_before_training():
    task = Task("other", "net.py:loss", LOSS, None)
    beyond = beyond_chance(task, [record([-2.0, -1.0], metric=LOSS), record([-1.5, -1.0], metric=LOSS)])
    assert [beyond(value) for value in (1.6, 1.5, 1.4)] == [False, False, True]


def test_where_nothing_finite_was_measured_before_training_any_value_is_beyond_it():
    task = Task("other", "net.py:loss", LOSS, None)
    assert beyond_chance(task, [record([None, -1.0], metric=LOSS)])(1.0)


@pytest.mark.parametrize(("how_many", "expected"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_an_arm_learned_when_more_than_half_of_its_runs_did(how_many, expected):
    runs = tuple(summed(record([0.1, 0.9])) for _ in range(4))
    some = tuple(run._replace(learned=index < how_many) for index, run in enumerate(runs))
    assert ArmSummary("plain", {}, ACCURATE, Point(0.2), some).learned is expected
