"""The claims of outside-the-gradient against numbers that are known."""

import pytest
import torch

from normwise.lab.studies.outside_the_gradient import (
    KINDS,
    RATES,
    b_does_not_matter_inside,
    b_grows,
    blows_up,
)
from normwise.lab.studies.shared.outside_the_gradient import Normalized
from reproductions import outcome


def alone(losses, outside, inside=(0.0, 1e-15, 1e-15)):
    """An outcome of the example in two steps."""
    given = {"outside": outside, "inside": inside}
    return outcome(measured={f"b alone, {name}": [{"losses": losses, "sizes": sizes}] for name, sizes in given.items()})


@pytest.mark.parametrize(
    ("losses", "sizes", "verdict"),
    [
        ((2.3, 2.3, 2.3), (0, 1, 2), "holds"),
        ((2.3, 2.3, 2.2), (0, 1, 2), "does not hold"),
        ((2.3, 2.3, 2.3), (0, 1, 1.4), "does not hold"),
    ],
)
def test_b_has_to_grow_evenly_and_the_loss_to_stay(losses, sizes, verdict):
    assert b_grows(alone(losses, sizes)).verdict == verdict


def test_b_that_moves_inside_is_seen():
    assert b_does_not_matter_inside(alone((2, 2, 2), (0, 1, 2))).verdict == "holds"
    assert b_does_not_matter_inside(alone((2, 2, 2), (0, 1, 2), (0, 0.1, 0.2))).verdict == "does not hold"


@pytest.mark.parametrize(
    ("outside", "inside", "verdict"), [(None, 0.1, "holds"), (0.5, 0.1, "does not hold"), (None, 5.0, "undecided")]
)
def test_a_network_blows_up_only_where_the_proper_one_learns(outside, inside, verdict):
    ends = {"outside": outside, "inside": inside, "both": outside, "bn": inside}
    measured = {f"{KINDS[kind]}, lr {rate:g}": [{"losses": [2.3, end]}] for kind, end in ends.items() for rate in RATES}
    assert blows_up(outcome(measured=measured)).verdict == verdict


@pytest.mark.parametrize("scales", [False, True])
def test_only_the_gradient_differs(scales):
    u, upstream = torch.randn(8, 3), torch.randn(8, 3)
    layers = [Normalized(3, scales=scales, outside=outside) for outside in (False, True)]
    y = [layer(u) for layer in layers]
    torch.testing.assert_close(y[0], y[1])
    inside, outside = (torch.autograd.grad(out, layer.b, upstream)[0] for out, layer in zip(y, layers, strict=True))
    assert inside.abs().max() < 1e-6
    scale = (u.var(0, unbiased=False) + 1e-5).rsqrt() if scales else 1
    torch.testing.assert_close(outside, upstream.sum(0) * scale)
