"""The benchmarks. Each measures two ways of doing one thing in turn, A B A B …, and yields their seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import folding, layers, overhead, recording
from benchmarks.overhead import Microseconds
from benchmarks.pair import Pair, seconds
from normwise.lab import batches, networks, runner
from normwise.lab.data import Data, Scaling, load
from normwise.lab.job import Job
from normwise.lab.plan import plan
from normwise.lab.train import train
from normwise.records.files import read_lines
from normwise.records.run import TIMING

STEPS = 10_000  # the default on the digits
ARMS = ("plain", "bn")


class Benchmark(NamedTuple):
    """What is measured, a function of ``n`` that measures it some times, which ledger and column the figures go to."""

    question: str
    measure: Callable[[int], Iterator[Pair | Microseconds]]
    ledger: str = "lab"
    column: str = "ratio"


def job(arm: str, data: str, directory: str, seed: int = 0, steps: int = STEPS, model: str = "mlp") -> tuple[Job, Data]:
    """The run that ``normwise compare`` would make of an arm, below ``directory``."""
    planned = plan((arm,), data, {"steps": steps, "seeds": seed + 1, "model": model, "out": Path(directory)})
    return planned.runs[seed].job, planned.data


def loop(arm: str, data: str) -> Callable[[int], Iterator[Pair]]:
    """A plain PyTorch loop with a DataLoader, which measures nothing, over ours, which measures and records."""

    def measure(n: int) -> Iterator[Pair]:
        torch.set_num_threads(1)
        for _ in range(n):
            with tempfile.TemporaryDirectory() as directory:
                ours, loaded = job(arm, data, directory)
                peer = seconds(lambda: _plain_loop(ours, loaded))  # noqa: B023 - called at once
                yield Pair(peer, seconds(lambda: train(ours, loaded)))  # noqa: B023

    return measure


def _plain_loop(job: Job, data: Data) -> None:
    settings = job.settings
    X = torch.from_numpy(Scaling.fit(settings.inputs or "raw", data.train.X).apply(data.train.X))
    examples = TensorDataset(X, torch.from_numpy(data.train.y))
    loader = DataLoader(examples, batch_size=settings.batch_size, shuffle=True, drop_last=True)
    torch.manual_seed(settings.seed)
    network = networks.build(settings, batches.first(data, settings, 2)).network
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.lr or 0.0)
    step = 0
    while True:
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step == settings.steps:
                return


def processes(n: int) -> Iterator[Pair]:
    """Two runs one after the other, each in a process of its own, over the same two at once."""
    runner.prepare()
    load("digits")
    for _ in range(n):
        yield Pair(_two_runs(workers=1), _two_runs(workers=2))


def _two_runs(*, workers: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        jobs = [job("bn", "digits", directory, seed, steps=STEPS) for seed in range(2)]
        runs, data = [run for run, _ in jobs], jobs[0][1]
        return seconds(lambda: runner.run_all(runs, data, workers=workers, on_progress=lambda index, step: None))


def watching(arm: str, data: str, steps: int, model: str = "mlp") -> Callable[[int], Iterator[Pair]]:
    """A whole run over its training steps alone: what evaluating, probing and recording add."""

    def measure(n: int) -> Iterator[Pair]:
        torch.set_num_threads(1)
        for _ in range(n):
            with tempfile.TemporaryDirectory() as directory:
                run, loaded = job(arm, data, directory, steps=steps, model=model)
                train(run, loaded)
                timing = read_lines(run.directory / TIMING)
                yield Pair(timing[-1]["seconds"], sum(line.get("train", 0.0) for line in timing))

    return measure


BENCHMARKS = {
    f"loop-{arm}": Benchmark(
        f"a DataLoader loop over ours, digits, arm {arm}, {STEPS} steps, one process", loop(arm, "digits")
    )
    for arm in ARMS
} | {
    "processes": Benchmark("two runs in turn over the same two at once", processes),
    **{
        f"watching-{data}-{arm}": Benchmark(
            f"a run of {steps} steps over its training alone, {model} on {data}, arm {arm}",
            watching(arm, data, steps, model),
        )
        for data, steps, model in (("digits", 10_000, "mlp"), ("mnist", 20_000, "mlp"), ("cifar10", 2000, "cnn"))
        for arm in ARMS
    },
    **{
        f"recording-{name}": Benchmark(
            f"a DataLoader loop that is recorded at each 16th step over the same without, {question}, one thread",
            recording.pairs(make, shape),
        )
        for name, (question, make, shape) in recording.CASES.items()
    },
    **{
        f"layer-{name}": Benchmark(
            f"{question}, forward and backward, {'x'.join(map(str, shape))}, one thread",
            layers.pairs(shape, peer, ours),
            "layer",
        )
        for name, (question, shape, peer, ours) in layers.CASES.items()
    },
    **{
        f"{name}-{part}": Benchmark(
            f"microseconds of a {part} of BN + ReLU in training {what}, "
            f"{'x'.join(map(str, overhead.SHAPE))}, one thread",
            overhead.calls(part, name == "around"),
            "overhead",
            "microseconds",
        )
        for name, what in (("around", "outside of its kernels"), ("python", "whose kernels do nothing"))
        for part in ("forward", "backward")
    },
    **{
        f"fold-{name}": Benchmark(f"{question}, one thread", folding.pairs(make, size), "layer")
        for name, (question, make, size) in folding.CASES.items()
    },
}
