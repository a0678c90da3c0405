from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from normwise.lab.data.parts import Data, Part, fingerprint


def _part(rows: int = 4) -> Part:
    return Part(np.arange(rows * 6, dtype=np.uint8).reshape(rows, 6), np.arange(rows, dtype=np.int64) % 2)


def test_fingerprint_is_pinned():
    """It names directories on disk, so it must be the same in every version and on every machine."""
    assert fingerprint(_part(), _part(2)) == "e5765fceda681231"


@pytest.mark.parametrize(
    "change",
    [
        lambda part: Part(part.X.reshape(4, 2, 3), part.y),
        lambda part: Part(part.X.view(np.int8), part.y),
        lambda part: Part(part.X, part.y[::-1]),
        lambda part: Part(part.X ^ (np.arange(24) == 23).reshape(4, 6), part.y),
    ],
    ids=["shape", "type", "label order", "last value"],
)
def test_fingerprint_changes_with(change):
    assert fingerprint(change(_part())) != fingerprint(_part())


def test_fingerprint_tells_parts_apart():
    assert fingerprint(_part(), _part(2)) != fingerprint(_part(2), _part())


def test_fingerprint_does_not_depend_on_memory_layout():
    part = _part()
    assert fingerprint(Part(np.asfortranarray(part.X), part.y)) == fingerprint(part)


def test_data_says_what_an_example_and_an_epoch_is():
    part = Part(_part().X.reshape(4, 1, 2, 3), _part().y)
    data = Data("mine", part, part, part, "classification", "0" * 16, 2)
    assert data.example_shape == (1, 2, 3)
    assert data.batches_per_epoch(3) == 1
    assert len(data.train) == 4


def test_data_is_frozen_and_pickles():
    data = Data("mine", _part(), _part(), _part(), "classification", fingerprint(_part()), 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "yours"  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(data))
    assert fingerprint(copy.train) == copy.fingerprint
