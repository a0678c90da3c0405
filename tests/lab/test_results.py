"""Findings of records in which the parts disagree: where validation accuracy rises, test accuracy falls."""

import pytest

from lab.studies import findings, parts, record


def two_rates():
    """On validation data 0.5 is best for plain and 2 for bn; on test data the other rate is."""
    return [
        record([0.1, 0.2, 0.6], lr=0.1),
        record([0.5, 0.7, 0.8], lr=0.5),
        record([0.5, 0.6, 0.85], arm="bn", lr=0.5),
        record([0.5, 0.9, 0.6], arm="bn", lr=2.0),
    ]


def test_choices_are_made_on_validation_data_and_each_for_its_own_arm():
    records = two_rates()
    found = findings(records)
    assert found.best_rates == {"plain": 0.5, "bn": 2.0}
    assert (found.target, found.shared_rate) == (0.8, 0.5)
    assert found.best_records == [records[1], records[3]]
    assert [(arm.lr, [run.steps_to_target for run in arm.runs]) for arm in found.arms] == [(0.5, [20]), (2.0, [10])]
    assert [arm.test_mean for arm in found.arms] == pytest.approx([0.2, 0.1])


def test_the_verdict_compares_at_the_best_rates_and_at_the_baseline_s():
    assert findings(two_rates()).verdict == (
        "Each arm at its best learning rate (plain 0.5, bn 2): "
        "bn reached plain's best validation accuracy in 2 times fewer steps (10 against 20), "
        "and its test accuracy was 10.0 points lower; one seed tells nothing about seed noise. "
        "Each at plain's best rate, 0.5: "
        "bn reached plain's best validation accuracy in as many steps (20 against 20), "
        "and its test accuracy was 5.0 points lower; one seed tells nothing about seed noise."
    )


def test_plain_data_have_every_rate_with_its_own_numbers():
    plain, bn = findings(two_rates()).as_dict()["arms"]
    assert [(rate["lr"], rate["validation_mean"], len(rate["runs"])) for rate in plain["rates"]] == [
        (0.1, 0.6, 1), (0.5, 0.8, 1)
    ]  # fmt: skip
    assert [rate["steps_to_target"] for rate in bn["rates"]] == [20, 10]
    (run,) = bn["runs"]
    assert run == {
        "seed": 0, "status": "finished", "steps": 20, "best_step": 10, "train": 0.2,
        "validation": 0.9, "test": pytest.approx(0.1), "steps_to_target": 10,
    }  # fmt: skip


def test_mean_and_spread_are_those_of_the_test_accuracy():
    (arm,) = findings([record([0.5, value], seed=seed) for seed, value in enumerate((0.7, 0.8))]).as_dict()["arms"]
    assert (arm["test_mean"], arm["test_std"]) == pytest.approx((0.25, 0.1 / 2**0.5))


def test_the_baseline_is_plain_wherever_it_stands_else_the_first():
    bn, plain = record([0.5, 0.9], arm="bn"), record([0.5, 0.8])
    assert (findings([bn, plain]).baseline.name, findings([bn, plain]).target) == ("plain", 0.8)
    assert findings([bn, record([0.5, 0.8], arm="he")]).baseline.name == "bn"


def test_a_run_that_failed_sets_no_target_and_is_in_no_figure_and_one_that_diverged_does_and_is():
    records = [record([0.5, 0.7]), record([0.5, 0.9], seed=1, status="failed")]
    found = findings(records)
    assert (found.target, found.best_records, len(found.baseline.runs)) == (0.7, records[:1], 2)
    records[1] = record([0.5, 0.9], seed=1, status="diverged")
    found = findings(records)
    assert (found.target, found.best_records) == (pytest.approx(0.8), records)


@pytest.mark.parametrize(("accuracy", "at_chance"), [(0.55, True), (0.65, True), (0.75, False)])
def test_chance_is_the_commonest_label_of_the_validation_part_and_two_standard_errors(accuracy, at_chance):
    """60 of 100: 0.6 ± 0.098. In the other parts each label is as common as the other."""
    even = [0, 1] * 50
    found = findings([record([0.5, accuracy]), record([0.5, 0.9], arm="bn")], parts(even, [0] * 60 + [1] * 40, even))
    assert found.at_chance is at_chance
    assert found.verdict.startswith("plain did not learn") is at_chance
