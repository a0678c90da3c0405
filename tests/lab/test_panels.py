import pytest

from lab.studies import findings
from normwise.figures import activations, curves, gradients, learning_rate, preactivations
from normwise.lab.panels import panels
from synthetic import study


@pytest.fixture
def shown(monkeypatch):
    """The data of every figure of a study of three arms, two of which have one slug, at two rates; and the runs."""
    for module in (activations, curves, gradients, learning_rate, preactivations):
        monkeypatch.setattr(module, "draw", lambda info: info)
    records = study(["plain", "bn", "BN"], seeds=2, lrs=(0.2, 0.5), steps=300)
    found = findings(records)
    assert set(found.best_rates.values()) == {0.5}  # at 300 steps, the higher rate has learned more
    return {panel.name: panel.figure for panel in panels(found)}, records


def test_every_figure_but_that_of_the_rates_shows_each_arm_at_its_best_rate(shown):
    infos, records = shown
    best = [record for record in records if record.settings["lr"] == 0.5]
    assert infos["accuracy"] == curves.info(best, "accuracy")
    assert infos["loss"] == curves.info(best, "loss")
    assert infos["learning-rate"] == learning_rate.info(records)
    for place, (slug, arm) in enumerate({"plain": "plain", "bn": "bn", "bn-3": "BN"}.items()):
        runs = [record for record in best if record.settings["arm"] == arm]
        assert infos[f"activations-{slug}"] == activations.info(runs, place=place)
        ours = infos[f"preactivations-{slug}"]
        assert ours == preactivations.info(runs, place=place, limits=ours.limits)
        assert infos[f"gradients-{slug}"] == gradients.info(runs, limits=infos[f"gradients-{slug}"].limits)
    assert len(infos) == 3 + 3 * 3


@pytest.mark.parametrize(("kind", "module"), [("gradients", gradients), ("preactivations", preactivations)])
def test_figures_of_several_arms_have_one_axis(shown, kind, module):
    infos, records = shown
    own = [
        module.info([record for record in records if (record.settings["arm"], record.settings["lr"]) == (arm, 0.5)])
        for arm in ("plain", "bn", "BN")
    ]
    assert {infos[f"{kind}-{slug}"].limits for slug in ("plain", "bn", "bn-3")} == {module.shared_limits(own)}
