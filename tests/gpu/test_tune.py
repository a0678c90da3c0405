"""Tuning on a GPU."""

from __future__ import annotations

import pytest

from gpu_problems import DEVICE, answer, assert_right, computed, problem
from normwise.bench.cases import TRAIN, Case
from normwise.bench.gpu import tune
from normwise.bench.gpu.device import Cuda
from normwise.ops.batch_norm.triton import tuned


@pytest.mark.parametrize("shape", [(33, 17, 31, 29), (8, 5, 130, 131), (2049, 129)], ids=str)
def test_what_was_found_is_kept_and_right(shape, tmp_path, monkeypatch):
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path))
    tuned._table.cache_clear()
    asked = tune.asked([Case(shape, "contiguous", "bn+add+relu", TRAIN)], Cuda())
    found = list(tune.tune(asked, Cuda(), seconds=0.05))
    tuned._table.cache_clear()
    place = tune._place(Cuda())
    assert place.type == DEVICE
    assert [each.asked.part for each in found] == ["forward", "backward"]
    assert [tuned.known(place, each.asked.problem) for each in found] == [each.choice for each in found]
    assert not any(each.notes for each in found)  # every rival runs, and answers as the rule does
    given = problem(shape, activation="relu", residual=True)
    assert_right(computed(given), answer(given), given)
    tuned._table.cache_clear()
