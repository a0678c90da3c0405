"""Estimating on two processes. fvcore#152."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import normwise as nw
from normwise.surgery import estimate_population
from processes import in_two_processes

pytestmark = pytest.mark.skipif(not distributed.is_available(), reason="this torch has no torch.distributed")


def network(kind=nw.BatchNorm1d):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), kind(4), nn.ReLU(), nn.Linear(4, 4), kind(4)).double()


class Synchronised(nn.SyncBatchNorm):
    """A subclass with a forward that, as torch's, asks for the group; torch's refuses the CPU before it does."""

    def forward(self, x):
        group = self.process_group or distributed.group.WORLD
        if self.training and distributed.get_world_size(group) > 1:
            raise AssertionError("it would wait for the others")
        return nn.BatchNorm1d.forward(self, x).tanh()


def data():
    return torch.randn(14, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def parts(sizes):
    """The batches of both processes."""
    batches = data().split(sizes[0] + sizes[1])
    return batches[: len(sizes[0])], batches[len(sizes[0]) :]


def estimated(rank, sizes, mode, kind, wrapped):
    net = network(kind)
    model = DistributedDataParallel(net) if wrapped else net
    report = estimate_population(model, list(parts(sizes)[rank]), mode=mode)
    groups = [vars(layer).get("process_group") for layer in net]
    result = {"report": [each[1:] for each in report.layers], "total": report.batches, "groups": groups}
    return result | {"state": net.state_dict()}


CASES = {
    "pooled": ([[4, 4], [5, 1]], "pooled", nw.BatchNorm1d, True),
    "paper": ([[3, 3, 3, 1], [4]], "paper", nn.BatchNorm1d, False),
    "paper without a single": ([[3, 2, 3, 2], [4]], "paper", nn.BatchNorm1d, False),
    "layerwise": ([[], [8, 6]], "layerwise", nw.BatchNorm1d, True),
    "synchronised": ([[9, 5], []], "pooled", nn.SyncBatchNorm, False),
    "synchronised subclass": ([[4, 4], [6]], "pooled", Synchronised, False),
}


def failing(rank, case):
    net = network()
    batches = list(parts(CASES["pooled"][0])[rank])
    if rank == 1 and case == "not finite":
        batches[1] = batches[1] * torch.nan
    if rank == 1 and case == "generator":
        batches = iter(batches)
    if case == "empty":
        batches = []

    def forward(model, batch):
        if rank == 1 and case == "network":
            raise ZeroDivisionError("on purpose")
        model(batch)

    before = {name: value.clone() for name, value in net.state_dict().items()}
    error = None
    try:
        estimate_population(net, batches, mode="layerwise", forward=forward)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    same = all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    return {"same": same, "says": error}


FAILURES = {
    "network": ("ZeroDivisionError: on purpose", "SurgeryError: rank 1 raised ZeroDivisionError: on purpose;"),
    "not finite": ("SurgeryError: batch 1:", "SurgeryError: rank 1 raised SurgeryError: batch 1:"),
    "generator": ("SurgeryError: mode='layerwise'", "SurgeryError: rank 1 raised SurgeryError: mode="),
    "empty": ("SurgeryError: there was no batch", "SurgeryError: there was no batch"),
}


def every_case(rank):
    worked = {name: estimated(rank, *case) for name, case in CASES.items()}
    return worked | {case: failing(rank, case) for case in FAILURES}


@pytest.fixture(scope="module")
def ranks():
    """What both processes returned: starting them takes longer than all they do."""
    results = in_two_processes(every_case)
    assert len(results) == 2
    assert not any("error" in result for result in results), results
    return results


@pytest.mark.parametrize("case", CASES)
def test_processes_merge_exactly(ranks, case):
    one, other = (rank[case] for rank in ranks)
    torch.testing.assert_close(one["state"], other["state"], rtol=0, atol=0)
    assert one["report"] == other["report"]
    assert one["groups"] == [None] * 5
    sizes, mode, kind, _ = CASES[case]
    first, second = parts(sizes)
    assert one["total"] == len(first) + len(second)
    net = network(kind)
    h = net[0](data())
    if mode != "paper":
        torch.testing.assert_close(one["state"]["1.running_mean"], h.mean(0), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one["state"]["1.running_var"], h.var(0), rtol=1e-12, atol=1e-12)
    if 1 not in sizes[0] + sizes[1]:  # which is normalized with what its own process has seen
        estimate_population(net, [*first, *second], mode=mode)
        torch.testing.assert_close(one["state"], net.state_dict(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", FAILURES)
def test_an_error_of_one_process_is_one_of_all(ranks, case):
    other, own = (rank[case] for rank in ranks)
    assert own["same"]
    assert other["same"]
    here, there = FAILURES[case]
    assert own["says"].startswith(here)
    assert other["says"].startswith(there)
