"""The GPU kernels, run by Triton's interpreter where there is no GPU, against the float64 oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import oracle
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import triton
from normwise.ops.batch_norm.transform import DEFAULT, Statistics, Transform
from tensors import EPS, draw, expected, permuted_strides, poisoned, same_bits

pytest.importorskip("triton")
pytestmark = [
    pytest.mark.usefixtures("unwritten_outputs_show"),
    pytest.mark.skipif(not (triton.is_interpreted() or torch.cuda.is_available()), reason="needs TRITON_INTERPRET=1"),
]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ACTIVATIONS = sorted(oracle.ACTIVATIONS)
ALGORITHMS = ["resident", "split"]
SHAPE = (6, 5, 7, 3)
# Float32: a dozen roundings of values up to about 10, and sums of some hundred terms.
FLOAT32 = {"rtol": 2e-5, "atol": 2e-5}
WITHIN = {
    torch.float32: FLOAT32,
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 1e-2, "atol": 1e-2},
}


@pytest.fixture
def algorithm(request, monkeypatch) -> str:
    """Force an algorithm on every shape: split with several tiles to a part, parts to a channel, and blocks."""
    from normwise.ops.batch_norm.triton import choice, launch

    def split(problem):
        n, c, s = map(choice.power_of_two, (problem.outer, problem.channels, problem.inner))
        tile = choice.Tile(max(1, n // 4), min(4, c), max(1, s // 2), 1)
        tiles = -(-problem.outer // tile.n) * -(-problem.inner // tile.s)
        return choice.Choice("split", tile, tiles, 3, -(-tiles // 3))

    def resident(problem):
        n, c, s = map(choice.power_of_two, (problem.outer, min(problem.channels, 8), problem.inner))
        return choice.Choice("resident", choice.Tile(n, c, s, 1), 1, 1, 1)

    monkeypatch.setattr(launch, "split", split)
    monkeypatch.setattr(launch, "choose", resident if request.param == "resident" else split)
    return request.param


both = pytest.mark.parametrize("algorithm", ALGORITHMS, indirect=True)


def answers(inputs, upstream, *, activation="identity", mask=None, channel_dim=1, groups=1, dtype=torch.float32):
    """What the kernels make of float64 tensors, by the names of ``tensors.outcome``, again in float64."""

    def given(t, kind=dtype):
        """Converted, with the strides kept where they are not dense."""
        return None if t is None else t.detach().to(DEVICE, kind, memory_format=torch.preserve_format)

    x, residual, upstream = given(inputs["x"]), given(inputs.get("residual")), given(upstream)
    vectors = [given(inputs.get(name), torch.float32) for name in ("weight", "bias")]
    if mask is not None:
        mask = mask.unsqueeze(channel_dim).to(DEVICE)
    transform = Transform(*vectors, mask, EPS, parse(activation), channel_dim % x.ndim, groups)
    y, stats = triton.forward(x, residual, transform)
    found = triton.backward(upstream, x, residual, transform, stats)
    by_parameter = {n: s if groups == 1 else s.sum(0) for n, s in (("weight", found.weight), ("bias", found.bias))}
    mean, var, _, count = stats
    got = {"y": y, "mean": mean, "var": var, "count": count, "d_x": found.x, "d_residual": found.residual}
    got |= {f"d_{name}": s for name, s in by_parameter.items()}
    return {name: t.double().cpu() for name, t in got.items() if t is not None}


def close(got, want, dtype=torch.float32) -> None:
    """Statistics and sums as float32, what has the size of x as its type."""
    for name, value in got.items():
        within = WITHIN[dtype] if name in ("y", "d_x", "d_residual") else FLOAT32
        size = max(1.0, want[name].abs().max().item()) if want[name].numel() else 1.0
        torch.testing.assert_close(
            value, want[name], rtol=within["rtol"], atol=within["atol"] * size, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("algorithm", ["resident"], indirect=True)  # the same functions are called by all kernels
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, algorithm):
    inputs, upstream = draw((4, 3, 5), 3)
    close(answers(inputs, upstream, activation=activation), expected(inputs, upstream, activation=activation))


# name: (shape, the order that axes lie in, channel_dim)
LAYOUTS = {
    "planes": (SHAPE, (0, 1, 2, 3), 1),
    "channels last": (SHAPE, (0, 2, 3, 1), 1),
    "few positions": ((9, 6, 2), (0, 1, 2), 1),
    "(N, C)": ((11, 5), (0, 1), 1),
    "(N, L, C)": ((3, 7, 5), (0, 1, 2), -1),
    "(C, N)": ((5, 12), (0, 1), 0),
    "one example": ((1, 5, 13), (0, 1, 2), 1),
    "one channel": ((4, 1, 6), (0, 1, 2), 1),
    "to be copied": (SHAPE, (3, 2, 1, 0), 1),
}


ALL = [(layout, "resident") for layout in LAYOUTS]
IN_PARTS = [(layout, "split") for layout in ("planes", "channels last", "few positions", "(C, N)", "one example")]


@pytest.mark.parametrize(("layout", "algorithm"), ALL + IN_PARTS, indirect=["algorithm"])
def test_layouts(layout, algorithm):
    shape, order, channel_dim = LAYOUTS[layout]
    inputs, upstream = draw(shape, shape[channel_dim])
    want = expected(inputs, upstream, channel_dim, "silu")
    placed = {n: t if t.ndim == 1 else _lying(t, order) for n, t in inputs.items()}
    close(answers(placed, _lying(upstream, order), activation="silu", channel_dim=channel_dim), want)


def _lying(tensor, order):
    dense = permuted_strides(tensor.shape, order, gap=0)
    return torch.empty_strided(tensor.shape, dense, dtype=tensor.dtype).copy_(tensor.detach())


# name: from a gap to the strides of (4, 3, 10, 7). The first two are read where they lie, the last is copied.
GAPS = {
    "planes": lambda gap: (3 * (70 + gap) + 1, 70 + gap, 7, 1),
    "rows": lambda gap: (70 * (3 + gap), 1, 7 * (3 + gap), 3 + gap),
    "neither": lambda gap: permuted_strides((4, 3, 10, 7), (3, 2, 1, 0), gap),
}


@both
@pytest.mark.parametrize("form", GAPS)
def test_strides_with_gaps(form, algorithm):
    """Each tensor has gaps of its own, so that none is read or written with the strides of another."""
    inputs, upstream = draw((4, 3, 10, 7), 3, torch.float32)
    want = expected(inputs, upstream, activation="silu")
    large = {"x": inputs["x"], "residual": inputs["residual"], "upstream": upstream}
    given = {n: poisoned(t, GAPS[form](gap)) for gap, (n, t) in enumerate(large.items(), 2)}
    before = {n: buffer.detach().clone() for n, (_, buffer) in given.items()}
    placed = {n: view for n, (view, _) in given.items()}
    close(answers({**inputs, **placed}, placed["upstream"], activation="silu"), want)
    same_bits({n: buffer.detach() for n, (_, buffer) in given.items()}, before)


@both
@pytest.mark.parametrize(
    ("order", "groups"), [((0, 1, 2, 3), 3), ((0, 2, 3, 1), 3), ((0, 1, 2, 3), 1)], ids=["planes", "rows", "one group"]
)
def test_masks_and_groups_with_nan_behind_the_mask(order, groups, algorithm):
    inputs, upstream = draw(SHAPE, 5)
    mask = torch.rand(6, 7, 3) > 0.4
    mask[:2] = False  # whole tiles, and for three groups a group without values
    want = expected(inputs, upstream, activation="silu", mask=mask, groups=groups)
    hidden = mask.unsqueeze(1)
    inputs["x"], inputs["residual"] = (torch.where(hidden, inputs[n].detach(), math.nan) for n in ("x", "residual"))
    placed = {n: t if t.ndim == 1 else _lying(t, order) for n, t in inputs.items()}
    upstream = _lying(torch.where(hidden, upstream, math.nan), order)
    got = answers(placed, upstream, activation="silu", mask=mask, groups=groups)
    close(got, want)
    assert not got["y"][~hidden.expand(SHAPE)].any()


@pytest.mark.parametrize(
    ("layout", "algorithm"), [("planes", "split"), ("(N, L, C)", "resident")], indirect=["algorithm"]
)
def test_groups(layout, algorithm):
    groups = 2
    shape, order, channel_dim = LAYOUTS[layout]
    shape = (4, *shape[1:])
    inputs, upstream = draw(shape, shape[channel_dim])
    want = expected(inputs, upstream, channel_dim, "silu", groups=groups)
    placed = {n: t if t.ndim == 1 else _lying(t, order) for n, t in inputs.items()}
    close(answers(placed, _lying(upstream, order), activation="silu", channel_dim=channel_dim, groups=groups), want)


@pytest.mark.parametrize(
    ("dtype", "order", "algorithm"),
    [
        (torch.float16, (0, 1, 2), "resident"),
        (torch.float16, (0, 2, 1), "split"),
        (torch.bfloat16, (0, 1, 2), "split"),
        (torch.bfloat16, (0, 2, 1), "resident"),
    ],
    indirect=["algorithm"],
)
def test_half_precision(dtype, order, algorithm):
    """Everything between reading and writing is float32; the interpreter cuts bfloat16 off where a GPU rounds it."""
    inputs, upstream = draw((4, 5, 9), 5, dtype)
    want = expected(inputs, upstream, activation="silu")
    given = {n: t if t.ndim == 1 else _lying(t, order) for n, t in inputs.items()}
    close(answers(given, _lying(upstream, order), activation="silu", dtype=dtype), want, dtype)


@both
def test_without_weight_bias_and_residual(algorithm):
    inputs, upstream = draw((4, 5, 6), 5)
    ones = {"weight": torch.ones(5), "bias": torch.zeros(5), "residual": torch.zeros(4, 5, 6)}
    want = expected({**inputs, **ones}, upstream, activation="relu")
    close(answers({"x": inputs["x"]}, upstream, activation="relu"), want)


def _call(shape=(4, 5, 9), activation="silu", mask=None):
    inputs, upstream = draw(shape, shape[1], torch.float32)
    x, weight, bias, residual = (t.detach().to(DEVICE) for t in inputs.values())
    transform = Transform(weight, bias, mask, EPS, parse(activation))
    return x, residual, upstream.to(DEVICE), transform


@both
def test_four_parts_are_the_whole(algorithm):
    x, residual, upstream, transform = _call()
    y, stats = triton.forward(x, residual, transform)
    moments = triton.moments(x, transform)
    torch.testing.assert_close(moments, stats, rtol=2e-6, atol=2e-6)
    # Recomputation relies on this: the same bits, whichever algorithm found the statistics.
    same_bits(triton.normalize(x, residual, transform, stats), y)
    whole = triton.backward(upstream, x, residual, transform, stats)
    sums = triton.backward_reduce(upstream, x, residual, transform, stats)
    torch.testing.assert_close(sums, (whole.weight, whole.bias), rtol=2e-6, atol=2e-5)
    parts = triton.backward_elementwise(
        upstream, x, residual, transform, Statistics(*stats), (whole.weight, whole.bias)
    )
    same_bits(parts, (whole.x, whole.residual))


@both
def test_the_same_bits_twice(algorithm):
    x, residual, upstream, transform = _call()
    once, again = (triton.forward(x, residual, transform) for _ in range(2))
    same_bits(once, again)
    same_bits(*(tuple(triton.backward(upstream, x, residual, transform, once[1])) for _ in range(2)))


@both
def test_offsets_of_64_bits(algorithm, monkeypatch):
    from normwise.ops.batch_norm.triton import launch

    x, residual, upstream, transform = _call(mask=torch.rand(4, 1, 9, device=DEVICE) > 0.3)
    want = triton.forward(x, residual, transform)
    gradients = triton.backward(upstream, x, residual, transform, want[1])
    monkeypatch.setattr(launch, "WIDE_FROM", 0)
    launch.numbers.cache_clear()
    same_bits(triton.forward(x, residual, transform), want)
    same_bits(tuple(triton.backward(upstream, x, residual, transform, want[1])), tuple(gradients))
    launch.numbers.cache_clear()


@both
def test_given_moments_pass_no_gradient_on(algorithm):
    x, residual, upstream, transform = _call()
    mean, var = torch.randn(5, device=DEVICE) + 3, torch.rand(5, device=DEVICE) + 0.5
    given = Statistics(mean.reshape(1, -1), var.reshape(1, -1))
    arrays = [t.double().cpu().numpy() for t in (x, transform.weight, transform.bias)]
    moments = (mean.double().cpu().numpy(), var.double().cpu().numpy())
    y = triton.normalize(x, residual, transform, given)
    want = oracle.evaluate(arrays[0], *moments, *arrays[1:], EPS, residual.cpu().numpy(), "silu")
    torch.testing.assert_close(y.double().cpu(), torch.from_numpy(want), **FLOAT32)
    got = triton.backward(upstream, x, residual, transform, given)
    want = oracle.backward(upstream.cpu().numpy(), *arrays, EPS, residual.cpu().numpy(), "silu", moments=moments)
    for name, value in vars(want).items():
        torch.testing.assert_close(getattr(got, name).double().cpu(), torch.from_numpy(value), rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(0, 3), (4, 3, 0), (4, 0), (0, 3, 2, 2)], ids=str)
def test_nothing_to_normalize(shape, groups):
    inputs, upstream = draw(shape, shape[1])
    got = answers(inputs, upstream, activation="silu", groups=groups)
    moments = (shape[1],) if groups == 1 else (groups, shape[1])
    assert got["y"].shape == got["d_x"].shape == got["d_residual"].shape == shape
    assert all(got[name].shape == moments for name in ("mean", "var", "count"))
    assert not any(t.any() for t in got.values())


@both
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)], ids=str)
def test_one_value_per_channel(shape, algorithm):
    inputs, upstream = draw(shape, 3)
    got = answers(inputs, upstream)
    close(got, expected(inputs, upstream))
    assert not got["var"].any()
    assert not got["d_x"].any()


@both
@pytest.mark.parametrize(
    ("jump", "order"),
    [
        (None, (0, 2, 1)),
        ("first value", (0, 1, 2)),
        ("first value", (0, 2, 1)),
        ("second half", (0, 1, 2)),
    ],
    ids=str,
)
def test_large_means_and_jumps_cost_no_digits(jump, order, algorithm):
    """The bound of test_accuracy.py: 16 units of what rounding x costs a normalized value."""
    values = torch.randn(8, 3, 40) + 1e4
    places = {None: [], "first value": (0, 0, 0), "second half": slice(4, None)}
    values[places[jump]] += 3e4
    inputs = {"x": _lying(values, order), "weight": torch.ones(3), "bias": torch.zeros(3)}
    upstream = torch.randn(8, 3, 40)
    got = answers(inputs, upstream)
    want = expected({**inputs, "residual": torch.zeros(8, 3, 40)}, upstream)
    flat = values.movedim(1, 0).flatten(1)
    unit = 16 * 2.0**-23 * (flat.abs().amax(1) / flat.double().std(1, correction=0))
    for name in ("y", "d_x"):
        error = (got[name] - want[name]).abs().movedim(1, 0).flatten(1).amax(1)
        assert (error <= unit * want[name].abs().movedim(1, 0).flatten(1).amax(1)).all(), name
    np.testing.assert_allclose(got["var"], want["var"], rtol=16 * 2.0**-23)


@both
def test_what_rounding_takes_from_the_mean_is_not_lost(algorithm):
    """The mean's unit in the last place is 10⁻³ here, and deviations from it are exact; float32 sums of them remain."""
    inputs = {"x": torch.randn(8, 3, 40) + 1e4, "weight": torch.ones(3), "bias": torch.zeros(3)}
    want = expected({**inputs, "residual": torch.zeros(8, 3, 40)}, torch.randn(8, 3, 40))
    torch.testing.assert_close(answers(inputs, torch.randn(8, 3, 40))["y"], want["y"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("algorithm", ["split"], indirect=True)
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)], ids=["planes", "rows"])
def test_a_part_that_begins_behind_the_mask_costs_no_digits(order, algorithm):
    """Sums about 0 instead of about a value near 10⁴ would leave no digit of the variance."""
    values = torch.randn(16, 3, 40) + 1e4
    mask = torch.zeros(16, 40, dtype=torch.bool)
    mask[7:, 25:] = True
    got = answers({"x": _lying(values, order)}, torch.randn(16, 3, 40), mask=mask)
    want = values.double().movedim(1, -1)[mask].var(0, correction=0)
    torch.testing.assert_close(got["var"], want, rtol=1e-4, atol=0)


