import json

import pytest

from doctor.treating import treated
from normwise.doctor.remedies import REMEDIES
from normwise.doctor.treat import drawn

SIX = ("relu-he", "lr*10", "adam", "clip", "warmup", "batch-normalization")


def test_the_rounds():
    found, rounds = treated(*SIX, relu_he=0.8, batch_normalization=0.6, adam=0.7)
    assert rounds[0] == [(name, 0) for name in SIX]
    finalists = ("relu-he", "adam", "batch-normalization")
    assert sorted(rounds[1]) == sorted((name, seed) for name in finalists for seed in (1, 2))
    assert rounds[2] == [("relu-he + adam", seed) for seed in range(3)] + [("random", seed) for seed in range(3)]
    assert [each.name for each in found] == [
        "nothing", *finalists, "relu-he + adam", "lr*10", "clip", "warmup", "random",
    ]  # fmt: skip
    assert [each.name for each in found if each.dropped] == ["lr*10", "clip", "warmup"]
    assert [len(each.runs) for each in found] == [3, 3, 3, 3, 3, 1, 1, 1, 3]
    assert found[4].settings == {"activation": "relu", "init": "he", "optimizer": "adam", "lr": 0.001, "momentum": None}


def test_runs_of_random_fill_the_last_turn_of_a_round():
    _, rounds = treated(*SIX[:5], relu_he=0.8, workers=2)
    assert rounds[0][-1] == ("random", 0)
    assert [name for name, _ in rounds[2]].count("random") == 2


def test_batch_normalization_is_tried_on_every_seed_also_where_it_is_worst():
    found, _ = treated(*SIX, batch_normalization=0.1, **{"lr*10": 0.9})
    assert len(next(each for each in found if each.name == "batch-normalization").runs) == 3


def pairs(*names, **options):
    return [each.name for each in treated(*names, **options)[0] if " + " in each.name]


def test_the_best_two_that_change_different_keys_are_combined():
    scores = {"lr*10": 0.9, "adam": 0.8, "batch_normalization": 0.5}  # adam has a rate of its own
    assert pairs("lr*10", "adam", "batch-normalization", **scores) == ["batch-normalization + lr*10"]
    assert pairs("lr*10", "adam") == []


def test_where_none_is_better_alone_remedies_of_several_findings_are_combined():
    names, partners = ("standard-inputs", "lr/10", "clip", "adam"), ("standard-inputs", "clip")
    assert pairs(*names, partners=partners) == ["clip + standard-inputs"]
    assert pairs(*names, partners=partners, clip=0.2) == ["lr/10 + standard-inputs"]  # clipping made it worse
    assert pairs(*names, partners=partners, adam=0.9) == ["standard-inputs + adam"]
    assert pairs("relu-he", "adam", relu_he=0.2, adam=0.2) == []


def test_of_runs_that_are_no_better_than_guessing_the_nearest_to_it_is_the_best():
    found, _ = treated(
        "clip", "warmup", "relu-he", "adam", nothing=0.05, clip=0.01, warmup=0.04, relu_he=0.03, adam=0.02
    )
    assert [each.name for each in found if not each.dropped and " + " not in each.name] == [
        "nothing",
        "warmup",
        "random",
    ]


def test_what_is_no_better_than_nothing_at_first_is_not_tried_again_but_batch_normalization():
    found, _ = treated(*SIX, relu_he=0.5, adam=0.29, batch_normalization=0.1)
    assert [each.name for each in found if len(each.runs) > 1][:3] == ["nothing", "relu-he", "batch-normalization"]
    assert "adam" in [each.name for each in found if each.dropped]


def test_with_one_seed_nothing_is_dropped_and_nothing_helps():
    found, rounds = treated(*SIX, seeds=1, relu_he=0.9)
    assert [each.dropped for each in found] == [""] * len(found)
    assert not any(each.helped for each in found)
    assert len(rounds) == 2


def test_where_time_is_short_batch_normalization_and_the_controls_are_left():
    found, rounds = treated(*SIX, relu_he=0.9, batch_normalization=0.5, enough=lambda runs: runs <= 2)
    assert [each.name for each in found if not each.dropped] == ["nothing", "batch-normalization", "random"]
    assert len(found[-1].runs) == 3
    assert not any(" + " in name for each in rounds for name, _ in each)


def test_where_none_helps_the_other_remedies_are_tried():
    names, others = ("relu-he", "batch-normalization"), ("lr*1000", "clip", "xavier", "orthogonal")
    found, rounds = treated(*names, others=others, clip=0.1, orthogonal=0.5, **{"lr*1000": 0.9})
    assert rounds[-2][:4] == [(name, 0) for name in others]
    assert sorted(rounds[-1]) == [(name, seed) for name in ("lr*1000", "orthogonal") for seed in (1, 2)]
    assert [each.name for each in found if each.helped] == ["lr*1000", "orthogonal"]
    assert [each.name for each in found if each.dropped] == ["relu-he", "clip", "xavier"]


@pytest.mark.parametrize("options", [{"relu_he": 0.9}, {"seeds": 2}, {"enough": lambda runs: runs < 7}])
def test_the_other_remedies_are_left_where_one_helps_or_seeds_or_time_are_few(options):
    found, _ = treated("relu-he", "batch-normalization", others=("lr*1000", "clip", "xavier", "orthogonal"), **options)
    assert "xavier" not in [each.name for each in found]


def test_random_says_what_each_of_its_runs_was():
    found, _ = treated("relu-he", clip=0.5, adam=0.4)
    assert [(run.seed, run.remedy, run.value) for run in found[-1].runs] == [
        (0, "clip", 0.5), (1, "adam", 0.41), (2, "he", 0.32),
    ]  # fmt: skip
    assert found[-1].mean == pytest.approx(0.41)


def test_lots_are_the_same_every_time_and_independent_of_the_number_of_seeds():
    lots = [remedy.name for remedy in drawn(REMEDIES, range(40), "digits mlp")]
    assert lots[:3] == [remedy.name for remedy in drawn(REMEDIES, range(3), "digits mlp")]
    assert len(set(lots)) > 10
    assert drawn([], range(3), "digits") == []


def test_treatments_are_plain_data():
    found, _ = treated("relu-he", "batch-normalization", relu_he=0.9)
    one = json.loads(json.dumps([each.as_dict() for each in found]))[1]
    assert list(one) == ["name", "settings", "mean", "std", "gain", "margin", "helped", "runs", "dropped"]
    assert one["runs"][1] == {
        "seed": 1, "status": "finished", "value": 0.91, "learned": True, "remedy": "", "directory": "",
    }  # fmt: skip
