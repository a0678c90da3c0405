from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.doctor.gains import NOTHING, RANDOM, Scale, recommended, treatment
from normwise.doctor.treatment import TreatedRun
from normwise.lab.task import Chance
from normwise.records.metric import ACCURACY, LOSS

SCALE = Scale(ACCURACY, Chance(0.1, 0.02))
SIZES = {"clip": 1, "adam": 2, "relu-he": 4, "batch-normalization": 5}


def runs(*values):
    return [
        TreatedRun(seed, "diverged" if value is None else "finished", value, learned=True)
        for seed, value in enumerate(values)
    ]


def treated(scale=SCALE, compared=3, **values):
    """Treatments of the given values; ``nothing`` is among them."""
    named = {name.replace("_", "-"): runs(*each) for name, each in values.items()}
    nothing = named[NOTHING]
    return [treatment(name, {}, each, nothing, scale, compared=compared) for name, each in named.items()]


def best(treatments, scale=SCALE):
    found = recommended(treatments, SIZES, scale)
    return found and found.name


def test_a_gain_has_the_direction_of_the_metric():
    up, down = (treated(scale, nothing=(0.5, 0.52), adam=(0.3, 0.31))[1] for scale in (SCALE, Scale(LOSS, None)))
    assert up.gain == pytest.approx(-0.205)
    assert down.gain == pytest.approx(0.205)
    assert up.margin == down.margin


def test_the_margin_is_wider_with_more_treatments_and_there_is_none_of_one_seed():
    few, many = (
        treated(compared=count, nothing=(0.5, 0.52, 0.53), adam=(0.8, 0.82, 0.81))[1].margin for count in (1, 6)
    )
    assert 0 < few < many
    alone = treated(nothing=(0.5,), adam=(0.9,))[1]
    assert (alone.margin, alone.std, alone.helped) == (None, None, False)


def test_runs_without_any_spread_have_the_margin_of_chance():
    stuck, cured = treated(nothing=(0.1, 0.1, 0.1), adam=(1.0, 1.0, 1.0))
    assert (cured.margin, cured.helped) == (0.02, True)
    assert (stuck.gain, stuck.helped) == (0.0, False)
    assert not treated(nothing=(0.5, 0.5), adam=(0.51, 0.51))[1].helped


def test_a_comparison_counts_what_is_worse_than_guessing_as_guessing_and_the_mean_is_that_of_the_values():
    found = treated(nothing=(0.04, 0.06, 0.09), adam=(None, 0.04, 0.9), clip=(None, None, None))
    assert [each.mean for each in found] == pytest.approx([0.19 / 3, 0.47, None])
    assert [each.gain for each in found] == pytest.approx([0.0, (0.1 + 0.1 + 0.9) / 3 - 0.1, 0.0])
    wild = treated(Scale(LOSS, Chance(2.3, 0.1)), nothing=(2.2, 8e9, 4e3), adam=(0.1, 0.2, 0.1))
    assert wild[1].helped
    assert wild[0].mean > 1e9


def test_a_margin_is_not_that_of_a_spread_that_guessing_took_away():
    low, flat, cured = (0.02, 0.05, 0.09), (0.1, 0.1, 0.1), (0.15, 0.18, 0.2)
    real, none = (treated(nothing=given, adam=cured)[1] for given in (low, flat))
    assert real.gain == none.gain
    assert real.margin > 1.3 * none.margin
    hidden = treated(nothing=low, adam=(None, 0.3, 0.4))[1]
    assert hidden.margin > treated(nothing=flat, adam=(0.1, 0.3, 0.4))[1].margin


def test_a_run_is_compared_with_those_of_the_same_seeds():
    nothing, one = runs(0.2, 0.8, 0.8), runs(0.5)
    assert treatment("adam", {}, one, nothing, SCALE, compared=1).gain == pytest.approx(0.3)


def test_the_smallest_change_within_noise_of_the_best():
    found = treated(nothing=(0.3, 0.31, 0.32), relu_he=(0.9, 0.91, 0.92), clip=(0.89, 0.9, 0.92), adam=(0.5, 0.5, 0.51))
    assert best(found) == "clip"
    apart = treated(nothing=(0.3, 0.31, 0.32), relu_he=(0.9, 0.91, 0.92), clip=(0.6, 0.61, 0.62))
    assert best(apart) == "relu-he"


def test_a_wide_scatter_does_not_pass_for_the_best():
    found = treated(compared=1, nothing=(0.1, 0.1, 0.1), batch_normalization=(0.97, 0.97, 0.98), clip=(0.6, 0.7, 0.8))
    assert found[2].helped
    assert best(found) == "batch-normalization"


def test_controls_and_what_was_dropped_are_never_recommended():
    found = treated(nothing=(0.1, 0.1), random=(0.9, 0.9))
    assert best(found) is None
    dropped = treatment("adam", {}, runs(0.9, 0.9), runs(0.1, 0.1), SCALE, compared=1, dropped="others were better")
    assert best([found[0], dropped]) is None


VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(VALUES, st.dictionaries(st.sampled_from([*SIZES, RANDOM]), VALUES, max_size=4))
def test_nothing_is_recommended_whose_interval_holds_zero(nothing, others):
    found = [
        treatment(name, {}, runs(*values), runs(*nothing), SCALE, compared=len(others))
        for name, values in {NOTHING: nothing, **others}.items()
    ]
    chosen = recommended(found, SIZES, SCALE)
    helped = [each for each in found[1:] if each.name != RANDOM and each.margin is not None and each.gain > each.margin]
    assert (chosen is None) == (not helped)
    if chosen:
        assert chosen in helped
        assert fmean(SCALE.counted(chosen.runs)) > fmean(SCALE.counted(runs(*nothing[: len(chosen.runs)])))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=4))
def test_mean_and_standard_deviation_are_those_of_the_values_that_are_shown(values):
    found = treatment("adam", {}, runs(*values), runs(0.3, 0.4), SCALE, compared=1)
    shown = [run.value for run in found.runs if run.value is not None]
    assert found.mean == (fmean(shown) if shown else None)
    assert found.std == (stdev(shown) if len(shown) > 1 else None)
