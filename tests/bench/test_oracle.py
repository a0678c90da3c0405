import math

import numpy as np
import pytest
import torch

import oracle as independent
from normwise.bench import measure, oracle
from normwise.bench.cases import EPILOGUES, MODES, Case
from normwise.bench.inputs import EPS, draw

SHAPE = (6, 5, 4, 3)


@pytest.mark.parametrize("epilogue", ["bn", "bn+relu", "bn+add+relu"])
def test_it_agrees_with_the_numpy_oracle(epilogue):
    case = Case(SHAPE, "contiguous", epilogue, "forward+backward")
    inputs = draw(case)
    found = oracle.solve(case, inputs)
    x, grad, weight, bias = (t.detach().numpy() for t in (inputs.x, inputs.grad, inputs.weight, inputs.bias))
    options = {
        "residual": None if inputs.residual is None else inputs.residual.detach().numpy(),
        "activation": case.activation or "identity",
    }
    forward = independent.forward(x, weight, bias, EPS, **options)
    backward = independent.backward(grad, x, weight, bias, EPS, **options)
    expected = {"y": forward.y, "grad_x": backward.x, "grad_weight": backward.weight, "grad_bias": backward.bias}
    if case.residual:
        expected["grad_residual"] = backward.residual
    running = independent.Running(SHAPE[1], 0.1)
    running.update(x)
    expected |= {"running_mean": running.mean, "running_var": running.var}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # both float64 on at most 72 values per channel: a few hundred roundings
        np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_torch_is_right_on_small_inputs(epilogue, mode, layout, monkeypatch):
    monkeypatch.setattr(oracle, "BLOCK", 100)
    case = Case(SHAPE, layout, epilogue, mode)
    inputs = draw(case)
    oracle.clear_kinks(case, inputs)
    answers = {name: entry.answers() for name, entry in measure.enter(case, inputs, "auto").items()}
    errors = oracle.errors(case, inputs, answers)
    assert all(error.size < 4 for error in errors.values()), errors


@pytest.mark.parametrize("name", ["y", "grad_x", "grad_weight", "grad_bias", "grad_residual", "running_var"])
@pytest.mark.parametrize("value", [1e-3, math.nan])
def test_one_wrong_value_is_found_whatever_it_is_in(name, value):
    case = Case(SHAPE, "contiguous", "bn+add+relu", "forward+backward")
    inputs = draw(case)
    oracle.clear_kinks(case, inputs)
    truth = {key: answer.float() for key, answer in oracle.solve(case, inputs).items()}
    spoilt = {key: answer.clone() for key, answer in truth.items()}
    spoilt[name].view(-1)[3] += value * spoilt[name].abs().max()
    errors = oracle.errors(case, inputs, {"right": truth, "spoilt": spoilt})
    assert not errors["right"].wrong
    assert errors["spoilt"].wrong
    assert errors["spoilt"].where == name


def test_the_gradient_is_zero_at_kinks_and_only_there():
    case = Case((64, 8, 16, 16), "channels_last", "bn+relu", "forward+backward")
    inputs = draw(case)
    before = inputs.grad.clone()
    oracle.clear_kinks(case, inputs)
    z = torch.nn.functional.batch_norm(inputs.x, None, None, inputs.weight, inputs.bias, training=True, eps=EPS)
    cleared = inputs.grad == 0
    assert 0 < cleared.sum() < 0.01 * z.numel()
    assert z[cleared].abs().max() < 1.1 * oracle.KINK
    assert torch.equal(inputs.grad[~cleared], before[~cleared])


def test_smooth_activations_and_forwards_keep_their_gradient():
    for case in (
        Case(SHAPE, "contiguous", "bn+silu", "forward+backward"),
        Case(SHAPE, "contiguous", "bn+relu", "forward"),
    ):
        inputs = draw(case)
        oracle.clear_kinks(case, inputs)
        assert torch.equal(inputs.grad, draw(case).grad)


def test_blocks_cover_every_channel_once(monkeypatch):
    monkeypatch.setattr(oracle, "BLOCK", 200)
    case = Case((10, 7, 9), "contiguous", "bn", "forward")
    assert [c for block in oracle.blocks(case) for c in range(7)[block]] == list(range(7))
    assert len(list(oracle.blocks(case))) == 4
