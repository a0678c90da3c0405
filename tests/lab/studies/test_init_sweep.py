"""The claims of init-sweep against numbers that are known."""

import pytest
import torch

from normwise.lab.studies.init_sweep import (
    bn_is_faster,
    bn_learns_everywhere,
    plain_learns_in_a_narrow_range,
)
from normwise.lab.studies.shared.initial_scales import SCALES, network
from reproductions import outcome


def made(bn, plain):
    """An outcome in which each kind learns at so many of the scales."""
    counts = {"bn": bn, "bn, ε = 10⁻⁵": 16, "plain": plain}
    curves = {kind: [[0.1, 0.9 if place < count else 0.1] for place in range(16)] for kind, count in counts.items()}
    return outcome(measured={kind: [{"accuracies": each}] for kind, each in curves.items()})


def test_the_scales_are_the_books():
    assert [round(scale, 4) for scale in (SCALES[0], SCALES[4], SCALES[15])] == [1.0, 0.0858, 0.0001]


@pytest.mark.parametrize(("count", "verdict"), [(14, "holds"), (13, "does not hold")])
def test_nearly_every_scale_is_fourteen_of_sixteen(count, verdict):
    assert bn_learns_everywhere(made(count, 0)).verdict == verdict
    assert bn_is_faster(made(count, 0)).verdict == verdict


@pytest.mark.parametrize(("count", "verdict"), [(5, "holds"), (6, "does not hold")])
def test_a_narrow_range_is_a_third(count, verdict):
    assert plain_learns_in_a_narrow_range(made(16, count)).verdict == verdict


def test_with_bn_the_scale_cancels_where_epsilon_is_small():
    outputs = []
    for scale in (1.0, 0.01):
        torch.manual_seed(0)
        outputs.append(network(20, scale, 1e-12)[:-1].double()(torch.ones(8, 20).double().tril()))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)
