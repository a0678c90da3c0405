import pytest

from normwise.lab.summary import RunSummary, summarize_arm
from normwise.lab.verdict import gain, headline, helped, sentence, speed, unlearned


def arm(name, steps, tests, *, norm="none", planned=1000, statuses=None):
    """An arm whose runs reached the target after ``steps`` (None: never) and have the given test accuracies."""
    statuses = statuses or ["finished"] * len(steps)
    runs = [
        RunSummary(
            seed=seed,
            status=status,
            steps=planned,
            best_step=0,
            train=test,
            validation=test,
            test=test,
            steps_to_target=step,
            gradient_ratio=None,
            seconds=1.0,
            reason="out of memory" if status == "failed" else None,
        )
        for seed, (step, test, status) in enumerate(zip(steps, tests, statuses, strict=True))
    ]
    return summarize_arm(name, {"norm": norm, "steps": planned}, 0.2, runs)


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
    assert "ratio 6.7 to at least 11 over pairs" in sentence(
        arm("plain", [800, 900, None], [0.9] * 3), bn([90, 100, 120])
    )


def test_a_run_of_the_arm_that_never_got_there_is_the_slowest_whatever_it_was_given():
    found = speed(PLAIN, bn([90, 100, None], planned=190))
    assert found.low == 0
    assert not found.clear
    assert "ratio up to 11 over pairs" in sentence(PLAIN, bn([90, 100, None], planned=190))


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
    said = headline(arm("plain", [800, 900], [0.90, 0.91]), [fast])
    assert said.startswith(
        "bn reached plain's best validation accuracy in 8.9 times fewer steps (median 95 against 850"
    )
    assert "two seeds are too few to tell this from seed noise" in said
    slow = headline(arm("plain", [90, 100], [0.90, 0.91]), [bn([800, 900], [0.90, 0.91])])
    assert "did not" not in slow


def test_a_baseline_that_did_not_learn_has_no_target():
    said = unlearned(arm("plain", [0, 0, 0], [0.1, 0.1, 0.11]), [bn([5, 5, 5], [0.97, 0.98, 0.98])])
    assert said.startswith(
        "plain did not learn: its validation accuracy was never beyond chance; bn reached 97.7 % on test data, and its"
    )
    assert "times" not in said


def test_welch_s_interval_against_scipy():
    from scipy.stats import ttest_ind

    a, b = [0.90, 0.91, 0.92], [0.95, 0.955, 0.96, 0.99]  # as many runs of each would hide which variance is whose
    found = gain(arm("plain", [1] * 3, a), arm("bn", [1] * 4, b))
    interval = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert found.difference == pytest.approx((interval.low + interval.high) / 2)
    assert found.margin == pytest.approx((interval.high - interval.low) / 2)


def test_no_spread_at_all_gives_no_interval():
    assert gain(arm("plain", [1, 1], [0.9, 0.9]), bn([1, 1], [0.95, 0.95])).margin is None
    assert "and its test accuracy was 5.0 points higher;" in sentence(
        arm("plain", [1, 1], [0.9, 0.9]), bn([1, 1], [0.95, 0.95])
    )


def test_the_verdict_names_ratio_range_and_gain():
    assert headline(PLAIN, [bn([90, 100, 200])]) == (
        "bn reached plain's best validation accuracy in 9 times fewer steps "
        "(median 100 against 900; ratio 4 to 11 over pairs of seeds, rank test p = 0.1), "
        "and its test accuracy was higher (+4.5 ± 2.1 points, 95 % confidence)."
    )


def test_it_says_so_when_batch_normalization_did_not_help():
    same = bn([850, 900, 950], [0.90, 0.91, 0.925])
    assert helped(PLAIN, same) is False
    said = headline(PLAIN, [same])
    assert said.startswith(
        "Batch normalization did not measurably help: bn reached plain's best validation accuracy "
        "with no difference in steps"
    )
    assert "no difference in test accuracy beyond seed noise" in said


def test_it_says_so_when_batch_normalization_never_got_there():
    said = headline(PLAIN, [bn([None, None, 100], [0.5, 0.5, 0.9])])
    assert said.startswith(
        "Batch normalization did not measurably help: bn did not reach plain's best validation accuracy in 2 of 3 runs"
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
    said = headline(bn([100, 100, 100]), [arm("fast", [900, 900, 900], [0.5, 0.5, 0.5], norm="batch")])
    assert "did not measurably help" not in said


def test_slower_is_called_more_steps():
    quick = arm("plain", [90, 100, 110], [0.9, 0.9, 0.9])
    assert "in 9 times more steps" in sentence(quick, bn([900, 900, 900], [0.9, 0.9, 0.9]))


def test_one_seed_has_no_uncertainty_and_says_so():
    assert headline(arm("plain", [800], [0.9]), [bn([100], [0.95])]) == (
        "bn reached plain's best validation accuracy in 8 times fewer steps (100 against 800), "
        "and its test accuracy was 5.0 points higher; one seed tells nothing about seed noise."
    )


def test_the_arm_with_the_fewer_seeds_decides_what_can_be_said():
    assert sentence(PLAIN, bn([100], [0.95])).endswith("; one seed tells nothing about seed noise.")
    assert sentence(bn([100], [0.95]), PLAIN).endswith("; one seed tells nothing about seed noise.")


def test_one_seed_is_not_enough_to_say_that_it_did_not_help():
    said = headline(arm("plain", [100], [0.9]), [bn([100], [0.9])])
    assert said.startswith("bn reached plain's best validation accuracy in as many steps")
    assert "with the same test accuracy" in said


def test_diverged_runs_are_counted_aloud():
    broken = bn([None, 100, 100], [0.1, 0.95, 0.95], statuses=["diverged", "finished", "finished"])
    assert "1 of 3 runs of bn diverged" in headline(PLAIN, [broken])


def test_failed_runs_give_no_verdict():
    broken = bn([None], [None], statuses=["failed"])
    assert headline(PLAIN, [broken]) == "No verdict on bn: every run of bn failed (out of memory)."


def test_the_headline_is_about_batch_normalization_and_names_a_quicker_arm():
    layer = arm("layer", [100, 100, 100], [0.9] * 3, norm="layer")
    said = headline(PLAIN, [arm("he", [10, 10, 10], [0.9] * 3), layer, bn([100, 100, 100])])
    assert said.startswith("bn reached")
    assert said.endswith("The fewest steps were those of he: median 10.")


def test_one_arm_alone():
    assert headline(PLAIN, []) == "plain alone: 91.0 % test accuracy, nothing to compare it with."
