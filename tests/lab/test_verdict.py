import math

import pytest

from lab.made import ACCURATE
from normwise.lab import against as against_
from normwise.lab.arms import Point
from normwise.lab.effects import difference, gain, helped, speed
from normwise.lab.ranking import rank
from normwise.lab.summary import ArmSummary, RunSummary
from normwise.lab.task import Task
from normwise.lab.verdict import headline, title
from normwise.records.metric import Metric

RMSE = Task("regression", "mse", Metric("rmse", "RMSE", higher_is_better=False), 1, None)


def arm(name, steps, tests, *, norm="none", planned=1000, statuses=None, learned=True, validations=None, task=ACCURATE):
    """An arm whose runs reached the target after ``steps`` (None: never) and have the given test metrics.

    Their validation metrics are 0.05 less, unless they are given, so that one taken for the other shows.
    """
    statuses = statuses or ["finished"] * len(steps)
    validations = validations or [None if test is None else test - 0.05 for test in tests]
    runs = [
        RunSummary(
            seed=seed,
            status=status,
            steps=planned,
            best_step=0,
            train=None,
            validation=validation,
            test=test,
            steps_to_target=step,
            learned=learned,
            gradient_ratio=None,
            seconds=1.0,
            reason="out of memory" if status == "failed" else None,
        )
        for seed, (step, test, validation, status) in enumerate(zip(steps, tests, validations, statuses, strict=True))
    ]
    return ArmSummary(name, {"norm": norm, "place": "before", "steps": planned}, task, Point(0.2), tuple(runs))


def against(baseline, arm, target=0.9):
    return against_.against(baseline, arm, target)


def bn(steps, tests=(0.95, 0.955, 0.96), **options):
    return arm("bn", steps, tests, norm="batch", **options)


PLAIN = arm("plain", [800, 900, 1000], [0.90, 0.91, 0.92])


def test_speed_is_the_ratio_of_medians_with_the_extremes_of_all_pairs():
    found = speed(PLAIN, bn([90, 100, 200]))
    assert (found.ratio, found.low, found.high) == pytest.approx((9.0, 4.0, 1000 / 90))
    assert (found.at_least, found.high_at_least) == (False, False)


def test_a_baseline_run_that_never_got_there_makes_its_ratios_lower_bounds():
    most = speed(arm("plain", [None, None, 500], [0.9] * 3), bn([100, 100, 100]))
    assert (most.ratio, most.low, most.high, most.at_least, most.high_at_least) == (10.0, 5.0, 10.0, True, True)
    one = speed(arm("plain", [800, 900, None], [0.9] * 3), bn([90, 100, 120]))
    assert (one.at_least, one.high_at_least) == (False, True)
    assert "ratio 6.7 to at least 11 over pairs" in against(
        arm("plain", [800, 900, None], [0.9] * 3), bn([90, 100, 120])
    )


def test_a_run_of_the_arm_that_never_got_there_is_the_slowest_whatever_it_was_given():
    found = speed(PLAIN, bn([90, 100, None], planned=190))
    assert found.low == 0
    assert not found.clear
    assert "ratio up to 11 over pairs" in against(PLAIN, bn([90, 100, None], planned=190))


@pytest.mark.parametrize(
    ("slow", "quick", "p"),
    [
        ([8, 9], [1, 2], None),  # 2 of the 6 ways to split four ranks are as extreme: p could never be small
        ([7, 8, 9], [1, 2, 3], 0.1),  # 2 of 20
        ([6, 7, 8, 9], [1, 2, 3, 4], 2 / 70),
        ([7, 8, 9], [7, 8, 9], 1.0),
    ],
)
def test_the_p_value_is_that_of_the_exact_rank_test(slow, quick, p):
    found = speed(arm("plain", slow, [0.9] * len(slow)), bn(quick, [0.9] * len(quick)))
    assert found.p == pytest.approx(p)


def test_one_outlier_among_many_seeds_does_not_hide_a_difference():
    slow = arm("plain", [800] * 9 + [90], [0.9] * 10)
    assert speed(slow, bn([100] * 10, [0.9] * 10)).clear
    assert helped(slow, bn([100] * 10, [0.9] * 10))


