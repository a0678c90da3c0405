"""The node tests of BatchNormalization that the onnx package ships for backends, with us as the backend."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.backend.test.case.node.batch_normalization
import pytest
import torch
from onnx.backend.test.case.node import _NodeTestCases as every_case
from onnx.backend.test.runner import Runner

import normwise as nw
from normwise import moments, ops

CASES = [case for case in every_case if case.model.graph.node[0].op_type == "BatchNormalization"]
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
IMPLS = pytest.mark.parametrize("impl", ["auto", "cpu", "torch", "reference"])
DEFAULTS = {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0}


def attributes(case):
    return DEFAULTS | {a.name: onnx.helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute}


def data(case):
    """The inputs, as tensors, and the expected outputs of each set."""
    return [([torch.from_numpy(value.copy()) for value in inputs], outputs) for inputs, outputs in case.data_sets]


def check(case, outputs, expected):
    Runner.assert_similar_outputs(expected, [np.asarray(t.detach()) for t in outputs], case.rtol, case.atol)


def test_onnx_ships_cases_of_both_modes():
    assert len(CASES) >= 4
    assert {attributes(case)["training_mode"] for case in CASES} == {0, 1}
    assert all(case.data_sets for case in CASES)


@EACH
@IMPLS
def test_operators(case, impl):
    attribute = attributes(case)
    eps, kept = attribute["epsilon"], attribute["momentum"]
    for (x, weight, bias, mean, var), expected in data(case):
        if attribute["training_mode"]:
            batch = ops.batch_norm(x, weight, bias, eps=eps, impl=impl)
            running = [moments.running(a, b, 1 - kept) for a, b in ((mean, batch.mean), (var, batch.var))]
            check(case, [batch.y, *running], expected)
        else:
            check(case, [ops.normalize(x, mean, var, weight, bias, eps=eps, impl=impl)], expected)


@EACH
def test_layers(case):
    """ONNX's momentum is the weight of the old statistics, torch's of the new; ONNX averages the biased variance."""
    attribute = attributes(case)
    kept, training = attribute["momentum"], bool(attribute["training_mode"])
    for (x, *state), expected in data(case):
        layer = nw.BatchNorm2d(x.shape[1], attribute["epsilon"], 1 - kept).train(training)
        names = ("weight", "bias", "running_mean", "running_var")
        layer.load_state_dict(dict(zip(names, state, strict=True)), strict=False)
        y, old = layer(x), kept * state[3]
        var = moments.biased(layer.running_var - old, x.numel() // x.shape[1]) + old
        check(case, [y, layer.running_mean, var][: len(expected)], expected)
