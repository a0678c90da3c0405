from __future__ import annotations

import pytest
import torch
from torch import nn

from normwise.nn import statistics
from normwise.ops import BatchNormOutput


def batch(mean, var, count):
    return BatchNormOutput(torch.zeros(int(count), 1), *(torch.tensor([float(v)]) for v in (mean, var, count)))


def test_momentum_is_the_weight_of_the_newest_batch_and_the_variance_is_unbiased():
    layer = nn.BatchNorm1d(1, momentum=0.25)
    statistics.update(layer, batch(mean=8, var=6, count=4))
    assert layer.running_mean.item() == 2  # 0.75·0 + 0.25·8
    assert layer.running_var.item() == 2.75  # 0.75·1 + 0.25·6·4/3
    assert layer.num_batches_tracked.item() == 1


def test_without_momentum_every_batch_weighs_the_same():
    layer = nn.BatchNorm1d(1, momentum=None)
    for mean in (1, 2, 6):
        statistics.update(layer, batch(mean, var=3, count=4))
    # 1/3 is rounded, so the average is known to a unit in the last place.
    assert layer.running_mean.item() == pytest.approx(3, rel=1e-6)
    assert layer.running_var.item() == pytest.approx(4, rel=1e-6)


def test_an_empty_batch_only_counts():
    layer = nn.BatchNorm1d(1)
    statistics.update(layer, batch(0, 0, 0))
    assert (layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()) == (0, 1, 1)


def test_a_layer_without_statistics_has_nothing_to_update():
    layer = nn.BatchNorm1d(1, track_running_stats=False)
    statistics.update(layer, batch(1, 1, 4))
    assert not list(layer.buffers())
