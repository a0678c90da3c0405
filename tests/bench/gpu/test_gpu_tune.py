"""Which choice is kept, by an injected clock."""

from __future__ import annotations

import pytest
import torch

from gpu_measurements import CASE, Twin
from normwise.bench.cases import FORWARD, TRAIN, Case
from normwise.bench.gpu import tune
from normwise.bench.gpu.tune import GAIN, quickest
from normwise.ops.batch_norm import triton
from normwise.ops.batch_norm.triton import tuned
from normwise.ops.batch_norm.triton.choice import candidates

pytest.importorskip("triton")

from normwise.ops.batch_norm.triton import launch

interpreted = pytest.mark.skipif(not triton.is_interpreted(), reason="needs TRITON_INTERPRET=1")


def samples(**seconds):
    return {name: [each] * 5 for name, each in seconds.items()}


@pytest.mark.parametrize(
    ("timings", "best"),
    [
        ([samples(rule=1.0, a=0.98, b=0.972)], ("rule", 1.0)),
        ([samples(rule=1.0, a=0.9, b=0.8)], ("b", 1.25)),
        ([samples(rule=1.0, a=1.0), samples(rule=1.0, a=0.8)], ("a", 1.25)),
        ([samples(rule=1.0, a=1.05), samples(rule=1.0, a=0.8)], ("rule", 1.0)),
        ([samples(rule=1.0, a=0.5), samples(rule=1.0, a=1.0)], ("rule", 1.0)),
        ([samples(rule=1.0, a=0.5), samples(rule=1.0, b=0.5)], ("rule", 1.0)),
        ([samples(rule=1.0, a=0.8), samples(a=0.8)], ("rule", 1.0)),
        ([samples(rule=1.0)], ("rule", 1.0)),
    ],
    ids=["too little", "quickest", "as a graph", "slower as called", "not as a graph", "failed", "no rule", "alone"],
)
def test_the_quickest_by_more_than_three_percent(timings, best):
    assert quickest(timings, "rule") == best


def test_one_lucky_round_decides_nothing():
    assert quickest([{"rule": [1.0] * 5, "a": [0.1, 1, 1, 1, 1]}], "rule") == ("rule", 1.0)


class Clock(Twin):
    """A device on which each choice takes the time that it is given, and the others a second."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.launched, self.taken = seconds, [], {}
        whole = launch.Work.whole

        def spy(work, kernel, choice, **tensors):
            self.launched.append(choice)
            whole(work, kernel, choice, **tensors)

        monkeypatch.setattr(launch.Work, "whole", spy)

    def sample(self, work, calls):
        if work not in self.taken:  # the interpreter is slow, and a later round would find the same
            self.launched.clear()
            work()
            (choice,) = set(self.launched)
            self.taken[work] = self.seconds.get(choice, 1.0)
        return self.taken[work]


def problems(device, case=CASE):
    return tune.asked([case], device)


@interpreted
@pytest.mark.parametrize(("seconds", "kept"), [(0.5, 2), (1 / GAIN + 0.001, 0)], ids=["half", "less than 3 %"])
def test_the_table_has_the_quickest_of_forward_and_of_backward(seconds, kept, empty_table, monkeypatch):
    asked = problems(Twin())
    ways = [candidates(each.problem) for each in asked]
    device = Clock(monkeypatch, {found[2]: seconds for found in ways})
    found = list(tune.tune(asked, device, seconds=0))
    assert [each.asked.part for each in found] == ["forward", "backward"]
    assert [each.choice for each in found] == [each[kept] for each in ways]
    assert [each.gain for each in found] == ([pytest.approx(2)] * 2 if kept else [1.0] * 2)
    assert not any(each.notes for each in found)
    tuned._table.cache_clear()
    assert [tuned.known(torch.device("cpu"), each.problem) for each in asked] == [each[kept] for each in ways]
    assert tune.rows(device) == 2
    assert ("2.00 × as fast as the rule's" in str(found[0])) == bool(kept)
    assert str(found[1]).startswith("4x6x5x5 channels_last bn+relu backward bfloat16: resident ")


@interpreted
def test_what_fails_or_is_wrong_is_never_kept(empty_table, monkeypatch):
    asked = problems(Twin())[:1]
    rule, fails, errs, *_ = candidates(asked[0].problem)
    device = Clock(monkeypatch, {fails: 0.1, errs: 0.1})
    whole = launch.Work.whole

    def faulty(work, kernel, choice, **tensors):
        if choice == fails:
            raise RuntimeError("out of resource: shared memory")
        whole(work, kernel, choice, **tensors)
        if choice == errs:
            tensors["y"].mul_(1.02)

    monkeypatch.setattr(launch.Work, "whole", faulty)
    (found,) = tune.tune(asked, device, seconds=0)
    assert found.choice == rule
    assert found.notes == {
        str(fails): "cannot run: RuntimeError: out of resource: shared memory",
        str(errs): "cannot run: ArithmeticError: its answer differs from the rule's by 2.0e-02 of its norm",
    }


@interpreted
def test_where_the_rule_itself_cannot_run_nothing_is_kept(empty_table, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(launch.Work, "whole", fail)
    (found,) = tune.tune(problems(Twin())[:1], Twin(), seconds=0)
    assert found.choice is None
    assert "not timed\n  the rule's: cannot run: RuntimeError: out of memory" in str(found)
    assert not tune.rows(Twin())


def test_a_problem_is_posed_once_and_not_again_where_it_is_known(empty_table):
    again = CASE._replace(epilogue="bn+add+relu")
    forward = Case((60, 100), "contiguous", "bn", FORWARD)
    asked = tune.asked([CASE, again, forward, forward._replace(mode=TRAIN)], Twin())
    assert [(each.case, each.part) for each in asked] == [
        (CASE, "forward"), (CASE, "backward"), (forward, "forward"), (forward._replace(mode=TRAIN), "backward"),
    ]  # fmt: skip
    first = asked[0].problem
    tuned.remember(torch.device("cpu"), first, candidates(first)[0])
    assert tune.asked([CASE], Twin(), known=False) == asked[1:2]
    assert len(tune.asked([CASE], Twin())) == 2


def test_nothing_begins_when_time_is_over(empty_table):
    assert not list(tune.tune(problems(Twin()), Twin(), until=1.0, clock=lambda: 2.0))
