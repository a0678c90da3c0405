"""Which implementation runs, and what is said about it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import normwise as nw
from normwise import ops
from normwise.errors import InvalidArgumentError, ShapeError
from normwise.ops.batch_norm import choice, cpu, reference, triton
from normwise.ops.batch_norm import torch as kernel

SMALL, LARGE = torch.randn(60, 100), torch.randn(32, 64, 8, 8)


@pytest.mark.parametrize(
    ("x", "options", "impl"),
    [
        (SMALL, {}, "cpu"),
        (LARGE, {}, "cpu"),
        (LARGE.bfloat16(), {}, "cpu"),
        (LARGE.half(), {}, "torch"),
        (SMALL, {"groups": 2}, "cpu"),
        (SMALL, {"channel_dim": -2}, "cpu"),
        (SMALL, {"mask": torch.ones(60, 1, dtype=torch.bool)}, "cpu"),
        (SMALL.half(), {"groups": 2}, "reference"),
        (LARGE.to("meta"), {}, "torch"),
        (SMALL, {"training": False}, "cpu"),
        (LARGE, {"training": False}, "cpu"),
        (SMALL, {"training": False, "channel_dim": -2}, "cpu"),
        (SMALL[:1], {"training": False}, "cpu"),
        (SMALL[:1], {}, "cpu"),
    ],
    ids=[
        "small",
        "large",
        "bfloat16",
        "float16",
        "groups",
        "channel_dim",
        "mask",
        "float16 in groups",
        "meta",
        "evaluation",
        "large evaluation",
        "channel_dim in evaluation",
        "one value in evaluation",
        "one value",
    ],
)
def test_ours_is_taken_where_it_can_run_and_every_other_has_a_reason(x, options, impl):
    explained = nw.explain(x, **options)
    assert explained.impl == impl
    assert set(explained.others) == {"cpu", "triton", "torch", "reference"} - {impl}
    lines = str(explained).splitlines()
    assert lines[0].startswith(f"{impl}: ")
    assert all(line.startswith("not ") and len(line) > 20 for line in lines[1:])


def test_under_transforms_the_reference_runs():
    seen = []

    def f(x):
        seen.append(nw.explain(x).impl)
        return x

    torch.func.vmap(f)(torch.randn(2, 32, 64, 8, 8))
    assert seen == ["reference"]


def test_what_is_traced_is_chosen_whatever_its_size():
    with FakeTensorMode() as mode:
        small = mode.from_tensor(SMALL)
        assert nw.explain(small).impl == "cpu"
        assert nw.explain(small, training=False).impl == "torch"
        assert "trace" in nw.explain(small, training=False).others["cpu"]


@pytest.fixture
def on_gpu():
    """A tensor of a GPU that need not be there."""
    with FakeTensorMode():
        yield torch.empty(32, 64, 8, 8, device="cuda")


def test_on_a_gpu_torch_runs_unless_the_environment_says_otherwise(monkeypatch, on_gpu):
    monkeypatch.setattr(triton, "INSTALLED", True)
    monkeypatch.delenv(choice.TRITON, raising=False)
    assert nw.explain(on_gpu).impl == "torch"
    assert choice.TRITON in nw.explain(on_gpu).others["triton"]
    assert nw.explain(on_gpu, groups=2).impl == "reference"
    monkeypatch.setenv(choice.TRITON, "1")
    for x in (on_gpu, on_gpu.narrow(0, 0, 1)):
        assert nw.explain(x).impl == "triton"
    assert nw.explain(on_gpu, groups=2).impl == "triton"
    assert nw.explain(on_gpu.double()).impl == "torch"
    assert "given moments" in nw.explain(on_gpu, training=False).others["triton"]


def test_without_triton_the_reason_says_how_to_get_it(monkeypatch, on_gpu):
    monkeypatch.setattr(triton, "INSTALLED", False)
    monkeypatch.setenv(choice.TRITON, "1")
    assert nw.explain(on_gpu).impl == "torch"
    with pytest.raises(InvalidArgumentError, match="pip install triton"):
        ops.batch_norm(on_gpu, None, None, eps=1e-5, impl="triton")


def test_what_is_traced_on_a_gpu_is_the_operator(monkeypatch, on_gpu):
    monkeypatch.setattr(triton, "INSTALLED", True)
    x = on_gpu.to(torch.bfloat16, memory_format=torch.channels_last)
    y, mean, _, count = ops.batch_norm(x, None, None, eps=1e-5, activation="relu", impl="triton")
    assert (y.device, y.dtype, y.shape) == (x.device, x.dtype, x.shape)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert (mean.device, mean.dtype, mean.shape, count.shape) == (x.device, torch.float32, (64,), (64,))


def test_what_was_asked_for_and_cannot_run_is_refused_with_what_can(monkeypatch):
    monkeypatch.setattr(triton, "INSTALLED", False)
    with pytest.raises(InvalidArgumentError, match="float16; use impl='torch' or impl='reference'"):
        nw.explain(LARGE.half(), impl="cpu")
    assert nw.explain(SMALL, impl="cpu").why == "it was asked for"


@pytest.mark.parametrize(
    ("x", "channel_dim", "error"),
    [
        (torch.tensor(1.0), 0, ShapeError),
        (torch.zeros(5), 0, ShapeError),
        (torch.zeros(5, 3, dtype=torch.int64), 1, InvalidArgumentError),
        (torch.zeros(5, 3), 7, InvalidArgumentError),
        (torch.zeros(5, 3), -3, InvalidArgumentError),
    ],
    ids=["0-d", "1-d", "integers", "axis 7", "axis -3"],
)
def test_what_the_operator_refuses_is_not_explained(x, channel_dim, error):
    with pytest.raises(error):
        nw.explain(x, channel_dim=channel_dim)
    with pytest.raises(error):
        ops.batch_norm(x, None, None, eps=1e-5, channel_dim=channel_dim)


@pytest.mark.parametrize("x", [SMALL, LARGE, SMALL[:1], LARGE.bfloat16(), LARGE.half()], ids=lambda x: f"{x.dtype}")
@pytest.mark.parametrize("groups", [1, 2])
def test_what_is_explained_is_what_runs(monkeypatch, x, groups):
    ran = []

    def spy(module, function, name):
        known = getattr(module, function)
        monkeypatch.setattr(module, function, lambda *args, **options: ran.append(name) or known(*args, **options))

    spy(cpu, "forward", "cpu")
    spy(kernel, "forward", "torch")
    spy(reference, "forward", "reference")
    groups = groups if len(x) % groups == 0 else 1
    ops.batch_norm(x, None, None, eps=1e-5, groups=groups)
    assert ran == [nw.explain(x, groups=groups).impl]
