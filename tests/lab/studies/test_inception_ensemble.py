"""The claims of inception-ensemble against predictions that are known."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from normwise.lab.studies.inception_ensemble import accuracies, beats_every_member, lowers_the_error
from normwise.records.run import PREDICTIONS
from reproductions import outcome, run

TARGETS = np.zeros(40, dtype=np.int64)


def made(tmp_path, wrong):
    """Members that are wrong, and half as sure as where they are right, in these of forty examples."""
    runs = []
    for seed, indices in enumerate(wrong):
        outputs = np.tile(np.array([2.0, 0.0], dtype=np.float32), (40, 1))
        outputs[list(indices)] = (0.0, 1.0)
        directory = tmp_path / str(seed)
        directory.mkdir()
        save_file({"outputs": outputs, "targets": TARGETS}, directory / PREDICTIONS)
        runs.append(replace(run("x", seed), directory=directory))
    return outcome({"x": runs})


@pytest.mark.parametrize(
    ("firsts", "reached", "beats", "lowers"),
    [((0, 8, 16), 1.0, "holds", "holds"), ((0, 0, 0), 0.8, "undecided", "does not hold")],
)
def test_an_average_helps_where_members_are_wrong_in_different_places(tmp_path, firsts, reached, beats, lowers):
    found = made(tmp_path, [range(first, first + 8) for first in firsts])
    alone, together = accuracies(found)
    assert alone == [0.8] * 3
    assert together[-1] == reached
    assert (beats_every_member(found).verdict, lowers_the_error(found).verdict) == (beats, lowers)


def test_one_image_more_decides_nothing(tmp_path):
    assert beats_every_member(made(tmp_path, [(0,), (1,), (2,)])).verdict == "undecided"
