"""The cases of ``python -m benchmarks.doctor``, and one of each kind in a few steps."""

from collections import Counter

import pytest
import torch
from benchmarks.doctor import data, rows, score
from benchmarks.doctor.case import HALVES, KINDS, Setup
from benchmarks.doctor.registry import cases, chosen

from normwise.doctor.remedies import BY_NAME
from normwise.doctor.rules import RULES


def test_names_halves_and_labels():
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    assert sum(case.kind == "healthy" for case in cases()) >= 44
    counts = Counter((case.kind, case.half, case.positive) for case in cases())
    for kind in KINDS:
        for positive in (True, False):
            first, second = (counts[kind, half, positive] for half in HALVES)
            assert abs(first - second) <= 1
    known = {rule.name for rule in RULES}
    assert {name for case in cases() for name in case.label} <= known
    assert {part for case in cases() for name in case.cure for part in name.split(" + ")} <= set(BY_NAME)


def first(setup: Setup) -> torch.Tensor:
    """Four examples; of the image sets, which may not be there, noise of their shape."""
    function = getattr(setup.data, "func", setup.data)
    shapes = {data.mnist: (1, 28, 28), data.cifar: (3, 16, 16)}
    return torch.rand(4, *shapes[function]) if function in shapes else torch.from_numpy(setup.data()[0][0][:4])


def test_every_network_takes_its_data():
    for case in cases():
        for setup in (case.setup, case.repaired):
            if setup is not None:
                outputs = setup.model()(first(setup))
                assert len(outputs) == 4, case.name


@pytest.mark.parametrize("name", ["logistic", "plain-loop-batch", "gamma-lost"])
def test_a_case_in_a_few_steps(name):
    (case,) = chosen(name=name)
    found = score.score(score.shortened(case, 4), 1, treat=False)
    line = rows.row(found)
    assert line["case"] == name
    assert line["half"] == case.half
    assert found.seeds == 1
    if name == "gamma-lost":
        assert (found.cause, found.right) == ("zero-gamma", True)


def test_the_summary_counts_and_names():
    def line(case, kind, **said):
        given = {"case": case, "half": "judging", "kind": kind, "label": "", "failed": "no", "healthy": "yes"}
        return given | dict.fromkeys(("cause", "right", "cured", "curable", "ratio", "note"), "") | said

    trouble = {"label": "dead-units", "failed": "yes", "healthy": "no"}
    text = "\n".join(
        rows.summary(
            [
                line("a", "failing", **trouble, cause="dead-units", right="yes", cured="yes", curable="he", ratio="9"),
                line("b", "failing", **trouble, cause="non-finite", right="no", cured="no", curable="he", ratio="7"),
                line("c", "failing", label="dead-units"),
                line("d", "healthy"),
                line("e", "healthy", healthy="no", cause="overfitting"),
            ]
        )
    )
    assert "failing: detected 2 of 2 (100%)" in text
    assert "root cause right 1 of 2 (50%); b [non-finite]" in text
    assert "remedy found where one cures 1 of 2 (50%); b" in text
    assert "false alarms 1 of 2 (50%); e [overfitting]" in text
    assert "takes 8.0 trainings" in text