def test_two_seeds_are_too_few_to_tell_and_nothing_is_concluded():
    fast = bn([90, 100], [0.90, 0.91])
    said = against(arm("plain", [800, 900], [0.90, 0.91]), fast)
    assert said.startswith(
        "bn reached 90.0 %, plain's best mean validation accuracy, in 8.9 times fewer steps (median 95 against 850"
    )
    assert "two seeds are too few to tell this from seed noise" in said
    slow = against(arm("plain", [90, 100], [0.90, 0.91]), bn([800, 900], [0.90, 0.91]))
    assert "did not" not in slow


def test_the_margin_is_half_of_welch_s_interval():
    """Worked by hand: as many values of each would hide which variance is whose."""
    a, b = [0.90, 0.91, 0.92], [0.95, 0.955, 0.96, 0.99]
    found = gain(arm("plain", [1] * 3, a), arm("bn", [1] * 4, b))
    variances = (0.0001 / 3, (0.01375**2 + 0.00875**2 + 0.00375**2 + 0.02625**2) / 3 / 4)
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 3)
    from scipy.stats import t

    assert found.difference == pytest.approx(0.05375)
    assert found.margin == pytest.approx(t.ppf(0.975, freedom) * math.sqrt(sum(variances)))


def test_one_arm_without_spread_has_an_interval_and_no_warning():
    found = difference([0.9, 0.9, 0.9], [0.8, 0.81, 0.82])
    assert found.difference == pytest.approx(0.09)
    assert found.margin == pytest.approx(4.302653 * 0.01 / math.sqrt(3))


def test_one_value_has_no_interval_and_none_no_difference():
    assert difference([0.9], [0.8, 0.81]).margin is None
    assert difference([], [0.8, 0.81]) is None


def test_no_spread_at_all_gives_no_interval():
    assert gain(arm("plain", [1, 1], [0.9, 0.9]), bn([1, 1], [0.95, 0.95])).margin is None
    assert "and its test accuracy was 5.0 points higher;" in against(
        arm("plain", [1, 1], [0.9, 0.9]), bn([1, 1], [0.95, 0.95])
    )


def test_the_verdict_names_ratio_range_and_gain():
    assert against(PLAIN, bn([90, 100, 200])) == (
        "bn reached 90.0 %, plain's best mean validation accuracy, in 9 times fewer steps "
        "(median 100 against 900; ratio 4 to 11 over pairs of seeds, rank test p = 0.1), "
        "and its test accuracy was higher (+4.5 ± 2.1 points, 95 % confidence)."
    )


def test_it_says_so_when_batch_normalization_did_not_help():
    same = bn([850, 900, 950], [0.90, 0.91, 0.925])
    assert helped(PLAIN, same) is False
    said = against(PLAIN, same)
    assert said.startswith(
        "Batch normalization did not measurably help: bn reached 90.0 %, plain's best mean validation accuracy, "
        "with no difference in steps"
    )
    assert "no difference in test accuracy beyond seed noise" in said


def test_it_says_so_when_batch_normalization_never_got_there():
    said = against(PLAIN, bn([None, None, 100], [0.5, 0.5, 0.9]))
    assert said.startswith(
        "Batch normalization did not measurably help: bn did not reach 90.0 %, plain's best mean validation accuracy, "
        "in 2 of 3 runs"
    )


QUICKER, AS_QUICK, SLOWER = [90, 100, 110], [850, 900, 950], [2800, 2900, 3000]
BETTER, AS_GOOD, WORSE = [0.95, 0.955, 0.96], [0.90, 0.91, 0.925], [0.70, 0.71, 0.72]


