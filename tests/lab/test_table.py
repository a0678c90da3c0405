import pytest

from lab.made import mixed, record, results
from normwise.lab.ensemble import Ensemble
from normwise.lab.result_json import as_dict
from normwise.lab.table import table
from normwise.lab.task import Task
from normwise.records.metric import Metric

RMSE = Task("regression", "mse", Metric("rmse", "RMSE", higher_is_better=False), 1)


def test_the_table_has_a_number_for_every_column():
    names = ["arm", "lr", "test accuracy, %", "steps to target", "never", "gap", "gradient", "seconds"]
    assert table(mixed(steps=20)) == (
        [*names, "diverged", "failed"],
        [
            ["plain", "0.2", "15.0 ± 7.1", "15", "0 of 2", "+10.0", "0.25", "4.5", "0 of 2", "0 of 2"],
            ["bn", "0.5", "28.3 ± 17.6", "–", "2 of 3", "-1.7", "0.25", "4.0", "1 of 4 (step 10)", "1 of 4 (step 0)"],
        ],
    )


def test_one_rate_for_all_has_no_column():
    columns, _ = table(results([record([0.5, 0.8]), record([0.5, 0.9], arm="bn")], steps=10))
    assert columns == ["arm", "test accuracy, %", "steps to target", "never", "gap", "gradient", "seconds"]


def test_without_a_target_nothing_is_timed():
    columns, _ = table(results([record([0.1, 0.1]), record([0.5, 0.9], arm="bn")], steps=10))
    assert columns == ["arm", "test accuracy, %", "gap", "gradient", "seconds"]


def test_a_swept_key_has_a_column_and_so_have_steps_where_runs_stopped_early():
    records = [record([0.5, 0.8], weight_decay=0.0), record([0.5, 0.9], arm="bn", weight_decay=0.001)]
    columns, rows = table(results(records, swept="weight_decay", steps=3000))
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [(row["weight_decay"], row["steps"]) for row in found] == [("0.0", "10"), ("0.001", "10")]


def test_a_metric_without_unit_is_written_in_its_own_and_a_gap_is_how_much_better_training_is():
    runs = [record([-9.0, -3.0, -2.0 - seed], seed=seed, metric=RMSE.metric) for seed in range(2)]
    for run, test in zip(runs, (4.31234, 5.0), strict=True):
        run.done["best"] |= {"train": {"rmse": 3.0}, "test": {"rmse": test}}
    columns, (row,) = table(results(runs, RMSE, steps=20))
    found = dict(zip(columns, row, strict=True))
    assert (found["test RMSE"], found["gap"]) == ("4.66 ± 0.49", "+1.7")


@pytest.mark.parametrize(("task", "head", "cell"), [(None, "ensemble, %", "91.2"), (RMSE, "ensemble", "0.912")])
def test_an_ensemble_stands_beside_the_mean_where_an_arm_has_one(monkeypatch, task, head, cell):
    monkeypatch.setattr(
        "normwise.lab.results.ensemble", lambda runs, *_: Ensemble(0.912, 2) if len(runs) == 2 else None
    )
    metric = {"metric": task.metric} if task else {}
    records = [record([0.5, 0.8], seed=seed, **metric) for seed in range(2)] + [record([0.5, 0.9], arm="bn", **metric)]
    found = results(records, *([task] if task else []))
    columns, rows = table(found)
    assert columns[2] == head
    assert [row[2] for row in rows] == [cell, "–"]
    assert [arm["ensemble"] for arm in as_dict(found)["arms"]] == [{"value": 0.912, "runs": 2}, None]
