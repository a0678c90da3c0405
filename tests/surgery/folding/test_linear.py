from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import normwise as nw
from normwise.surgery.folding.linear import has_channels
from zoo import randomize

SIZE = 5
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVS = ((nn.Conv1d, nn.ConvTranspose1d), (nn.Conv2d, nn.ConvTranspose2d), (nn.Conv3d, nn.ConvTranspose3d))


@st.composite
def convolutions(draw):
    """A convolution or a transposed one with all that it can be told, and how many spatial axes it has."""
    dims, transposed = draw(st.sampled_from([1, 2, 2, 3])), draw(st.booleans())
    groups = draw(st.integers(1, 3))
    each = st.integers(1, 2)
    axes = lambda values: tuple(draw(values) for _ in range(dims))  # noqa: E731
    stride, dilation = axes(each), axes(each)
    options = {"groups": groups, "bias": draw(st.booleans()), "stride": stride, "dilation": dilation}
    options["padding"] = axes(st.integers(0, 1))
    if transposed:
        options["output_padding"] = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
    else:
        options["padding_mode"] = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
        if set(stride) == {1}:
            options["padding"] = draw(st.sampled_from([options["padding"], "same", "valid"]))
    channels = groups * draw(each), groups * draw(each)
    conv = CONVS[dims - 1][transposed](*channels, axes(each), **options)
    return conv.double(), dims


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@settings(max_examples=200, deadline=None)
@given(convolutions(), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_any_convolution_takes_up_the_normalization_before_or_after_it(drawn, before, affine, seed):
    conv, dims = drawn
    torch.manual_seed(seed)
    norm = NORMS[dims - 1](conv.in_channels if before else conv.out_channels, affine=affine).double()
    network = randomize(nn.Sequential(norm, conv) if before else nn.Sequential(conv, norm)).eval()
    x = torch.randn(2, conv.in_channels, *[SIZE] * dims, dtype=torch.float64)
    surgery = nw.surgery.fold(network, example=x)
    want, got = network(x), surgery.model(x)
    assert (got - want).abs().max() <= 1e-12 * want.abs().max()
    (change,) = surgery.changes
    assert (change.after == "Identity") == (not before or takes_shifts(conv))


def takes_shifts(conv):
    """Whether adding a constant to a channel of the input adds a constant to the channels of the output."""
    x = torch.zeros(1, conv.in_channels, *[2 * SIZE] * len(conv.kernel_size), dtype=torch.float64)
    shifts = (conv(x + torch.randn(conv.in_channels, *[1] * (x.ndim - 2)).double()) - conv(x)).flatten(2)
    return bool((shifts - shifts[..., :1]).abs().max() < 1e-9)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4), (2, 3, 6, 4)], ids=str)
def test_a_linear_takes_up_the_normalization_of_its_features(shape, before):
    norm = nw.BatchNorm1d if len(shape) < 4 else nw.BatchNorm2d
    layers = [norm(4, channel_dim=-1), nn.Linear(4, 5)] if before else [nn.Linear(4, 5), norm(5, channel_dim=-1)]
    network = randomize(nn.Sequential(*layers)).double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    surgery = nw.surgery.fold(network, example=x)
    torch.testing.assert_close(surgery.model(x), network(x), rtol=1e-12, atol=1e-12)
    assert [change.after for change in surgery.changes] == ["Identity"]


def test_the_axis_of_features_is_the_last_and_that_of_channels_the_second():
    linear, conv = nn.Linear(2, 2), nn.Conv1d(2, 2, 1)
    assert has_channels(linear, torch.zeros(2, 2), 1)
    assert has_channels(linear, torch.zeros(2, 2, 2), -1)
    assert not has_channels(linear, torch.zeros(2, 2, 2), 1)
    assert has_channels(conv, torch.zeros(2, 2, 2), 1)
    assert not has_channels(conv, torch.zeros(2, 2, 2), -1)
    assert not has_channels(conv, torch.zeros(2, 2), 1)  # no axis of examples