@pytest.mark.parametrize(
    ("steps", "tests", "expected"),
    [
        (QUICKER, BETTER, True),
        (QUICKER, AS_GOOD, True),
        (QUICKER, [0.89, 0.90, 0.91], True),  # less accurate within seed noise
        (QUICKER, WORSE, False),
        (AS_QUICK, BETTER, True),
        ([890, 950, 1000], BETTER, True),  # slower within seed noise
        (AS_QUICK, AS_GOOD, False),
        ([400, 500, 950], AS_GOOD, False),  # quicker within seed noise
        (AS_QUICK, [0.90, 0.92, 0.93], False),  # more accurate within seed noise
        (AS_QUICK, WORSE, False),
        (SLOWER, BETTER, False),
        (SLOWER, AS_GOOD, False),
        (SLOWER, WORSE, False),
    ],
)
def test_help_is_clearly_fewer_steps_or_clearly_more_accuracy_and_nothing_clearly_lost(steps, tests, expected):
    assert helped(PLAIN, bn(steps, tests, planned=3000)) is expected


def test_too_few_seeds_of_either_arm_give_no_answer():
    few = bn([90, 100], [0.95, 0.96])
    assert helped(PLAIN, few) is None
    assert helped(few, PLAIN) is None


def test_two_arms_with_batch_normalization_give_no_verdict_on_it():
    said = against(bn([100, 100, 100]), arm("fast", [900, 900, 900], [0.5, 0.5, 0.5], norm="batch"))
    assert "did not measurably help" not in said


@pytest.mark.parametrize(
    ("steps", "slower", "expected"),
    [
        ([90, 100, 110], [900] * 3, "in 9 times more steps (median 900 against 100; ratio 8.2 to 10 over"),
        ([90, 110], [900, 900, None], "in 9 times more steps (median 900 against 100; ratio from 8.2 upward over"),
        ([90, None], [1200] * 2, "in at most 2.2 times more steps (median 1,200 against more than 545; "
        "ratio at most 1.2 to 13 over"),
    ],
)  # fmt: skip
def test_more_steps_have_a_ratio_of_more_steps(steps, slower, expected):
    quick = arm("plain", steps, [0.9] * len(steps))
    assert expected in against(quick, bn(slower, [0.9] * len(slower), planned=3000))


def test_one_seed_has_no_uncertainty_and_says_so():
    assert against(arm("plain", [800], [0.9]), bn([100], [0.95])) == (
        "bn reached 90.0 %, plain's best mean validation accuracy, in 8 times fewer steps (100 against 800), "
        "and its test accuracy was 5.0 points higher; one seed tells nothing about seed noise."
    )


def test_the_arm_with_the_fewer_seeds_decides_what_can_be_said():
    assert against(PLAIN, bn([100], [0.95])).endswith("; one seed tells nothing about seed noise.")
    assert against(bn([100], [0.95]), PLAIN).endswith("; one seed tells nothing about seed noise.")


def test_one_seed_is_not_enough_to_say_that_it_did_not_help():
    said = against(arm("plain", [100], [0.9]), bn([100], [0.9]))
    assert said.startswith("bn reached 90.0 %, plain's best mean validation accuracy, in as many steps")
    assert "with the same test accuracy" in said


def test_diverged_runs_are_counted_aloud():
    broken = bn([None, 100, 100], [0.1, 0.95, 0.95], statuses=["diverged", "finished", "finished"])
    assert "1 of 3 runs of bn diverged" in against(PLAIN, broken)


def test_failed_runs_give_no_verdict():
    broken = bn([None], [None], statuses=["failed"])
    assert against(PLAIN, broken) == "No verdict on bn: every run of bn failed (out of memory)."


def said(baseline, *others, target=0.9):
    return headline(baseline, others, rank([baseline, *others], target))


def test_an_arm_that_did_not_learn_is_within_no_noise_of_another():
    raw = arm("raw", [None] * 3, [-10.0, -900.0, -4000.0], learned=False)  # an interval that holds everything
    others = bn([None] * 3, [0.93, 0.94, 0.95]), arm("minmax", [None] * 3, [0.92, 0.93, 0.95])
    assert rank([raw, *others], None).within_noise == ("minmax",)
    assert said(raw, *others, target=None) == (
        "Of 3 arms, bn has the best validation accuracy (89.0 %), with minmax within noise of it. "
        "raw did not learn: its validation accuracy did not stay beyond chance; bn reached 94.0 % on test data."
    )


