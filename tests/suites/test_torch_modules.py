"""The BatchNorm entries of ``torch.testing._internal.common_modules``: their inputs, their errors, and the checks that
torch's test_modules.py makes of every module, each with torch's own class beside ours."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.testing._internal.common_modules import ModuleErrorEnum
from torch.testing._internal.common_utils import noncontiguous_like

from suites.entries import MODULES, each_module_input, module_errors, module_inputs, ours

close = torch.testing.assert_close  # with the tolerances that it has by itself, as in torch's suites
EACH = pytest.mark.parametrize("info", MODULES, ids=lambda info: info.module_cls.__name__)


def pair(info, given, training, dtype=torch.float64):
    """Our layer, torch's, with the same random state, and the input."""
    args, kwargs = given.constructor_input.args, given.constructor_input.kwargs
    layers = [cls(*args, **kwargs, dtype=dtype).train(training) for cls in (ours(info), info.module_cls)]
    for tensor in layers[1].state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    layers[0].load_state_dict(layers[1].state_dict())
    return *layers, given.forward_input.args[0]


def pairs(info, dtype=torch.float64):
    """A pair for each input of an entry, in training and in evaluation."""
    for given, training in each_module_input(info, dtype):
        yield pair(info, given, training, dtype)


def step(layer, x, upstream):
    """y and the gradients of x and the parameters."""
    y = layer(x)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream)]


def test_torch_ships_entries_for_each_class():
    assert sorted(info.module_cls.__name__ for info in MODULES) == ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
    assert sum(len(module_inputs(info)) for info in MODULES) >= 22
    assert all(len(module_errors(info)) >= 2 for info in MODULES)


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_forward_backward_and_statistics(info, dtype):
    for layer, theirs, x in pairs(info, dtype):
        for _ in range(2):
            upstream = torch.randn_like(x)
            close(step(layer, x, upstream), step(theirs, x, upstream))
            close(layer.state_dict(), theirs.state_dict())


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_torchs_in_float64_rounded_once(info, dtype):
    for layer, theirs, x in pairs(info, dtype):
        upstream = torch.randn_like(x)
        got = step(layer, x, upstream)
        want = step(theirs.double(), x.detach().double().requires_grad_(), upstream.double())
        close(got, [t.to(dtype) for t in want])
        close(layer.state_dict(), theirs.to(dtype).state_dict())


@EACH
def test_the_reference_where_there_is_one(info):
    for given, training in each_module_input(info, torch.float64):
        layer, _, x = pair(info, given, training)
        if given.reference_fn is not None:
            close(layer(x), given.reference_fn(layer, x))


@EACH
def test_errors(info):
    for error in module_errors(info):
        given = error.module_error_input
        assert error.error_on is ModuleErrorEnum.FORWARD_ERROR
        for cls in (ours(info), info.module_cls):
            layer = cls(*given.constructor_input.args, **given.constructor_input.kwargs)
            with pytest.raises(error.error_type, match=error.error_regex):
                layer(*given.forward_input.args, **given.forward_input.kwargs)


@EACH
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_factory_kwargs_and_repr(info, device):
    for given in (each.constructor_input for each in module_inputs(info)):
        for dtype in (torch.float32, torch.float64):
            options = {**given.kwargs, "device": device, "dtype": dtype}
            layers = [cls(*given.args, **options) for cls in (ours(info), info.module_cls)]
            kinds = [{name: (t.dtype, t.device) for name, t in layer.state_dict().items()} for layer in layers]
            assert kinds[0] == kinds[1]
            assert {tensor.device.type for tensor in layers[0].buffers()} <= {device}
            assert repr(layers[0]) == repr(layers[1])


@EACH
def test_pickle_and_deepcopy(info):
    for layer, theirs, x in pairs(info):
        with io.BytesIO() as file:
            torch.save(layer, file)
            file.seek(0)
            loaded = torch.load(file, weights_only=False)
        upstream = torch.randn_like(x)
        want = step(theirs, x, upstream)
        for other in (loaded, copy.deepcopy(layer), layer):
            close(step(other, x, upstream), want)
            close(other.state_dict(), theirs.state_dict())


@EACH
def test_non_contiguous_tensors(info):
    for layer, theirs, x in pairs(info):
        upstream = torch.randn_like(x)
        want = step(theirs, x, upstream)
        state = copy.deepcopy(layer.state_dict())
        for inputs in (noncontiguous_like(x), x):
            for outer in (noncontiguous_like(upstream), upstream):
                layer.load_state_dict(state)
                close(step(layer, inputs, outer), want)
                close(layer.state_dict(), theirs.state_dict())


@EACH
def test_memory_format(info):
    for layer, theirs, x in pairs(info):
        special = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim)
        formats = [torch.contiguous_format] + ([] if special is None else [special])
        for of_layer in formats:
            for of_x in formats:
                x = x.detach().to(memory_format=of_x).requires_grad_()
                upstream = torch.randn_like(x)
                got, want = (step(m.to(memory_format=of_layer), x, upstream) for m in (layer, theirs))
                close(got, want)
                close(layer.state_dict(), theirs.state_dict())
                assert got[0].is_contiguous(memory_format=of_x)


@EACH
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients(check, info):
    for layer, _, x in pairs(info):
        names = [name for name, _ in layer.named_parameters()]

        def function(x, *parameters, layer=layer, names=names):
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

        assert check(function, (x, *layer.parameters()), fast_mode=True)


@EACH
@pytest.mark.parametrize("swap", [True, False])
def test_to(info, swap):
    for given in module_inputs(info, torch.float64):
        layer, theirs, x = pair(info, given, training=True)
        before = [[*m.parameters()] for m in (layer, theirs)]
        torch.__future__.set_swap_module_params_on_conversion(swap)
        try:
            layer.to(torch.float32), theirs.to(torch.float32)
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        after = [[*m.parameters()] for m in (layer, theirs)]
        kept = [[a is b for a, b in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]
        assert kept[0] == kept[1]
        x = x.detach().float().requires_grad_()
        upstream = torch.randn_like(x)
        close(step(layer, x, upstream), step(theirs, x, upstream))
        close(layer.state_dict(), theirs.state_dict())
