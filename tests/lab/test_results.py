"""Results of records in which the parts disagree: where validation rises, test falls. See ``lab.studies.record``."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.made import record, results
from normwise.lab.arms import Point
from normwise.lab.effects import helped
from normwise.lab.result_json import as_dict
from normwise.lab.task import Chance, Task
from normwise.records.metric import Metric


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
    found = results(records)
    assert found.best_points == {"plain": Point(0.5), "bn": Point(2.0)}
    assert found.points == {"plain": (Point(0.1), Point(0.5)), "bn": (Point(0.5), Point(2.0))}
    assert (found.target, found.shared_point) == (0.8, Point(0.5))
    assert found.best_records == [records[1], records[3]]
    assert [(arm.lr, [run.steps_to_target for run in arm.runs]) for arm in found.arms] == [(0.5, [20]), (2.0, [10])]
    assert [arm.test_mean for arm in found.arms] == pytest.approx([0.2, 0.1])


def test_the_verdict_compares_at_the_best_rates_and_at_the_baseline_s():
    assert results(two_rates()).verdict == (
        "Each arm at its best learning rate (plain 0.5, bn 2): "
        "bn reached 80.0 %, plain's best mean validation accuracy, in 2 times fewer steps (10 against 20), "
        "and its test accuracy was 10.0 points lower; one seed tells nothing about seed noise. "
        "Each at plain's best rate, 0.5: "
        "bn reached 80.0 %, plain's best mean validation accuracy, in as many steps (20 against 20), "
        "and its test accuracy was 5.0 points lower; one seed tells nothing about seed noise."
    )


def test_another_swept_key_is_called_by_its_name_and_its_values_kept_apart():
    records = [
        record([0.5, 0.6], weight_decay=0.0),
        record([0.4, 0.5], weight_decay=0.001),
        record([0.5, 0.7], arm="bn", weight_decay=0.0),
        record([0.5, 0.8], arm="bn", weight_decay=0.001),
    ]
    found = results(records, swept="weight_decay")
    assert found.best_points == {"plain": Point(0.2, 0.0), "bn": Point(0.2, 0.001)}
    assert found.verdict.startswith("Each arm at its best weight_decay (plain 0, bn 0.001): bn reached")
    assert " Each at plain's best weight_decay, 0: bn reached" in found.verdict
    plain, bn = as_dict(found)["arms"]
    assert (plain["settings"]["weight_decay"], bn["settings"]["weight_decay"]) == (0.0, 0.001)
    assert [(at["lr"], at["weight_decay"], at["validation_mean"]) for at in bn["rates"]] == [
        (0.2, 0.0, pytest.approx(0.65)), (0.2, 0.001, pytest.approx(0.75))
    ]  # fmt: skip


def test_settings_and_steps_are_those_of_the_point():
    """As with several batch sizes in one epoch, and several optimizers, of which each has its own momentum."""
    records = [
        record([0.5, 0.8], optimizer="momentum", steps=11),
        record([0.5, 0.9], optimizer="rmsprop", steps=119),
        record([0.5, 0.9], arm="bn", optimizer="momentum", steps=11),
        record([0.5, 0.7], arm="bn", optimizer="rmsprop", steps=119),
    ]
    plain, bn = (arm.settings for arm in results(records, swept="optimizer").arms)
    assert (plain["optimizer"], plain["momentum"], plain["steps"]) == ("rmsprop", 0.0, 119)
    assert (bn["optimizer"], bn["momentum"], bn["steps"]) == ("momentum", 0.9, 11)


def test_a_sweep_over_rates_and_another_key_names_both():
    records = [record([0.5, 0.5 + lr], lr=lr, init=init) for lr in (0.1, 0.2) for init in ("he", "xavier")]
    found = results([*records, record([0.5, 0.9], arm="bn", lr=0.1, init="he")], swept="init")
    best = "Each arm at its best learning rate and init (plain 0.2 and he, bn 0.1 and he): "
    assert found.verdict.startswith(best)


def test_plain_data_have_every_rate_with_its_own_numbers():
    found = as_dict(results(two_rates()))
    plain, bn = found["arms"]
    assert [(rate["lr"], rate["validation_mean"], len(rate["runs"])) for rate in plain["rates"]] == [
        (0.1, pytest.approx(0.55), 1), (0.5, 0.75, 1)
    ]  # fmt: skip
    assert [rate["steps_to_target"] for rate in bn["rates"]] == [20, 10]
    (run,) = bn["runs"]
    assert run == {
        "seed": 0, "status": "finished", "steps": 20, "best_step": 10, "train": 0.2,
        "validation": pytest.approx(0.85), "test": pytest.approx(0.1), "steps_to_target": 10,
    }  # fmt: skip


def test_plain_data_say_the_task_and_the_metric():
    found = as_dict(results([record([0.5, 0.7]), record([0.5, 0.8], arm="bn")]))
    assert (found["task"], found["metric"], found["higher_is_better"]) == ("classification", "accuracy", True)
    assert (found["baseline"], found["ranking"]["best"]) == ("plain", "bn")
    assert [(arm["learned"], arm["ensemble"], "rates" in arm) for arm in found["arms"]] == [(True, None, False)] * 2


def test_mean_and_spread_are_those_of_the_test_metric():
    records = [record([0.5, value], seed=seed) for seed, value in enumerate((0.7, 0.8))]
    (arm,) = as_dict(results(records))["arms"]
    assert (arm["test_mean"], arm["test_std"]) == pytest.approx((0.25, 0.1 / 2**0.5))


def test_the_baseline_is_the_one_that_was_asked_for_whatever_it_is_called():
    records = [record([0.5, 0.9], arm="bn"), record([0.5, 0.8])]
    assert (results(records).baseline.name, results(records).target) == ("bn", 0.9)
    found = results(records, baseline="plain")
    assert (found.baseline.name, found.target, found.title) == ("plain", 0.8, "bn against plain on parts")
    assert found.verdict.startswith("bn reached 80.0 %, plain's")


def test_a_run_that_failed_sets_no_target_and_is_in_no_figure_and_one_that_diverged_does_and_is():
    records = [record([0.5, 0.7]), record([0.5, 0.9], seed=1, status="failed")]
    found = results(records)
    assert (found.target, found.best_records, len(found.baseline.runs)) == (0.7, records[:1], 2)
    records[1] = record([0.5, 0.9], seed=1, status="diverged")
    found = results(records)
    assert (found.target, found.best_records) == (pytest.approx(0.8), records)


def test_a_baseline_that_crossed_chance_once_did_not_learn_and_sets_no_target():
    """As three hidden layers of sigmoids in 600 steps of Fashion-MNIST."""
    at_chance = [0.1] * 45
    plain = [record([*at_chance[:at], 0.19, *at_chance[at + 1 :]], seed=seed) for seed, at in enumerate((33, 37, 43))]
    bn = [record([0.1 + 0.7 * index / 44 for index in range(45)], arm="bn", seed=seed) for seed in range(3)]
    found = results([*plain, *bn])
    assert found.verdict.startswith(
        "plain did not learn: its validation accuracy did not stay beyond chance; bn reached"
    )
    assert "times" not in found.verdict
    assert (found.target, [arm.learned for arm in found.arms]) == (None, [False, True])
    assert [(arm["steps_to_target"], arm["never"]) for arm in as_dict(found)["arms"]] == [(None, None)] * 2
    assert results([*plain, *bn], baseline="bn").verdict.startswith("plain did not learn")


def test_a_mean_within_chance_is_no_target_though_most_runs_learned():
    """One run's R² is far below that of the mean: so is the mean of all."""
    r2 = Task("regression", "mse", Metric("r2", "R²"), 1, Chance(0.0, 0.05))
    curves = ([-1.0, 0.5, 0.6], [-1.0, 0.5, 0.6], [-90.0, -80.0, -70.0])
    found = results([record(curve, seed=seed, metric=r2.metric) for seed, curve in enumerate(curves)], r2)
    assert (found.baseline.learned, found.target) == (True, None)


