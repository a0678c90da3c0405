"""Which memory large pages are asked for."""

import pytest
import torch

from normwise.ops import batch_norm
from normwise.ops.cpu import pages

PAGE = 4096


@pytest.fixture
def asked(monkeypatch):
    calls = []
    monkeypatch.setattr(pages, "_madvise", lambda: lambda *call: calls.append(call))
    return calls


@pytest.mark.parametrize("offset", [0, 1, 1023])
def test_whole_pages_inside_a_large_tensor(asked, offset):
    tensor = torch.empty(pages.LARGE // 4 + offset)[offset:]
    assert pages.advise(tensor) is tensor
    ((start, length, advice),) = asked
    first, end = tensor.data_ptr(), tensor.data_ptr() + pages.LARGE
    assert advice == 14
    assert start % PAGE == length % PAGE == 0
    assert first <= start < first + PAGE
    assert end - PAGE < start + length <= end


def test_not_for_a_small_tensor(asked):
    pages.advise(torch.empty(pages.LARGE // 4 - 1))
    assert not asked


def test_outputs_and_gradients_ask(asked):
    x = torch.randn(8, 64, 64, 64, requires_grad=True)
    y = batch_norm(x, None, None, eps=1e-5, impl="cpu").y
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    starts = [start for start, _, _ in asked]
    assert [t.data_ptr() <= start < t.data_ptr() + PAGE for t, start in zip((y, grad), starts, strict=True)] == [
        True
    ] * 2


@pytest.mark.parametrize(("value", "is_asked"), [("0", False), ("1", True), (None, True)])
def test_the_environment_can_turn_it_off(monkeypatch, value, is_asked):
    monkeypatch.setattr(pages.sys, "platform", "linux")
    monkeypatch.delenv("NORMWISE_LARGE_PAGES", raising=False)
    if value is not None:
        monkeypatch.setenv("NORMWISE_LARGE_PAGES", value)
    assert (pages._madvise.__wrapped__() is not None) is is_asked


def test_other_systems_are_not_asked(monkeypatch):
    monkeypatch.setattr(pages.sys, "platform", "darwin")
    assert pages._madvise.__wrapped__() is None
