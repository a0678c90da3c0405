"""Compiling kernels ahead of time."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normwise import ops
from normwise.ops import disk
from normwise.ops.batch_norm import choice, cpu, op, triton, warmup
from normwise.ops.batch_norm.cpu import work
from normwise.ops.batch_norm.implementations import KERNELS
from normwise.ops.cpu import compiler


def forget():
    """Let kernels be looked for on disk again."""
    cpu.compile_kernel.cache_clear()
    cpu.compile_update.cache_clear()


def test_what_was_compiled_is_found_by_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path / "cache"))
    forget()
    asked = warmup.kernels(["identity"])[:2]
    assert list(warmup.warmup(asked)) == asked
    files = sorted((tmp_path / "cache").glob("*.o"))
    assert len(files) == 2
    script = (
        "import sys; from normwise.ops.batch_norm import warmup; list(warmup.warmup(warmup.kernels(['identity'])[:2]));"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "False"
    assert sorted((tmp_path / "cache").glob("*.o")) == files
    forget()


STEP = """
import sys
import torch
import normwise as nw

x = torch.randn(32, 8, 32, 32, requires_grad=True)
assert nw.explain(x).impl == "cpu"
nw.BatchNorm2d(8, activation="relu")(x).sum().backward()
print("numba" in sys.modules)
"""


def test_a_training_step_after_a_warmup_compiles_nothing(tmp_path, monkeypatch):
    names, name_of = [], compiler._file
    monkeypatch.setattr(compiler, "_file", lambda kernel: names.append(name_of(kernel)) or names[-1])
    forget()
    asked = [kernel for kernel in warmup.kernels(["relu"]) if kernel.form != "rows" and not kernel.residual]
    assert list(warmup.warmup(asked)) == asked
    assert len(names) == len(asked)
    files = [keep(name, tmp_path / "cache") for name in names]
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path / "cache"))
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "False"
    assert sorted((tmp_path / "cache").iterdir()) == sorted(files)


def keep(name, folder) -> Path:
    """Copy a kernel from where the tests find theirs."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(next(disk.contents(name)))
    return folder / name


@pytest.mark.parametrize(
    ("dtypes", "statistics"),
    [
        ([torch.float32, torch.bfloat16], [torch.float32]),
        ([torch.bfloat16], [torch.float32]),
        ([torch.float64, torch.float32], [torch.float64, torch.float32]),
    ],
)
def test_running_statistics_are_of_the_type_of_the_moments(dtypes, statistics):
    listed = [kernel for kernel in warmup.kernels(["relu"], iter(dtypes)) if kernel.part == "update"]
    assert [kernel.dtype for kernel in listed] == statistics
    assert str(listed[0]) == f"running statistics, {str(statistics[0]).removeprefix('torch.')}"


def test_the_kernels_of_a_layer_are_all_there(monkeypatch):
    """A layer in training and in evaluation calls nothing that is not on the list."""
    listed = {tuple(kernel) for kernel in warmup.kernels(["silu"])}
    called, compiled = set(), cpu.compile_kernel

    def spy(form, part, dtype, activation, residual, masked):
        name = ("identity", False) if part == "moments" else (activation, residual)
        called.add((form, part, dtype, *name))
        return compiled(form, part, dtype, activation, residual, masked)

    monkeypatch.setattr(work, "compile_kernel", spy)
    monkeypatch.setattr(op, "_PLANS", {})
    for shape in [(8, 4, 12, 12), (4000, 40), (30000, 40)]:
        x, residual = (torch.randn(shape, requires_grad=True) for _ in range(2))
        moments = (torch.zeros(shape[1]), torch.ones(shape[1]))
        for added in (None, residual):
            common = {"eps": 1e-5, "residual": added, "activation": "silu", "impl": "cpu"}
            ops.batch_norm(x, None, None, **common).y.sum().backward()
            ops.normalize(x, *moments, None, None, **common)
    assert called
    assert called <= listed


def test_layers_for_a_gpu_are_listed_in_every_memory_format():
    listed = warmup.layers([(8, 4, 3, 3), (60, 10)], ["relu"], [torch.bfloat16])
    assert [str(layer) for layer in listed] == [
        "8x4x3x3 contiguous_format, relu, bfloat16",
        "8x4x3x3 contiguous_format, relu with residual, bfloat16",
        "8x4x3x3 channels_last, relu, bfloat16",
        "8x4x3x3 channels_last, relu with residual, bfloat16",
        "60x10 contiguous_format, relu, bfloat16",
        "60x10 contiguous_format, relu with residual, bfloat16",
    ]


@pytest.mark.skipif(not (triton.INSTALLED and triton.is_interpreted()), reason="needs Triton and TRITON_INTERPRET=1")
def test_a_layer_on_a_gpu_launches_nothing_else_afterwards(monkeypatch):
    """What Triton compiles a kernel for is the kernel, which tensors there are, and the arguments in capitals."""
    from normwise import BatchNorm2d
    from normwise.ops.batch_norm.triton import launch, running

    launched = set()

    def spy(kernel, programs, warps, given):
        constants = tuple((name, value) for name, value in given.items() if name.isupper())
        tensors = tuple((name, t.dtype) for name, t in given.items() if isinstance(t, torch.Tensor))
        launched.add((kernel.__name__, warps, constants, tensors))
        start(kernel, programs, warps, given)

    start = launch.launch
    for module in (launch, running):
        monkeypatch.setattr(module, "launch", spy)
    asked = warmup.layers([(4, 3, 5, 5)], ["relu"])
    assert list(warmup.launch(asked, "cpu")) == asked
    compiled = set(launched)
    launched.clear()
    monkeypatch.setattr(choice, "own", lambda x, transform: "triton")
    monkeypatch.setitem(KERNELS, "cpu", triton)
    monkeypatch.setattr(op, "_PLANS", {})
    layer = BatchNorm2d(3, activation="relu")
    x = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer(x).backward(torch.ones_like(x))
    layer.eval()(x.detach())
    assert {name for name, *_ in launched} == {
        "resident_forward", "resident_backward", "normalize", "update_running",
    }  # fmt: skip
    assert launched <= compiled
