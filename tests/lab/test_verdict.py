import pytest

from normwise.lab.summary import RunSummary, summarize_arm
from normwise.lab.verdict import gain, headline, helped, sentence, speed


def arm(name, steps, tests, *, norm="none", planned=1000, statuses=None):
    """An arm whose runs reached the target after ``steps`` (None: never) and have the given test accuracies."""
    runs = [
        RunSummary(
            seed,
            status,
            planned,
            0,
            test,
            test,
            test,
            step,
            None,
            1.0,
            0.0,
            "out of memory" if status == "failed" else None,
        )
        for seed, (step, test, status) in enumerate(
            zip(steps, tests, statuses or ["finished"] * len(steps), strict=True)
        )
    ]
    return summarize_arm(name, {"norm": norm, "steps": planned}, 0.2, runs)


PLAIN = arm("plain", [800, 900, 1000], [0.90, 0.91, 0.92])


def test_speed_is_the_ratio_of_medians_with_the_extremes_of_all_pairs():
    found = speed(PLAIN, arm("bn", [90, 100, 200], [0.95, 0.95, 0.96], norm="batch"))
    assert found == pytest.approx((9.0, 4.0, 1000 / 90, False, False))


def test_a_baseline_that_never_got_there_gives_a_lower_bound():
    found = speed(arm("plain", [None, None, 500], [0.9] * 3), arm("bn", [100, 100, 100], [0.9] * 3, norm="batch"))
    assert found == pytest.approx((10.0, 5.0, 10.0, True, False))


def test_welch_s_interval_against_scipy():
    from scipy.stats import ttest_ind

    a, b = [0.90, 0.91, 0.92], [0.95, 0.955, 0.97]
    found = gain(arm("plain", [1, 1, 1], a), arm("bn", [1, 1, 1], b))
    interval = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert found.difference == pytest.approx((interval.low + interval.high) / 2)
    assert found.margin == pytest.approx((interval.high - interval.low) / 2)


def test_the_verdict_names_ratio_range_and_gain():
    said = headline(PLAIN, [arm("bn", [90, 100, 200], [0.950, 0.955, 0.960], norm="batch")])
    assert said == (
        "bn reached plain's best validation accuracy in 9 times fewer steps "
        "(median 100 against 900; 4 to 11 over pairs of seeds), and its test accuracy was higher "
        "(+4.5 ± 2.1 points, 95 % confidence)."
    )


def test_it_says_so_when_batch_normalization_did_not_help():
    same = arm("bn", [850, 900, 950], [0.90, 0.91, 0.925], norm="batch")
    assert not helped(PLAIN, same)
    said = headline(PLAIN, [same])
    assert said.startswith(
        "Batch normalization did not help: bn reached plain's best validation accuracy with no difference in steps"
    )
    assert "no difference in test accuracy beyond seed noise" in said


def test_it_says_so_when_batch_normalization_never_got_there():
    said = headline(PLAIN, [arm("bn", [None, None, 100], [0.5, 0.5, 0.9], norm="batch")])
    assert said.startswith(
        "Batch normalization did not help: bn did not reach plain's best validation accuracy in 2 of 3 runs"
    )


def test_slower_is_called_more_steps():
    quick = arm("plain", [90, 100, 110], [0.9, 0.9, 0.9])
    assert "in 9 times more steps" in sentence(quick, arm("bn", [900, 900, 900], [0.9, 0.9, 0.9], norm="batch"))


def test_one_seed_has_no_uncertainty_and_says_so():
    said = headline(arm("plain", [800], [0.9]), [arm("bn", [100], [0.95], norm="batch")])
    assert "in 8 times fewer steps (median 100 against 800; one seed, so no uncertainty)" in said
    assert "5.0 points higher (one seed, so no uncertainty)" in said


def test_diverged_runs_are_counted_aloud():
    broken = arm("bn", [None, 100, 100], [0.1, 0.95, 0.95], norm="batch", statuses=["diverged", "finished", "finished"])
    assert "1 of 3 runs of bn diverged" in headline(PLAIN, [broken])


def test_failed_runs_give_no_verdict():
    broken = arm("bn", [None], [None], norm="batch", statuses=["failed"])
    assert headline(PLAIN, [broken]) == "No verdict on bn: every run of bn failed (out of memory)."


def test_the_headline_is_about_batch_normalization_and_names_a_quicker_arm():
    said = headline(PLAIN, [arm("he", [10, 10, 10], [0.9] * 3), arm("bn", [100, 100, 100], [0.95] * 3, norm="batch")])
    assert said.startswith("bn reached")
    assert said.endswith("The fewest steps were those of he: median 10.")


def test_one_arm_alone():
    assert headline(PLAIN, []) == "plain alone: 91.0 % test accuracy, nothing to compare it with."
