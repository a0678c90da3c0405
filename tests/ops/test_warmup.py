"""Compiling kernels ahead of time."""

import subprocess
import sys

import torch

from normwise import ops
from normwise.ops import warmup
from normwise.ops.batch_norm import cpu


def test_what_was_compiled_is_found_by_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path / "cache"))
    cpu.compile_kernel.cache_clear()
    asked = warmup.kernels(["identity"])[:3]
    assert list(warmup.warmup(asked)) == asked
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 3
    script = (
        "import sys; from normwise.ops import warmup; list(warmup.warmup(warmup.kernels(['identity'])[:3]));"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "False"
    assert sorted((tmp_path / "cache").iterdir()) == files
    cpu.compile_kernel.cache_clear()


def test_the_kernels_of_a_layer_are_all_there(monkeypatch):
    """A layer in training and in evaluation calls nothing that is not on the list."""
    listed = {tuple(kernel) for kernel in warmup.kernels(["silu"])}
    called, compiled = set(), cpu.compile_kernel

    def spy(form, part, dtype, activation, residual, masked):
        name = ("identity", False) if part == "moments" else (activation, residual)
        called.add((form, part, dtype, *name))
        return compiled(form, part, dtype, activation, residual, masked)

    monkeypatch.setattr(cpu, "compile_kernel", spy)
    for shape in [(8, 4, 12, 12), (4000, 40), (30000, 40)]:
        x, residual = (torch.randn(shape, requires_grad=True) for _ in range(2))
        moments = (torch.zeros(shape[1]), torch.ones(shape[1]))
        for added in (None, residual):
            common = {"eps": 1e-5, "residual": added, "activation": "silu", "impl": "cpu"}
            ops.batch_norm(x, None, None, **common).y.sum().backward()
            ops.normalize(x, *moments, None, None, **common)
    assert called
    assert called <= listed