def test_many_arms_at_their_best_rates_are_ranked():
    found = results([*two_rates(), record([0.5, 0.7], arm="he", lr=1.0)])
    assert found.title == "plain, bn and he on parts"
    assert found.verdict == (
        "Each arm is at its best learning rate. Of 3 arms, bn has the best validation accuracy (85.0 %). "
        "bn reached 80.0 %, plain's best mean validation accuracy, in 2 times fewer steps (10 against 20), "
        "and its test accuracy was 10.0 points lower; one seed tells nothing about seed noise."
    )
    assert [arm.name for arm in found.ranking.order] == ["bn", "plain", "he"]


def test_what_ended_early_is_noted():
    stopped = record([0.5, 0.7], seed=1)
    stopped.done["reason"] = "5 evaluations without a better validation accuracy"
    found = results([record([0.5, 0.7], status="diverged"), stopped])
    assert found.notes == ["plain, seed 0: diverged at step 10: None"]
    assert as_dict(found)["arms"][0]["runs"][1]["reason"].startswith("5 evaluations")


def test_a_run_that_failed_is_noted_wherever_it_is():
    lost = record([0.5, 0.6], lr=0.1, status="failed")
    found = results([lost, record([0.5, 0.8], lr=0.1, seed=1), record([0.5, 0.7], lr=2.0)])
    assert (found.failed, found.notes) == (True, ["plain, seed 0: failed at step 10: None"])
    found = results([lost, record([0.5], lr=0.2, status="diverged"), record([0.5, 0.7], lr=2.0)])
    assert found.failed
    assert found.notes == ["plain at 0.1, seed 0: failed at step 10: None", "plain at 0.2: 1 of 1 runs diverged"]
    assert not results([record([0.5], status="diverged")]).failed


