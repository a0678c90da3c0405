"""One result whatever the number of threads, from whatever thread or process it is asked for."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from normwise.ops.cpu import threads as pool
from tensors import draw, outcome, same_bits

TIMEOUT = 120  # seconds; these scripts take a few, and a deadlock takes for ever


@pytest.fixture
def threads():
    """Sets the number of threads; the old number is back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# Large enough that several threads share the work: many channels, few channels, a single one, many examples.
SHAPES = [(8, 32, 28, 28), (16, 3, 61, 67), (4, 1, 301, 300), (2000, 3, 7, 5), (1, 200, 33, 31)]


def case(shape, channels_last, dtype, masked):
    inputs, upstream = draw(shape, shape[1], dtype)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    for name in ("x", "residual"):
        inputs[name] = inputs[name].detach().contiguous(memory_format=memory_format).requires_grad_()
    mask = torch.rand(shape[0], *shape[2:]) > 0.3 if masked else None
    return inputs, upstream, {"mask": mask, "activation": "silu"}


@pytest.mark.parametrize(("dtype", "masked"), [(torch.float32, False), (torch.bfloat16, True)])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("impl", ["cpu"])
def test_the_number_of_threads_changes_no_bit(threads, impl, shape, channels_last, masked, dtype):
    inputs, upstream, options = case(shape, channels_last, dtype, masked)
    threads(1)
    want = outcome(inputs, upstream, **options, impl=impl)
    for number in (2, 3, 2):
        threads(number)
        same_bits(outcome(inputs, upstream, **options, impl=impl), want)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_pool_of_our_own_changes_no_bit(threads, shape, monkeypatch):
    inputs, upstream, options = case(shape, False, torch.float32, False)
    threads(3)
    want = outcome(inputs, upstream, **options, impl="cpu")
    monkeypatch.setattr(pool, "_openmp", lambda: None)
    monkeypatch.setattr(pool, "_team", functools.cache(pool._team.__wrapped__))
    assert pool._team() is pool._own_pool
    same_bits(outcome(inputs, upstream, **options, impl="cpu"), want)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("impl", ["reference", "torch", "cpu"])
def test_several_python_threads_at_once(threads, impl, number):
    threads(number)
    cases = [case((6, 5 + k, 41, 43), k % 2 == 0, torch.float32, False) for k in range(4)]
    for _, _, options in cases:
        del options["mask"]

    def run(k):
        torch.set_num_threads(number)
        inputs, upstream, options = cases[k % 4]
        return outcome(inputs, upstream, **options, impl=impl)

    want = [run(k) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for k, got in enumerate(pool.map(run, range(24))):
            if impl == "cpu":
                same_bits(got, want[k % 4])
            else:  # torch's sums may be split in another way
                torch.testing.assert_close(got, want[k % 4], rtol=1e-4, atol=1e-4)


PREAMBLE = """
import os, sys, time
import torch
from normwise.ops import batch_norm

def run(channels_last=False, impl={impl!r}):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 5, 61, 67, generator=generator)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    y = batch_norm(x, None, None, eps=1e-5, activation="silu", impl=impl).y
    return y, *torch.autograd.grad(y, x, torch.randn(x.shape, generator=generator))

def same(got, want):
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(got, want, strict=True))
"""


def start(script, impl="cpu", **environment) -> subprocess.Popen:
    code = PREAMBLE.format(impl=impl) + textwrap.dedent(script)
    settings = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=settings
    )


def succeed(process: subprocess.Popen) -> None:
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == 0, output


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
@pytest.mark.parametrize("impl", ["reference", "torch", "cpu"])
def test_a_forked_child_computes(impl):
    """The child has one thread, as DataLoader gives its workers; torch's own OpenMP pool does not survive a fork."""
    script = """
        want = [run(last) for last in (False, True)]
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            os._exit(0 if all(same(run(last), want[last]) for last in (False, True)) else 3)
        for _ in range(600):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                sys.exit(os.waitstatus_to_exitcode(status))
            time.sleep(0.1)
        os.kill(child, 9)
        sys.exit("the child hangs")
    """
    succeed(start(script, impl))


@needs_fork
@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_dataloader_workers_compute(impl):
    script = """
        class Batches(torch.utils.data.Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, index):
                assert torch.get_num_threads() == 1
                return torch.stack([t.detach() for t in run(index % 2 == 1)])

        want = [torch.stack([t.detach() for t in run(last)]) for last in (False, True)]
        loader = torch.utils.data.DataLoader(Batches(), None, num_workers=2, multiprocessing_context="fork", timeout=60)
        for index, got in enumerate(loader):
            assert same([got], [want[index % 2]])
            run()  # the parent goes on with its threads meanwhile
    """
    succeed(start(script, impl))


@needs_fork
@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_a_child_computes_that_was_forked_while_another_thread_computed(impl):
    script = """
        import threading

        want, stop = run(), threading.Event()

        def busy():
            while not stop.is_set():
                run()

        worker = threading.Thread(target=busy)
        worker.start()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                torch.set_num_threads(1)
                os._exit(0 if same(run(), want) else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        worker.join()
    """
    succeed(start(script, impl))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of a process's threads")
@pytest.mark.parametrize("impl", ["cpu"])
def test_one_thread_means_one(impl):
    script = """
        def threads():
            return len(os.listdir("/proc/self/task"))

        torch.set_num_threads(1)
        with torch.autograd.set_multithreading_enabled(False):
            run(), run(True)
            before = threads()
            assert same(run(), run(impl="reference"))
            assert same(run(True), run(True, impl="reference"))
            assert threads() == before, "a thread was started"
            torch.set_num_threads(3)
            run()
            assert threads() > before, "this test sees no threads at all"
    """
    succeed(start(script, impl))


@pytest.mark.parametrize("impl", ["cpu"])
def test_processes_and_threads_that_share_an_empty_cache(impl, tmp_path):
    """Whoever compiles first, the others wait or compile too; nobody reads half a file."""
    script = """
        from concurrent.futures import ThreadPoolExecutor

        torch.set_num_threads(1)
        want = run(impl="reference")
        with ThreadPoolExecutor(3) as pool:
            assert all(same(got, want) for got in pool.map(lambda _: run(), range(3)))
    """
    processes = [start(script, impl, NORMWISE_CACHE=str(tmp_path)) for _ in range(2)]
    try:
        for process in processes:
            succeed(process)
    finally:
        for process in processes:
            process.kill()
