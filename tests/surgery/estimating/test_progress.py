from __future__ import annotations

import io
import sys

import pytest

from normwise.surgery.estimating import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, *, show=True, delay=0.0):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "DELAY", delay)
    with progress.bar("population statistics", 3, show=show) as advance:
        for _ in range(3):
            advance()
    return stream.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    text = shown(monkeypatch, Terminal())
    assert "population statistics" in text
    assert "3/3" in text


@pytest.mark.parametrize(
    "case", [{"show": False}, {"delay": 60.0}, {"stream": io.StringIO()}], ids=["not wanted", "quick", "no terminal"]
)
def test_no_bar(monkeypatch, case):
    assert "population" not in shown(monkeypatch, **({"stream": Terminal()} | case))


def test_no_bar_without_rich(monkeypatch):
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    assert shown(monkeypatch, Terminal()) == ""
