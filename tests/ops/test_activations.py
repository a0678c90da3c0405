from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from normwise.errors import InvalidArgumentError
from normwise.ops.activations import NAMES, Activation, activation, activation_of

SPECS = [*NAMES, "leaky_relu:0.1", "leaky_relu:2.0", "leaky_relu:-0.3", "elu:0.5", "elu:1.7"]
# No point falls on a kink of hardswish (±3) or relu6 (6), where torch's versions differ; 0, where they agree, is added.
GRID = torch.cat([torch.linspace(-9.03, 9.01, 4000, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])


@pytest.mark.parametrize("spec", SPECS)
def test_forward_is_that_of_torchs_layer(spec):
    torch.testing.assert_close(activation(spec).forward(GRID), activation(spec).module()(GRID), rtol=0, atol=0)


@pytest.mark.parametrize("spec", SPECS)
def test_derivative_is_that_of_autograd(spec):
    x = GRID.clone().requires_grad_()
    upstream = torch.randn_like(GRID)
    (expected,) = torch.autograd.grad(activation(spec).module()(x), x, upstream)
    # Both are a few float64 operations on numbers of about 1 to 10.
    torch.testing.assert_close(activation(spec).derivative(GRID) * upstream, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("spec", SPECS)
def test_derivative_is_finite_far_out(spec):
    far = torch.tensor([-1e4, -200.0, 200.0, 1e4])
    assert activation(spec).derivative(far).isfinite().all()


@pytest.mark.parametrize("spec", SPECS)
def test_max_slope_is_the_supremum(spec):
    grid = torch.linspace(-10, 10, 2_000_001, dtype=torch.float64)
    steepest = activation(spec).derivative(grid).abs().max().item()
    # The grid misses a smooth maximum by f'''·(5e-6)²/2 and hardswish's end point by 1e-5/3; constants have ten digits.
    assert steepest <= activation(spec).max_slope + 1e-12
    assert steepest == pytest.approx(activation(spec).max_slope, abs=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_a_specification_survives_text_layer_and_pickle(spec):
    made = activation(spec)
    assert activation(str(made)) == made
    assert activation_of(made.module()) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(made) == hash(activation(spec))


def test_str_is_the_specification():
    assert str(activation("leaky_relu:0.1")) == "leaky_relu:0.1"
    assert str(activation("leaky_relu")) == "leaky_relu:0.01"
    assert str(activation("elu")) == "elu:1.0"
    assert str(activation("gelu_tanh")) == "gelu_tanh"


def test_names_are_these():
    assert set(NAMES) == {
        "identity",
        "relu",
        "leaky_relu",
        "relu6",
        "elu",
        "silu",
        "gelu",
        "gelu_tanh",
        "sigmoid",
        "tanh",
        "hardswish",
        "mish",
    }


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.ReLU(inplace=True), Activation("relu")),
        (nn.LeakyReLU(0.25), Activation("leaky_relu", (0.25,))),
        (nn.ELU(2), Activation("elu", (2.0,))),
        (nn.GELU(), Activation("gelu")),
        (nn.GELU(approximate="tanh"), Activation("gelu_tanh")),
        (nn.Sigmoid(), Activation("sigmoid")),
        (nn.Softplus(), None),
        (nn.Linear(2, 2), None),
        (type("Mine", (nn.ReLU,), {})(), None),
    ],
)
def test_activation_of_knows_torchs_layers(module, expected):
    assert activation_of(module) == expected


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("leaky_rulu", "unknown activation 'leaky_rulu'; did you mean 'leaky_relu'"),
        ("", "unknown activation ''. Allowed: elu, gelu"),
        ("leaky_relu:steep", "must be a finite number, got 'steep'; for example 'leaky_relu:0.01'"),
        ("elu:inf", "must be a finite number, got 'inf'; for example 'elu:1.0'"),
        ("relu:0.1", "relu takes no parameter; write 'relu'"),
        ("elu:1:2", "elu takes one parameter, alpha; write 'elu:1.0'"),
    ],
)
def test_errors_say_what_was_given_and_what_to_write(spec, says):
    with pytest.raises(InvalidArgumentError) as error:
        activation(spec)
    assert says in str(error.value)
