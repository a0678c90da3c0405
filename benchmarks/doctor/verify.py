"""Whether the cases are what they say: failing ones fail, and learn when repaired; healthy ones learn.

``python -m benchmarks.doctor.verify [--half HALF] [--kind KIND] [--case NAME] [--seeds N]``
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmarks.doctor import lab
from benchmarks.doctor.case import Case, Setup
from benchmarks.doctor.registry import chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", default="all")
    parser.add_argument("--kind", default="")
    parser.add_argument("--case", default="")
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for case in chosen(asked.half, asked.kind, asked.case):
        start = time.perf_counter()
        try:
            print(f"{case.name:34} {_verified(case, asked.seeds)} {time.perf_counter() - start:6.1f} s", flush=True)
        except Exception as error:
            print(f"{case.name:34} RAISED {type(error).__name__}: {str(error)[:300]}", flush=True)


def _verified(case: Case, seeds: int) -> str:
    if case.loop is not None:
        text = _said(case, [case.loop(seed, None).value for seed in range(seeds)], "loop")
        return text + (_said(case, [case.sound(0, None).value], "sound", sound=True) if case.sound else "")
    text = _said(case, _values(case, case.setup, seeds), "given")
    if case.repaired is None:
        return text
    return text + _said(case, _values(case, case.repaired, 1), "repaired", sound=True)


def _values(case: Case, setup: Setup | None, seeds: int) -> list[float | None]:
    assert setup is not None
    return [run.value for run in lab.trained(setup, seeds, case.judged_at)]


def _said(case: Case, values: list[float | None], what: str, sound: bool = False) -> str:
    learned = [each is not None and each >= case.learns_at for each in values]
    expected = sound or not case.label
    right = all(learned) if expected else not any(learned)
    texts = ", ".join("diverged" if each is None else f"{each:.3f}" for each in values)
    return f" {'ok ' if right else '!! '}{what} {texts} ({case.learns_at})"


if __name__ == "__main__":
    main()