def test_an_arm_that_did_not_learn_is_said_whichever_it_is():
    plain = arm("plain", [None] * 3, [0.1, 0.1, 0.11], learned=False)
    good = bn([None] * 3, [0.97, 0.98, 0.98])
    assert against(plain, good) == (
        "plain did not learn: its validation accuracy did not stay beyond chance; bn reached 97.7 % on test data, "
        "and its test accuracy was higher (+87.3 ± 1.3 points, 95 % confidence)."
    )
    assert against(good, plain) == (
        "plain did not learn: its validation accuracy did not stay beyond chance; bn reached 97.7 % on test data."
    )
    broken = bn([None] * 2, [0.1, 0.1], learned=False, statuses=["finished", "diverged"])
    assert against(plain, broken) == (
        "Neither plain nor bn learned: validation accuracy did not stay beyond chance; 1 of 2 runs of bn diverged."
    )
    assert said(plain) == "plain alone did not learn: its validation accuracy did not stay beyond chance."


def test_where_chance_is_not_known_it_is_what_was_measured_before_training():
    flat = arm("plain", [None] * 3, [4.0, 4.1, 4.2], learned=False, task=RMSE)
    assert said(flat) == "plain alone did not learn: its validation RMSE did not stay better than before training."


def test_a_baseline_that_learned_without_a_target():
    plain = arm("plain", [None] * 3, [0.90, 0.91, 0.92])
    assert against(plain, bn([None] * 3), None).startswith(
        "bn has no target to reach, since the mean validation accuracy of plain's runs was never beyond chance, and "
        "its test accuracy was higher"
    )


def test_a_metric_of_which_lower_is_better():
    plain = arm("plain", [800, 900, 1000], [4.5, 4.6, 4.7], task=RMSE)
    lower = bn([90, 100, 200], [4.0, 4.1, 4.05], task=RMSE)
    assert against(plain, lower, 4.5) == (
        "bn reached 4.5, plain's best mean validation RMSE, in 9 times fewer steps (median 100 against 900; ratio 4 to "
        "11 over pairs of seeds, rank test p = 0.1), and its test RMSE was lower, which is better (-0.55 ± 0.21, 95 % "
        "confidence)."
    )
    assert helped(plain, lower) is True
    assert helped(plain, bn([900, 910, 950], [4.0, 4.1, 4.05], task=RMSE)) is True
    assert helped(plain, bn([90, 100, 200], [5.0, 5.1, 5.05], task=RMSE)) is False
    assert "its test RMSE was 0.5 higher, which is worse; one" in against(plain, bn([100], [5.1], task=RMSE))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, True), ({"place": "after"}, True), ({"init": "he"}, False), ({"norm": "layer"}, False)],
)
def test_only_batch_normalization_itself_is_said_not_to_have_helped(settings, expected):
    same = bn([850, 900, 950], [0.90, 0.91, 0.925])
    same = same._replace(settings={**same.settings, **settings})
    assert against(PLAIN, same).startswith("Batch normalization did not measurably help") is expected


def test_a_baseline_that_was_stopped_early_counts_with_the_steps_it_made():
    stopped = arm("plain", [None] * 3, [0.9] * 3)
    stopped = stopped._replace(runs=tuple(run._replace(steps=400) for run in stopped.runs))
    assert speed(stopped, bn([100] * 3)).ratio == 4
    stopped = stopped._replace(runs=(stopped.runs[0]._replace(steps_to_target=300), *stopped.runs[1:]))
    assert "in at least 4 times fewer steps (median 100 against more than 400; " in against(stopped, bn([100] * 3))
    assert (
        "plain did not reach 90.0 %, bn's best mean validation accuracy, in 2 of 3 runs of at most 1,000 steps"
        in against(bn([100] * 3), stopped)
    )


def test_a_baseline_run_that_diverged_counts_with_all_the_steps_it_was_given():
    broken = arm("plain", [None] * 3, [0.9] * 3, statuses=["diverged"] * 3)
    broken = broken._replace(runs=tuple(run._replace(steps=5) for run in broken.runs))
    assert speed(broken, bn([100] * 3)).ratio == 10


def test_the_title_names_few_arms_and_counts_many():
    assert title(["plain"], "digits") == "plain on digits"
    assert title(["plain", "bn"], "digits") == "plain against bn on digits"
    assert title(["plain", "bn", "he"], "digits") == "plain, bn and he on digits"
    assert title([f"activation=relu, init={index}" for index in range(6)], "digits") == "6 arms on digits"


