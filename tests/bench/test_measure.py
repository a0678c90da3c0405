import json

import pytest
import torch

from normwise.bench import contenders, measure
from normwise.bench.cases import CHANNELS_LAST, MODES, TRAIN, Case
from normwise.bench.contenders import COMPILED, FLOOR, INPLACE, OURS, TORCH
from normwise.bench.measure import Settings
from normwise.errors import NormwiseError

CASE = Case((9, 4, 5, 5), CHANNELS_LAST, "bn+relu", TRAIN)
BRIEF = Settings(seconds=0.0)


def spoilt(make):
    """The contender that ``make`` makes, with a thousandth added to one value of its gradient."""

    def run(entry):
        found = entry.run()
        found["grad_x"][0, 0] += 1e-3
        return found

    def remake(*arguments):
        entry = make(*arguments)
        return entry._replace(run=lambda: run(entry))

    return remake


@pytest.mark.parametrize("mode", MODES)
def test_every_contender_is_timed_with_the_floor(mode):
    found = measure.measure(CASE._replace(mode=mode), BRIEF)
    assert list(found.seconds) == [OURS, TORCH, INPLACE, FLOOR]
    assert list(found.speed) == [TORCH, INPLACE, FLOOR]
    assert not found.wrong
    assert not found.notes
    assert set(found.saved) == ({OURS, TORCH} if mode == TRAIN else set())


def test_ours_has_no_speed_where_it_is_wrong(monkeypatch):
    monkeypatch.setattr(contenders, "ours", spoilt(contenders.ours))
    found = measure.measure(CASE, BRIEF)
    assert found.wrong
    assert not found.seconds
    assert not found.speed
    assert found.over_floor is None
    assert found.errors[OURS].where == "grad_x"
    assert found.notes == (f"ours is wrong: error {found.errors[OURS].size:.3g} in grad x (allowed 16)",)
    assert found.as_dict()["wrong"]


def test_torch_keeps_its_time_where_it_is_wrong(monkeypatch):
    monkeypatch.setattr(contenders, "torchs", spoilt(contenders.torchs))
    found = measure.measure(CASE, BRIEF)
    assert TORCH in found.speed
    assert found.as_dict()["torch_wrong"]
    assert found.notes[0].startswith("torch is wrong: error")


def test_compiled_code_has_no_speed_where_it_is_wrong(monkeypatch):
    monkeypatch.setattr(contenders, "compiled", spoilt(contenders.torchs))
    found = measure.measure(CASE, BRIEF._replace(compile=True))
    assert COMPILED not in found.speed
    assert found.errors[COMPILED].wrong
    monkeypatch.setattr(contenders, "compiled", contenders.torchs)
    assert COMPILED in measure.measure(CASE, BRIEF._replace(compile=True)).speed


def test_a_compiler_that_cannot_run_is_a_note(monkeypatch):
    def compile_(*arguments, **options):
        raise RuntimeError("\n  no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", compile_)
    found = measure.measure(CASE, BRIEF._replace(compile=True))
    assert found.notes == ("torch.compile cannot run: RuntimeError: no C++ compiler",)
    assert TORCH in found.speed


def test_an_implementation_that_does_not_exist_raises():
    with pytest.raises(NormwiseError, match="impl"):
        measure.measure(CASE, BRIEF._replace(impl="fast"))


def test_torch_saves_two_tensors_for_batch_norm_and_an_activation():
    found = measure.measure(CASE._replace(shape=(32, 8, 16, 16), epilogue="bn+silu"), BRIEF)
    assert round(found.saved[TORCH], 1) == 2.0
    assert found.saved[OURS] < 2.1


def test_it_goes_into_json():
    found = measure.measure(CASE, BRIEF).as_dict()
    assert list(found) == [
        "name", "shape", "layout", "epilogue", "mode", "dtype", "wrong", "torch_wrong", "errors", "seconds", "speed",
        "over_floor", "saved", "notes",
    ]  # fmt: skip
    assert list(found["speed"][TORCH]) == ["median", "low", "high", "quartiles", "n"]
    assert found["over_floor"] == pytest.approx(1 / found["speed"][FLOOR]["median"])
    json.dumps(found)
