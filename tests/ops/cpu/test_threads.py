"""The pool of our own."""

from __future__ import annotations

import threading
import time

import pytest

from normwise.ops.cpu import threads


def test_an_interrupt_waits_for_the_threads_that_still_read_the_job(monkeypatch):
    both, ended = threading.Barrier(2), []

    def slow(job):
        both.wait(timeout=10)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.3)
        ended.append(job)

    monkeypatch.setattr(threads, "_function", lambda kernel: slow)
    with pytest.raises(KeyboardInterrupt):
        threads._own_pool(0, 7, 2)
    assert ended == [7]


def test_what_a_helper_raises_is_raised(monkeypatch):
    def fail(job):
        if threading.current_thread() is not threading.main_thread():
            raise ValueError(job)

    monkeypatch.setattr(threads, "_function", lambda kernel: fail)
    with pytest.raises(ValueError, match="7"):
        threads._own_pool(0, 7, 2)
