from __future__ import annotations

from collections import namedtuple

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from normwise.lab.data.collated import Collated, as_batch, digest, move, not_finite, structure, take_apart

X = torch.arange(6.0).reshape(3, 2)
Y = torch.tensor([0, 1, 2])


def test_everything_before_the_target_is_an_input():
    assert take_apart([X, Y, Y], "train") == Collated((X, Y), {}, Y)
    assert take_apart(namedtuple("Pair", "x y")(X, Y), "train") == Collated((X,), {}, Y)


def test_a_dict_is_keywords_and_its_first_key_that_names_a_target():
    assert take_apart({"labels": Y, "x": X}, "train") == Collated((), {"x": X}, Y)
    assert take_apart({"labels": Y, "x": X, "target": X}, "train") == Collated((), {"x": X, "labels": Y}, X)


def test_a_batch_moves_as_a_whole():
    nest = {"pair": (X.double(), [np.ones(2)]), "packed": pack_sequence([X[0], X[1, :1]]), "name": "a"}
    moved = move(nest, "meta")
    assert moved["pair"][0].device.type == moved["pair"][1][0].device.type == "meta"
    assert moved["pair"][0].dtype == moved["pair"][1][0].dtype == torch.float32
    assert isinstance(moved["packed"], PackedSequence)
    assert moved["name"] == "a"


def test_the_size_of_a_batch_is_that_of_its_target_where_nobody_counted():
    assert as_batch(Collated((X.T,), {}, Y), None, lambda target: target, "cpu").size == 3
    assert as_batch(Collated((X,), {}, None), None, lambda target: target, "cpu").size == 3
    assert as_batch(Collated((X,), {}, Y), 7, lambda target: target, "cpu").size == 7


def test_sizes_may_change_and_types_may_not():
    assert structure((X, {"y": Y})) == structure((X[:1], {"y": Y[:2]}))
    for other in ((X.double(), {"y": Y}), (X[0], {"y": Y}), (X, {"z": Y}), (X, Y), (X, {"y": Y}, Y)):
        assert structure(other) != structure((X, {"y": Y}))


def test_a_number_that_is_not_finite_is_named():
    bad = X.clone()
    bad[1, 0] = torch.inf
    assert not_finite(Collated((X, bad), {}, Y)) == "input 1 is inf at (1, 0) of a batch"
    assert not_finite(Collated((), {"x": X}, np.array([0, np.nan]))) == "the target is nan at (1,) of a batch"
    assert not_finite(Collated((X,), {"mask": torch.tensor([0, -torch.inf])}, Y)) is None


def test_a_digest_sees_every_value_and_type():
    values = [{"x": X}, "a", 3]
    others = [[{"x": X + 1}, "a", 3], [{"x": X.double()}, "a", 3], [{"z": X}, "a", 3], [{"x": X}, "b", 3]]
    assert len({digest(each) for each in [values, *others]}) == 5
    assert digest(values) == digest([{"x": X.clone()}, "a", 3])
