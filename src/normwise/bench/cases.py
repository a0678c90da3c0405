"""What is measured: shapes × layouts × epilogues × modes × types, as plain data.

A case is named by its parts, for example ``32x64x56x56 channels_last bn+relu forward+backward``, and by its type where
that is not float32. ``forward`` is a training forward without a graph, ``inference`` normalizes with given statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from normwise.errors import RequestError

Shape = tuple[int, ...]

FORWARD, TRAIN, INFERENCE = "forward", "forward+backward", "inference"
MODES = (TRAIN, FORWARD, INFERENCE)
CONTIGUOUS, CHANNELS_LAST = "contiguous", "channels_last"


class Epilogue(NamedTuple):
    """What follows the normalization: activation(BN(x) + residual), where either may be missing."""

    activation: str | None
    residual: bool


EPILOGUES = {
    "bn": Epilogue(None, False),
    "bn+relu": Epilogue("relu", False),
    "bn+silu": Epilogue("silu", False),
    "bn+gelu": Epilogue("gelu", False),
    "bn+add+relu": Epilogue("relu", True),
    "bn+relu6": Epilogue("relu6", False),
}
TABLE_EPILOGUES = ("bn", "bn+relu", "bn+silu", "bn+gelu", "bn+add+relu")
"""Those of the table for the CPU and of shapes that are asked for."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of a value of each type."""

SHAPES: dict[str, tuple[Shape, ...]] = {
    "ResNet-50": (
        (32, 64, 112, 112),
        (32, 64, 56, 56),
        (32, 256, 56, 56),
        (32, 128, 28, 28),
        (32, 512, 28, 28),
        (32, 256, 14, 14),
        (32, 1024, 14, 14),
        (32, 512, 7, 7),
        (32, 2048, 7, 7),
    ),
    "MobileNet": ((32, 32, 112, 112), (32, 96, 56, 56), (32, 144, 28, 28), (32, 384, 14, 14), (32, 960, 7, 7)),
    "CIFAR": ((128, 64, 32, 32), (128, 128, 16, 16), (128, 256, 8, 8)),
    "U-Net": ((2, 64, 256, 256), (2, 32, 512, 512)),
    "MLP": ((60, 100), (128, 512), (1024, 1024), (4096, 4096)),
    "odd": ((33, 17, 31, 29), (7, 3, 65, 5), (1000, 37)),
    "1-d": ((16, 64, 4000), (32, 256, 100)),
    "3-d": ((2, 32, 32, 64, 64),),
}

TYPICAL = ((32, 64, 56, 56), (32, 1024, 14, 14), (32, 96, 56, 56), (128, 128, 16, 16), (60, 100), (33, 17, 31, 29))
"""The shapes that are also measured without a backward."""

LARGE = 10_000_000
LARGE_EPILOGUES = ("bn+relu", "bn+add+relu")
"""Above so many values only these are measured: five rounds of one such case take seconds."""

QUICK_SHAPES = ((32, 64, 56, 56), (32, 1024, 14, 14), (128, 128, 16, 16), (60, 100), (33, 17, 31, 29))
QUICK_EPILOGUES = ("bn+relu", "bn+silu", "bn+gelu", "bn+add+relu")

COMPILED = tuple(
    f"32x64x56x56 {layout} {epilogue} {TRAIN}"
    for layout, epilogue in ((CONTIGUOUS, "bn+relu"), (CHANNELS_LAST, "bn+relu"), (CONTIGUOUS, "bn+add+relu"))
)
"""The cases of the whole table that ``torch.compile`` is measured on unasked: each takes it many seconds."""


class Case(NamedTuple):
    """One row of the table."""

    shape: Shape
    layout: str
    epilogue: str
    mode: str
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """The parts, for example ``60x100 contiguous bn+relu forward+backward``; at the end a type but float32."""
        parts = (write_shape(self.shape), self.layout, self.epilogue, self.mode)
        return " ".join(parts if self.dtype == "float32" else (*parts, self.dtype))

    @property
    def bytes(self) -> int:
        """The size of the input."""
        return self.values * BYTES[self.dtype]

    @property
    def values(self) -> int:
        """The number of values of the input."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """C, the size of axis 1."""
        return self.shape[1]

    @property
    def activation(self) -> str | None:
        """The activation at the end, or None."""
        return EPILOGUES[self.epilogue].activation

    @property
    def residual(self) -> bool:
        """Whether a residual is added."""
        return EPILOGUES[self.epilogue].residual


def layouts(shape: Shape) -> tuple[str, ...]:
    """The memory formats of a shape; torch has ``channels_last`` for four and five axes."""
    return (CONTIGUOUS, CHANNELS_LAST) if len(shape) in (4, 5) else (CONTIGUOUS,)


def table() -> tuple[Case, ...]:
    """The whole table: every shape forward and backward, ``TYPICAL`` ones also forward only and in inference."""
    cases: list[Case] = []
    for shape in (shape for family in SHAPES.values() for shape in family):
        epilogues = LARGE_EPILOGUES if math.prod(shape) > LARGE else TABLE_EPILOGUES
        cases += _product(shape, epilogues, MODES if shape in TYPICAL else (TRAIN,))
    return tuple(cases)


def quick() -> tuple[Case, ...]:
    """A subset that takes about a minute."""
    cases: list[Case] = []
    for shape in QUICK_SHAPES:
        cases += _product(shape, QUICK_EPILOGUES, (TRAIN,))
    return (*cases, *_product((128, 128, 16, 16), ("bn+relu",), (FORWARD, INFERENCE)))


def of_shapes(shapes: Iterable[Shape]) -> tuple[Case, ...]:
    """Every layout, epilogue and mode of the given shapes."""
    return tuple(case for shape in dict.fromkeys(shapes) for case in _product(shape, TABLE_EPILOGUES, MODES))


def _product(shape: Shape, epilogues: Sequence[str], modes: Sequence[str]) -> Iterator[Case]:
    for mode in modes:
        for epilogue in epilogues:
            for layout in layouts(shape):
                yield Case(shape, layout, epilogue, mode)


def matching(cases: Sequence[Case], text: str | None) -> tuple[Case, ...]:
    """The cases whose name contains ``text``.

    Raises:
        RequestError: none does.
    """
    found = tuple(case for case in cases if text is None or text in case.name)
    if not found:
        raise RequestError(
            f"no case has {text!r} in its name; names are like {cases[0].name!r}; give a part of one, as it is written"
        )
    return found


def write_shape(shape: Shape) -> str:
    """``32x64x56x56``."""
    return "x".join(map(str, shape))


def read_shape(text: str) -> Shape:
    """The shape that ``32x64x56x56`` names.

    Raises:
        RequestError: it is not two to five whole numbers, or has fewer than three values per channel.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not (2 <= len(parts) <= 5 and all(part.isdecimal() and int(part) > 0 for part in parts)):
        raise RequestError(
            f"shape is {text!r}; allowed: two to five whole numbers above 0 with x between them, channels second, "
            "for example 32x64x56x56"
        )
    shape = tuple(map(int, parts))
    if (values := math.prod(shape) // shape[1]) < 3:
        raise RequestError(
            f"shape is {text!r}, with {values} per channel; allowed: 3 values or more per channel, because one has no "
            "variance and two have no gradient; give more examples"
        )
    return shape
