"""The Jacobians against finite sums, and the claims of jacobian against numbers that are known."""

import pytest
import torch

from normwise.lab.studies.jacobian import (
    ACTIVATIONS,
    MOMENTS,
    NORMS,
    WEIGHTS,
    all_are_near_one,
    closer,
    typical_is_near_one,
)
from normwise.lab.studies.networks.shifting import Network
from normwise.lab.studies.shared.jacobian import jacobians, summary
from reproductions import outcome


def made(plain, bn):
    """An outcome in which every setting has this share of singular values near 1, and 2·share as root mean square."""
    shares = {"plain": plain, "BN": bn}
    return outcome(
        measured={
            f"{norm}, {weights}, {activation}": [
                {moment: {"near": shares[norm], "gain": shares[norm] and 2 * shares[norm]} for moment in MOMENTS}
            ]
            for norm in NORMS
            for weights in WEIGHTS
            for activation in ACTIVATIONS.values()
        }
    )


def test_claims_follow_the_shares():
    assert all_are_near_one(made(0.5, 0.95)).verdict == "holds"
    assert all_are_near_one(made(0.5, 0.7)).verdict == "does not hold"
    assert typical_is_near_one(made(0.5, 0.7)).verdict == "holds"
    assert typical_is_near_one(made(0.5, 0.2)).verdict == "does not hold"
    assert typical_is_near_one(made(0.5, None)).verdict == "undecided"


@pytest.mark.parametrize(
    ("plain", "bn", "verdict"), [(0.3, 0.5, "holds"), (0.5, 0.3, "does not hold"), (0.5, 0.52, "undecided")]
)
def test_small_differences_decide_nothing(plain, bn, verdict):
    assert closer(made(plain, bn), "He").verdict == verdict


@pytest.mark.parametrize("norm", [True, False])
def test_jacobians_are_those_of_autograd(norm):
    net = Network(6, 3, [5, 4], "tanh", None, norm=norm, noisy=False).double()
    x = torch.randn(9, 6).double()
    (found,) = jacobians(net, x, examples=2)
    (first, second), activation = list(net.layers)[:2], net.activation
    z = first[0](x)
    if norm:
        with torch.no_grad():
            first[1].weight.copy_(torch.tensor([1.0, 2, 3, 4, 5]))
        (found,) = jacobians(net, x, examples=2)
    normed = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() if norm else z
    gamma = first[1].weight if norm else 1.0
    after = second[0](activation(gamma * normed))
    sigma = (after.var(0, unbiased=False) + 1e-5).sqrt() if norm else 1.0

    def one(x_hat):
        return second[0](activation(gamma * x_hat)) / sigma

    for at in range(2):
        want = torch.autograd.functional.jacobian(one, normed[at].detach())
        torch.testing.assert_close(found[at], want)


def test_the_summary_of_an_orthogonal_stack_is_one():
    Q = torch.linalg.qr(torch.randn(5, 5)).Q.expand(2, 5, 5)
    found = summary([Q, Q])
    assert found["near"] == 1
    assert (found["gain"], *found["stack"]) == pytest.approx((1, 1, 1), rel=1e-5)
    assert sum(found["counts"]) == 20
