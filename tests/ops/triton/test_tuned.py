"""The table of what was found to be quickest: what it keeps, what it ignores, and who asks it."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

from normwise.errors import CacheWarning
from normwise.ops import disk
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import triton
from normwise.ops.batch_norm.transform import DEFAULT, Transform
from normwise.ops.batch_norm.triton import choice as rule
from normwise.ops.batch_norm.triton import tuned
from normwise.ops.batch_norm.triton.choice import Problem, candidates, choose
from tensors import EPS, draw

pytest.importorskip("triton")

from normwise.ops.batch_norm.triton import launch

interpreted = pytest.mark.skipif(not triton.is_interpreted(), reason="needs TRITON_INTERPRET=1")

CPU = torch.device("cpu")
FIRST, SECOND, THIRD = (Problem(1, channels, 32, 49, 2, 1, 132) for channels in (64, 128, 256))


def other(problem):
    """What the rule does not choose."""
    return candidates(problem)[1]


def forget():
    """As a new process."""
    tuned._table.cache_clear()


def test_a_later_process_knows_what_was_found(empty_table):
    assert tuned.known(CPU, FIRST) is None
    path = tuned.remember(CPU, FIRST, other(FIRST))
    tuned.remember(CPU, SECOND, choose(SECOND))
    assert path.parent == empty_table
    forget()
    assert [tuned.known(CPU, each) for each in (FIRST, SECOND, THIRD)] == [other(FIRST), choose(SECOND), None]
    assert tuned.rows(CPU) == 2
    assert list(json.loads(path.read_bytes())) == ["abacus, 1.0"]


def test_another_device_knows_nothing(empty_table, monkeypatch):
    tuned.remember(CPU, FIRST, other(FIRST))
    monkeypatch.setattr(tuned, "machine", lambda device: "slide rule, 2.0")
    assert tuned.known(CPU, FIRST) is None
    tuned.remember(CPU, FIRST, candidates(FIRST)[2])
    forget()
    assert tuned.known(CPU, FIRST) == candidates(FIRST)[2]
    monkeypatch.setattr(tuned, "machine", lambda device: "abacus, 1.0")
    assert tuned.known(CPU, FIRST) == other(FIRST)


def test_what_was_found_with_another_triton_is_ignored_and_kept(empty_table, monkeypatch):
    tuned.remember(CPU, FIRST, other(FIRST))
    monkeypatch.setattr("triton.__version__", "99")
    tuned._file.cache_clear()
    forget()
    assert tuned.known(CPU, FIRST) is None
    tuned.remember(CPU, SECOND, other(SECOND))
    monkeypatch.undo()
    tuned._file.cache_clear()
    assert len(list(empty_table.iterdir())) == 2


def test_the_disk_is_read_once(empty_table, monkeypatch):
    tuned.remember(CPU, FIRST, other(FIRST))
    forget()
    read = []
    contents = disk.contents
    monkeypatch.setattr(disk, "contents", lambda file: read.append(file) or contents(file))
    for problem in (FIRST, SECOND, FIRST):
        tuned.known(CPU, problem)
    assert len(read) == 1


def test_without_a_gpu_nothing_is_read(monkeypatch):
    monkeypatch.setattr(tuned, "_table", lambda: pytest.fail("it was read"))
    assert tuned.known(CPU, FIRST) is None
    assert tuned.rows(CPU) == 0


def test_what_another_process_has_written_meanwhile_stays(empty_table):
    tuned.remember(CPU, FIRST, other(FIRST))
    tuned.remember(CPU, SECOND, other(SECOND))
    del tuned._table()["abacus, 1.0"][SECOND]  # as if another had written it after this one read
    tuned.remember(CPU, THIRD, other(THIRD))
    forget()
    assert [tuned.known(CPU, each) for each in (FIRST, SECOND, THIRD)] == [*map(other, (FIRST, SECOND, THIRD))]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_write_that_fails_leaves_the_old_table(empty_table, monkeypatch, step):
    path = tuned.remember(CPU, FIRST, other(FIRST))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk.Path, step, fail)
        assert tuned.remember(CPU, SECOND, other(SECOND)) is None
    assert tuned.known(CPU, SECOND) == other(SECOND)  # this process has it
    assert [file.read_bytes() for file in empty_table.iterdir()] == [before]


KEY = " ".join(map(str, FIRST))
DAMAGED = {
    "empty": "",
    "cut off": '{"abacus, 1.0": {"1 64',
    "a list": "[]",
    "a name": '{"abacus, 1.0": 3}',
    "a short problem": '{"abacus, 1.0": {"1 2": ["split", [1, 1, 1, 1], 1, 1, 1]}}',
    "a problem of nothing": '{"abacus, 1.0": {"0 0 0 0 0 0 0": ["split", [1, 1, 1, 1], 1, 1, 1]}}',
    "a tile that holds too little": f'{{"abacus, 1.0": {{"{KEY}": ["resident", [1, 1, 1, 1], 1, 1, 1]}}}}',
    "no choice": f'{{"abacus, 1.0": {{"{KEY}": null}}}}',
    "bytes": "\0\1\2",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_table_is_ignored_with_a_warning_and_replaced(empty_table, content):
    path = tuned.remember(CPU, SECOND, other(SECOND))
    path.write_text(content)
    forget()
    with pytest.warns(CacheWarning, match="--tune writes it anew"):
        assert tuned.known(CPU, FIRST) is None
    with pytest.warns(CacheWarning):
        tuned.remember(CPU, FIRST, other(FIRST))
    forget()
    with warnings.catch_warnings(action="error"):
        assert tuned.known(CPU, FIRST) == other(FIRST)


def test_where_nothing_can_be_written_this_process_knows(empty_table, monkeypatch):
    empty_table.write_text("not a folder")
    assert tuned.remember(CPU, FIRST, other(FIRST)) is None
    assert tuned.known(CPU, FIRST) == other(FIRST)


@pytest.mark.parametrize("stored", [False, True])
def test_trying_leaves_no_trace(empty_table, stored):
    if stored:
        tuned.remember(CPU, FIRST, other(FIRST))
    before = tuned.known(CPU, FIRST)

    def body():
        with tuned.trying(CPU, FIRST, candidates(FIRST)[2]):
            assert tuned.known(CPU, FIRST) == candidates(FIRST)[2]
            raise KeyError

    with pytest.raises(KeyError):
        body()
    assert tuned.known(CPU, FIRST) == before


# Resident planes and rows; split planes; and split rows, of which one that reads less at a time is resident.
SHAPES = [(6, 5, 7, 3), (40, 24), (3, 2, 15, 23), (70, 20)]


@pytest.fixture
def small_gpu(monkeypatch):
    """Two SMs with few registers, so that small tensors are split in few parts."""
    monkeypatch.setattr(launch, "multiprocessors", lambda device: 2)
    monkeypatch.setattr(rule, "RESIDENT", 1024)


@interpreted
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_launch_takes_what_the_table_has_and_answers_the_same(shape, small_gpu, empty_table, monkeypatch):
    inputs, upstream = draw(shape, shape[1], torch.float32)
    x, weight, bias, residual = (t.detach() for t in inputs.values())
    transform = Transform(weight, bias, None, EPS, parse("silu"))
    launched = []
    whole = launch.Work.whole
    monkeypatch.setattr(
        launch.Work,
        "whole",
        lambda self, kernel, choice, **t: launched.append(choice) or whole(self, kernel, choice, **t),
    )

    def forward():
        return triton.forward(x, residual, transform)

    want, stats = forward()

    def backward():
        return tuple(triton.backward(upstream, x, residual, transform, stats))

    gradients = backward()
    for call, grad_y, answer in ((lambda: forward()[:1], None, (want,)), (backward, upstream, gradients)):
        problem = launch.Work(x, residual, transform, grad_y).problem
        for choice in candidates(problem):
            launched.clear()
            with tuned.trying(CPU, problem, choice):
                found = call()
            assert set(launched) == {choice}
            torch.testing.assert_close(found, answer, rtol=1e-4, atol=1e-4)  # sums in another order


@interpreted
def test_the_four_parts_take_a_split_choice_of_the_table_and_no_other(small_gpu, empty_table):
    x = torch.randn(70, 20)
    work = launch.Work(x, None, DEFAULT)
    found = candidates(work.problem)
    assert {choice.algorithm for choice in found} == {"resident", "split"}
    for choice in found:
        with tuned.trying(CPU, work.problem, choice):
            assert work.choice() == choice
            assert work.split() == (choice if choice.algorithm == "split" else found[0])
