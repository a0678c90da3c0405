"""Measuring one case: check everyone against the oracle, then time those who are right, in turn.

Ours and the compiled code are refused a speed where they are wrong. torch's own layer keeps its time: it is what people
run, so it stays the peer, with its error next to it (in channels_last its sums are serial float32, which large inputs
bring over the limit).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from normwise.bench import contenders, memory, oracle
from normwise.bench.cases import TRAIN, Case
from normwise.bench.contenders import COMPILED, FLOOR, INPLACE, OURS, TORCH, Contender
from normwise.bench.floor import floor
from normwise.bench.inputs import Inputs, draw
from normwise.bench.oracle import Error
from normwise.bench.timing import Spread, interleave, speed
from normwise.errors import first_line


class Settings(NamedTuple):
    """How cases are measured.

    Attributes:
        impl: the implementation that ours is made to use, or ``auto``.
        compile: whether ``torch.compile`` competes.
        seconds: how long rounds go on per case; there are five or more in any case.
    """

    impl: str = "auto"
    compile: bool = False
    seconds: float = 0.5


class Measurement(NamedTuple):
    """What came of a case.

    Attributes:
        case: what was measured.
        errors: each contender's, in units of the oracle.
        seconds: per call, of each contender and the floor; of nobody where ours is wrong.
        speed: how many times as fast as each peer, the floor included, ours was: ratios by round.
        saved: what autograd keeps for the backward, as a multiple of the input.
        notes: who is wrong, and who could not run and why.
    """

    case: Case
    errors: Mapping[str, Error]
    seconds: Mapping[str, Spread]
    speed: Mapping[str, Spread]
    saved: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether ours is wrong, so that there is no speed."""
        return self.errors[OURS].wrong

    @property
    def over_floor(self) -> float | None:
        """Our time over the floor's."""
        return 1 / self.speed[FLOOR].median if self.speed else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.case.name,
            **self.case._asdict(),
            "wrong": self.wrong,
            "torch_wrong": self.errors[TORCH].wrong,
            "errors": {name: error._asdict() for name, error in self.errors.items()},
            "seconds": {name: spread._asdict() for name, spread in self.seconds.items()},
            "speed": {name: spread._asdict() for name, spread in self.speed.items()},
            "over_floor": self.over_floor,
            "saved": dict(self.saved),
            "notes": list(self.notes),
        }


def measure(case: Case, settings: Settings) -> Measurement:
    """Check and time one case.

    Raises:
        InvalidArgumentError: the implementation that was asked for cannot run the case.
    """
    inputs = draw(case)
    oracle.clear_kinks(case, inputs)
    competing = enter(case, inputs, settings.impl)
    answers = {name: contender.answers() for name, contender in competing.items()}
    notes: list[str] = []
    if settings.compile:
        try:
            compiled = contenders.compiled(case, inputs)
            answers[COMPILED] = compiled.answers()
            competing[COMPILED] = compiled
        except Exception as error:  # whatever the compiler of this machine raises
            notes.append(f"{COMPILED} cannot run: {reason(error)}")
    errors = oracle.errors(case, inputs, answers)
    del answers
    notes += [f"{name} is wrong: {error}" for name, error in errors.items() if error.wrong]
    return _timed(Measurement(case, errors, {}, {}, {}, tuple(notes)), competing, inputs, settings.seconds)


def enter(case: Case, inputs: Inputs, impl: str) -> dict[str, Contender]:
    """Those who can compete in every case, ours first."""
    found = {OURS: contenders.ours(case, inputs, impl), TORCH: contenders.torchs(case, inputs)}
    if case.activation in contenders.IN_PLACE:
        found[INPLACE] = contenders.in_place(case, inputs)
    return found


def _timed(checked: Measurement, competing: Mapping[str, Contender], inputs: Inputs, seconds: float) -> Measurement:
    if checked.wrong:
        return checked
    case, errors = checked.case, checked.errors
    works: dict[str, Any] = {
        name: contender.run for name, contender in competing.items() if name != COMPILED or not errors[name].wrong
    }
    works[FLOOR] = floor(case, inputs)
    samples = interleave(works, seconds)
    kept = {name: competing[name] for name in (OURS, TORCH)} if case.mode == TRAIN else {}
    return checked._replace(
        seconds={name: Spread.of(taken) for name, taken in samples.items()},
        speed={name: speed(samples, OURS, name) for name in samples if name != OURS},
        saved={name: _saved(contender, inputs) for name, contender in kept.items()},
    )


def _saved(contender: Contender, inputs: Inputs) -> float:
    """In multiples of the input, γ and β and the layer's buffers left out."""
    left_out = [*contender.layer.parameters(), *contender.layer.buffers()]
    kept = memory.saved(lambda: contender.forward(inputs.x, inputs.residual), left_out)
    return kept / (inputs.x.numel() * inputs.x.element_size())


def reason(error: Exception) -> str:
    """The error's type and the first line of what it says."""
    return f"{type(error).__name__}: {first_line(error)}"