@both
def test_a_constant_channel_has_no_variance(algorithm):
    x = torch.tensor([0, 0.1, -3.7, 1e4, 1e-3]).reshape(1, 5, 1).expand(4, 5, 9)
    got = answers({"x": x.contiguous()}, torch.randn(4, 5, 9))
    # The square of the mean's rounding, at most.
    assert (got["var"] <= (2.0**-22 * x[0, :, 0].double()) ** 2).all()
    torch.testing.assert_close(got["mean"], x[0, :, 0].double(), rtol=2.0**-22, atol=0)


@both
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, in the interpreter
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_shows_in_the_moments_of_its_channel_alone(value, algorithm):
    x = torch.randn(SHAPE, device=DEVICE)
    x[2, 1, 3, 0] = value
    transform = DEFAULT._replace(eps=EPS)
    _, (mean, var, _, _) = triton.forward(x, None, transform)
    finite = torch.tensor([channel != 1 for channel in range(SHAPE[1])], device=DEVICE)
    assert torch.equal(mean.isfinite(), finite)
    assert torch.equal(var.isfinite(), finite)


def test_what_kernels_cannot_take():
    assert triton.obstacle(torch.randn(2, 3, device=DEVICE)) is None
    assert "float32, bfloat16 or float16, got float64" in triton.obstacle(
        torch.randn(2, 3, dtype=torch.float64, device=DEVICE)
    )
    assert "on a GPU, got one on meta" in triton.obstacle(torch.randn(2, 3, device="meta"))


def test_without_the_interpreter_a_gpu_is_needed(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "on a GPU, got one on cpu" in triton.obstacle(torch.randn(2, 3))


def test_without_triton(monkeypatch):
    monkeypatch.setattr(triton, "INSTALLED", False)
    assert "pip install triton" in triton.obstacle(torch.randn(2, 3, device=DEVICE))