def test_a_study_that_still_runs_has_curves_and_no_verdict():
    records = [
        record([0.5, 0.7, 0.8]),
        record([0.5, 0.6], arm="bn", status="running"),
        record([], arm="he", status="running"),
    ]
    found = results(records)
    assert found.verdict == "No verdict yet: 1 of 3 runs have ended."
    assert found.best_records == records
    assert [(run.status, run.steps) for arm in found.arms for run in arm.runs] == [
        ("finished", 20), ("running", 10), ("running", 0)
    ]  # fmt: skip
    assert (found.arms[1].counted, found.ranking.failed, found.notes) == ([], (), [])
    assert found.ranking_lines[0] == "Best validation accuracy: plain (75.0 %)."


def test_two_arms_need_no_ranking_in_words():
    assert results([record([0.5, 0.7]), record([0.5, 0.8], arm="bn")]).ranking_lines == []


HIGHER = Task("regression", "mse", Metric("score", "score"), 1, Chance(0.1, 0.02))
LOWER = HIGHER._replace(metric=Metric("score", "score", higher_is_better=False), chance=Chance(-0.1, 0.02))

CURVE = st.lists(st.integers(0, 20).map(lambda twentieths: twentieths / 20), min_size=1, max_size=8)
RUN = st.tuples(CURVE, st.sampled_from(["finished", "finished", "diverged", "failed"]))
STUDY = st.lists(st.lists(RUN, min_size=1, max_size=4), min_size=1, max_size=4)


def found(arms, task):
    """Results of these runs, every other run of an arm at another learning rate."""
    runs = [
        record(curve, arm=f"arm{place}", seed=number // 2, lr=(0.1, 0.2)[number % 2], status=status, metric=task.metric)
        for place, runs in enumerate(arms)
        for number, (curve, status) in enumerate(runs)
    ]
    return results(runs, task)


@given(STUDY)
@settings(max_examples=60, deadline=None)
def test_a_metric_of_which_lower_is_better_gives_what_its_negative_would(arms):
    high, low = found(arms, HIGHER), found(arms, LOWER)
    assert high.best_points == low.best_points
    assert (high.target or 0) == -(low.target or 0)
    assert [(arm.steps_to_target, arm.never, arm.learned) for arm in high.arms] == [
        (arm.steps_to_target, arm.never, arm.learned) for arm in low.arms
    ]
    assert [arm.name for arm in high.ranking.order] == [arm.name for arm in low.ranking.order]
    for name in ("within_noise", "first", "first_steps", "unlearned", "diverged", "failed"):
        assert getattr(high.ranking, name) == getattr(low.ranking, name)
    assert [helped(high.baseline, arm) for arm in high.arms] == [helped(low.baseline, arm) for arm in low.arms]
    assert without_numbers(high.verdict) == without_numbers(turned(low.verdict))


def turned(text):
    words = {"lower, which is better": "higher", "higher, which is worse": "lower"}
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def without_numbers(text):
    return re.sub(r"[+-]?\d[\d.,e+-]*", "#", text)


def test_accuracy_is_not_named_where_it_is_not_the_metric():
    task = LOWER._replace(chance=Chance(10.0, 0.5))
    arms = [([-9.0, -3.0, -2.0], "finished")] * 4
    one = found([arms, arms], task)
    assert (one.target, one.baseline.learned) == (2.0, True)
    assert "accuracy" not in f"{as_dict(one)} {one.ranking.lines}"


def test_runs_that_were_never_better_than_before_training_are_named():
    found = results([record([0.6, 0.3]), record([0.3, 0.6], seed=1), record([0.3, 0.9], arm="bn")])
    assert found.notes == ["plain: 1 of 2 runs were never better than before training; their best step is 0"]
