from dataclasses import replace

import numpy as np
import pytest

from normwise.figures import activations, agreement, confusion, curves, gradients, pairs, preactivations, sweep
from normwise.lab.captions import caption
from normwise.lab.panels import panels
from normwise.records.metric import LOSS, Metric
from synthetic import study
from synthetic_page import found, with_outputs

ARMS = ["plain", "bn", "BN"]
SLUGS = {"plain": "plain", "bn": "bn", "bn-3": "BN"}
MODULES = (activations, agreement, confusion, curves, gradients, pairs, preactivations, sweep)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """A figure is the data that would be drawn."""
    for module in MODULES:
        monkeypatch.setattr(module, "draw", lambda info: info)


@pytest.fixture
def shown():
    """The data of every figure of a study of three arms, two of which have one slug, at two rates; and the runs."""
    records = study(ARMS, seeds=2, lrs=(0.2, 0.5), steps=300)
    result = found(records)
    result.best_records = [record for record in records if record.settings["lr"] == 0.5]
    return {panel.name: panel.figure for panel in panels(result)}, records, result.best_records


def test_every_figure_but_that_of_the_rates_shows_each_arm_at_its_best_rate(shown):
    infos, records, best = shown
    assert infos["accuracy"] == curves.info(best)
    for name in ("loss", "gradients", "preactivations", "saturated"):
        assert infos[name] == curves.info(best, name)
    assert infos["learning-rate"] == sweep.info(records, "lr")
    for place, (slug, arm) in enumerate(SLUGS.items()):
        runs = [record for record in best if record.settings["arm"] == arm]
        assert infos[f"activations-{slug}"] == activations.info(runs, place=place)
        ours = infos[f"preactivations-{slug}"]
        assert ours == preactivations.info(runs, place=place, reach=ours.limits)
        assert infos[f"gradients-{slug}"] == gradients.info(runs, infos[f"gradients-{slug}"].limits, place)
    assert len(infos) == 6 + 3 * 3


@pytest.mark.parametrize(("kind", "module"), [("gradients", gradients), ("preactivations", preactivations)])
def test_figures_of_several_arms_have_one_axis(shown, kind, module):
    infos, _, best = shown
    own = [module.info([record for record in best if record.settings["arm"] == arm]) for arm in ARMS]
    assert {infos[f"{kind}-{slug}"].limits for slug in SLUGS} == {module.shared_limits(own)}


def test_figures_of_all_arms_come_before_those_of_one_and_each_group_has_a_caption():
    runs = study(ARMS, seeds=1, steps=200)
    made = panels(found(runs))
    for group in dict.fromkeys(panel.group for panel in made):
        places = [panel.place is not None for panel in made if panel.group == group]
        assert places == sorted(places)
        assert "seeds" not in caption(group, runs, None)
    assert all((panel.chart is None) == (panel.group == "Activations") for panel in made)


def test_one_arm_needs_no_overlay():
    names = {panel.name for panel in panels(found(study(["plain"], seeds=1, steps=200)))}
    assert names == {"accuracy", "loss", "preactivations-plain", "gradients-plain", "activations-plain"}


def test_a_swept_key_has_a_figure_beside_the_learning_rates():
    records = [run for lr in (0.1, 0.2) for run in study(["plain", "bn"], seeds=1, lrs=[lr], steps=200) * 2]
    records = [
        replace(run, settings=run.settings | {"init": ("he", "xavier")[place % 2]})
        for place, run in enumerate([*records[::2], *records[1::2]])
    ]
    made = {panel.name: panel for panel in panels(found(records, swept="init"))}
    assert made["init"].figure == sweep.info(records, "init", ["lr"])
    assert made["learning-rate"].figure == sweep.info(records, "lr", ["init"])
    assert "at its best learning rate" in made["init"].caption
    assert made["pairs-bn"].place == 1


def test_what_was_predicted_is_shown_by_the_kind_of_task(tmp_path):
    y = np.arange(10)
    (run,) = study(["plain"], seeds=1, steps=0)
    run = with_outputs(run, tmp_path, np.eye(10, dtype=np.float32), y)
    assert "confusion-plain" in {panel.name for panel in panels(found([run]))}
    (run,) = study(["plain"], seeds=1, steps=0, metric=Metric("r2", "R²"))
    run = with_outputs(run, tmp_path, y.astype(np.float32), y.astype(np.float32))
    assert {"r2", "loss", "predictions-plain"} <= {panel.name for panel in panels(found([run]))}


def test_a_metric_that_is_the_loss_has_one_figure():
    records = study(["plain"], seeds=1, steps=200, metric=LOSS)
    assert [panel.name for panel in panels(found(records)) if panel.group == "Training"] == ["loss"]


def test_no_run_with_a_result_has_no_figure():
    result = found(study(["plain"], seeds=1, steps=0))
    result.best_records = []
    assert panels(result) == []


def test_saturated_shares_that_are_all_zero_have_no_figure_and_a_word():
    runs = study(["plain", "bn"], seeds=1, steps=200)
    for run in runs:
        for line in run.metrics:
            line["preactivations"][-1]["saturated"] = 0.0
    assert "saturated" not in {panel.name for panel in panels(found(runs))}
    assert "No unit was saturated" in caption("Pre-activations", runs, None)


def test_the_caption_of_curves_says_on_how_many_examples_and_what_chose_the_best_step():
    runs = study(["plain"], seeds=2, steps=200)
    runs = [replace(run, settings=run.settings | {"samples": {"train": 500, "validation": 200, "test": 50}},
                    done=run.done | {"best": {"step": 100}}) for run in runs]  # fmt: skip
    said = caption("Training", runs, 120)
    assert "on up to 50 test and 120 training examples" in said
    assert "A ring marks the best step of each run, by the accuracy on up to 200 validation examples" in said


def test_the_chart_of_the_metric_has_chance_and_the_best_step_of_each_run():
    runs = [replace(run, done=run.done | {"best": {"step": 100 * (place + 1)}})
            for place, run in enumerate(study(["plain"], seeds=2, steps=200))]  # fmt: skip
    charts = {panel.name: panel.chart for panel in panels(found(runs, chance=0.1))}
    assert (charts["accuracy"].level, charts["accuracy"].lines[0].best) == (0.1, (100, 200))
    assert (charts["loss"].level, charts["loss"].lines[0].best) == (None, ())
