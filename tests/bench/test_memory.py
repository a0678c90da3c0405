import os

import pytest
import torch
from torch import nn

from normwise.bench import memory

BYTES = 4 * 8 * 100  # of a float32 tensor of shape (8, 100)


def test_saved_counts_each_storage_once_and_leaves_parameters_out():
    x = torch.randn(8, 100, requires_grad=True)
    weight = torch.randn(100, requires_grad=True)
    assert memory.saved(lambda: x * x) == BYTES
    assert memory.saved(lambda: x.exp().exp()) == 2 * BYTES  # each keeps its result
    assert memory.saved(lambda: (x * weight).relu(), [weight]) == 2 * BYTES
    assert memory.saved(lambda: x + x) == 0
    assert memory.saved(lambda: (x[:4] * x[4:]).sum()) == BYTES  # two views of one storage


def test_live_follows_what_is_allocated_and_freed():
    x = torch.randn(8, 100)

    def work():
        y = x * 2
        z = y + 1
        del y
        return z * z

    memory.live(work)
    found = memory.live(work)
    assert abs(found.kept - BYTES) < 100  # give or take the scalars
    assert 2 * BYTES <= found.peak < 2 * BYTES + 100
    assert memory.live(work) == found


@pytest.mark.parametrize("level", [None, "3"])
def test_the_environment_is_left_as_it_was(monkeypatch, level):
    monkeypatch.delenv("KINETO_LOG_LEVEL", raising=False)
    if level:
        monkeypatch.setenv("KINETO_LOG_LEVEL", level)
    during = []
    memory.live(lambda: during.append(os.environ["KINETO_LOG_LEVEL"]))
    assert during == [level or memory.QUIET]
    assert os.environ.get("KINETO_LOG_LEVEL") == level


def test_resident_counts_parameters_and_buffers_once():
    layer = nn.BatchNorm1d(10)
    assert memory.resident(layer) == 4 * 4 * 10 + 8
    assert memory.resident(nn.ModuleList([layer, layer]), torch.zeros(5)) == 4 * 4 * 10 + 8 + 20