HE = arm("he", [10, 20, 30], [0.93, 0.94, 0.95])
DEEP = arm("deep", [None] * 3, [0.1] * 3, learned=False, statuses=["diverged", "diverged", "finished"])
BROKEN = arm("broken", [None], [None], statuses=["failed"])


def test_many_arms_are_ranked_by_validation_and_not_by_test():
    worse = bn([90, 100, 200], validations=[0.80, 0.81, 0.82])  # its test accuracies are the highest
    found = rank([PLAIN, worse, HE, DEEP, BROKEN], 0.9)
    assert [each.name for each in found.order] == ["he", "plain", "bn", "deep"]
    assert found.as_dict() | {"order": None} == {
        "best": "he",
        "within_noise": [],
        "order": None,
        "first_to_target": ["he"],
        "did_not_learn": ["deep"],
        "diverged": {"deep": 2},
        "failed": ["broken"],
    }
    plain = found.as_dict()["order"][1]
    assert (plain["arm"], plain["validation_mean"]) == ("plain", pytest.approx(0.86))
    assert (plain["difference"], plain["margin"]) == pytest.approx((-0.03, 0.0226696), rel=1e-3)


def test_the_verdict_on_many_arms_names_the_best_and_compares_the_best_of_the_others():
    close = arm("xavier", [10, 20, 30], [0.93, 0.935, 0.945])
    assert said(PLAIN, close, HE, DEEP) == (
        "Of 4 arms, he has the best validation accuracy (89.0 %), with xavier within noise of it. "
        "he reached 90.0 %, plain's best mean validation accuracy, in 45 times fewer steps (median 20 against 900; "
        "ratio 27 to 100 over pairs of seeds, rank test p = 0.1), and its test accuracy was higher (+3.0 ± 2.3 points, "
        "95 % confidence)."
    )
    assert rank([PLAIN, close, HE, DEEP], 0.9).lines == [
        "Best validation accuracy: he (89.0 %).",
        "Within noise of it: xavier (88.7 %).",
        "Behind it: plain (86.0 %), deep (5.0 %).",
        "First to 90.0 %: xavier and he, after 20 steps.",
        "Did not learn: deep.",
        "Diverged: deep (2 of 3 runs).",
    ]


def test_the_best_may_be_the_baseline():
    assert said(HE, PLAIN, DEEP).startswith(
        "Of 3 arms, he has the best validation accuracy (89.0 %), beyond noise. plain reached 90.0 %, he's best "
    )


def test_one_seed_puts_nothing_within_noise_and_nothing_beyond():
    one = [arm(name, [10], [test]) for name, test in (("plain", 0.9), ("bn", 0.95), ("he", 0.94))]
    assert said(*one).startswith("Of 3 arms, bn has the best validation accuracy (90.0 %). bn reached")
    assert "Behind it, with too few seeds to tell: he (89.0 %), plain (85.0 %)." in rank(one, 0.9).lines


def test_equal_arms_are_within_noise_also_with_one_seed():
    same = [arm(name, [10], [0.9]) for name in ("plain", "bn", "he")]
    assert rank(same, 0.9).within_noise == ("bn", "he")


def test_many_arms_of_which_none_learned_or_none_has_a_result():
    flat = [arm(name, [None] * 3, [0.1] * 3, learned=False) for name in ("plain", "bn", "he")]
    assert said(*flat, target=None) == "None of the 3 arms learned: validation accuracy did not stay beyond chance."
    assert said(PLAIN, BROKEN, BROKEN) == (
        "Of 3 arms, plain has the best validation accuracy (86.0 %). "
        "No verdict on broken: every run of broken failed (out of memory)."
    )
    assert "First to" not in " ".join(rank(flat, None).lines)


def test_an_arm_that_touched_the_target_and_did_not_learn_is_not_the_first_there():
    lucky = arm("lucky", [1, 1, 1], [0.1] * 3, learned=False)
    assert rank([PLAIN, HE, lucky], 0.9).first == ("he",)
