import gc
import time

import pytest

from normwise.bench import timing
from normwise.bench.timing import Spread, interleave, speed


def test_everyone_takes_a_turn_in_every_round():
    calls = []

    def work(name):
        def run():
            calls.append(name)
            time.sleep(2e-3)

        return run

    samples = interleave({name: work(name) for name in "abc"}, seconds=0.0)
    assert "".join(calls) == "abc" * (2 + timing.LEAST)
    assert {name: len(taken) for name, taken in samples.items()} == dict.fromkeys("abc", timing.LEAST)
    assert all(sample >= 2e-3 for taken in samples.values() for sample in taken)


def test_a_short_call_is_repeated_until_a_sample_takes_a_millisecond(monkeypatch):
    clock = [0.0]
    calls = {"quick": 0, "slow": 0}

    def work(name, seconds):
        def run():
            calls[name] += 1
            clock[0] += seconds

        return run

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    samples = interleave({"quick": work("quick", 1e-4), "slow": work("slow", 3e-4)}, seconds=0.0)
    assert samples["quick"] == pytest.approx([1e-4] * 5)  # differences of a clock's readings
    assert samples["slow"] == pytest.approx([3e-4] * 5)
    assert calls["quick"] == calls["slow"]
    assert calls["quick"] - 2 in (50, 55)  # 10 a sample, 11 if the division rounds up


def test_rounds_go_on_until_the_time_is_over_or_there_are_enough(monkeypatch):
    clock = [0.0]

    def work():
        clock[0] += 0.01

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    assert len(interleave({"a": work}, seconds=0.1)["a"]) in (11, 12)
    assert len(interleave({"a": work}, seconds=1e9)["a"]) == timing.MOST


def test_the_collector_is_put_back():
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        interleave({"a": lambda: 1 / 0}, seconds=0.0)
    assert gc.isenabled()


def test_a_spread_has_median_extremes_and_quartiles():
    assert Spread.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 1.0, 5.0, (2.0, 4.0), 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, (7.0, 7.0), 1)


def test_speed_is_the_ratio_round_by_round():
    samples = {"ours": [1.0, 2.0, 4.0], "torch": [3.0, 4.0, 4.0]}
    found = speed(samples, "ours", "torch")
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_a_busy_machine_is_named(monkeypatch):
    monkeypatch.setattr(timing.os, "getloadavg", lambda: (0.2, 0, 0))
    assert timing.busy() is None
    monkeypatch.setattr(timing.os, "getloadavg", lambda: (1.7, 0, 0))
    assert "load 1.7" in timing.busy()
