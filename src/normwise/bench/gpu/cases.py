"""The layers of published networks, at batch sizes that are usual on a GPU, and which of them are measured first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from normwise.bench.cases import CHANNELS_LAST, CONTIGUOUS, FORWARD, INFERENCE, TRAIN, Case, Shape, layouts

BATCH, LARGE_IMAGES = 128, 8
HALF, FULL = "bfloat16", "float32"


class Layer(NamedTuple):
    """One batch normalization of a network: the shape of its input and what follows it."""

    shape: Shape
    epilogue: str


def resnet50(batch: int = BATCH) -> Iterator[Layer]:
    """For images of 224×224: He et al. 2016, arXiv:1512.03385, table 1, the stride in the 3×3 convolutions."""
    yield Layer((batch, 64, 112, 112), "bn+relu")
    size = 56
    for stage, depth in enumerate((3, 4, 6, 3)):
        features = 64 * 2**stage
        for place in range(depth):
            before, size = size, size // 2 if stage and not place else size
            yield Layer((batch, features, before, before), "bn+relu")
            yield Layer((batch, features, size, size), "bn+relu")
            yield Layer((batch, 4 * features, size, size), "bn+add+relu")
            if not place:
                yield Layer((batch, 4 * features, size, size), "bn")


def mobilenet_v2(batch: int = BATCH) -> Iterator[Layer]:
    """For images of 224×224, of width 1: Sandler et al. 2018, arXiv:1801.04381, table 2."""
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    inputs, size = 32, 112
    yield Layer((batch, inputs, size, size), "bn+relu6")
    for expansion, outputs, depth, stride in table:
        for place in range(depth):
            hidden, before = expansion * inputs, size
            size = size // stride if not place else size
            if expansion > 1:
                yield Layer((batch, hidden, before, before), "bn+relu6")
            yield Layer((batch, hidden, size, size), "bn+relu6")
            yield Layer((batch, outputs, size, size), "bn")
            inputs = outputs
    yield Layer((batch, 1280, size, size), "bn+relu6")


def unet(batch: int = LARGE_IMAGES) -> Iterator[Layer]:
    """For images of 512×512, padded and normalized: Ronneberger et al. 2015, arXiv:1505.04597, figure 1."""
    sizes = [(64 * 2**level, 512 // 2**level) for level in range(5)]
    for features, size in (*sizes, *reversed(sizes[:-1])):
        yield from [Layer((batch, features, size, size), "bn+relu")] * 2


def mlp() -> Iterator[Layer]:
    """Ioffe & Szegedy 2015, section 4.1; a projector as in Grill et al. 2020, arXiv:2006.07733; and sizes between."""
    for shape in ((60, 100), (1024, 512), (8192, 1024), (4096, 4096), (65536, 256)):
        yield Layer(shape, "bn+relu")


NETWORKS = {"ResNet-50": resnet50, "MobileNetV2": mobilenet_v2, "U-Net": unet, "MLP": mlp}

TYPICAL = (
    Layer((BATCH, 64, 112, 112), "bn+relu"),
    Layer((BATCH, 256, 56, 56), "bn+add+relu"),
    Layer((BATCH, 256, 14, 14), "bn+relu"),
    Layer((BATCH, 2048, 7, 7), "bn+add+relu"),
    Layer((BATCH, 96, 112, 112), "bn+relu6"),
    Layer((LARGE_IMAGES, 128, 256, 256), "bn+relu"),
    Layer((4096, 4096), "bn+relu"),
)
"""Those that are also measured without a backward."""

COMPILED = (
    *((layer, CHANNELS_LAST if len(layer.shape) > 2 else CONTIGUOUS, HALF) for layer in TYPICAL),
    *((layer, CONTIGUOUS, HALF) for layer in TYPICAL[1:3]),
    *((layer, CONTIGUOUS, FULL) for layer in TYPICAL[1:3]),
    (TYPICAL[1], CHANNELS_LAST, FULL),
)
"""Those that ``torch.compile`` competes in unasked, forward and backward: each takes it many seconds."""


def layers() -> tuple[Layer, ...]:
    """Each once, network by network."""
    return tuple(dict.fromkeys(layer for network in NETWORKS.values() for layer in network()))


def compiled() -> tuple[Case, ...]:
    """The cases of ``COMPILED``."""
    return tuple(Case(layer.shape, layout, layer.epilogue, TRAIN, dtype) for layer, layout, dtype in COMPILED)


def table() -> tuple[Case, ...]:
    """All cases, the most important first: those with ``torch.compile``, then by type and layout, then by mode."""
    ways = ((HALF, CHANNELS_LAST), (HALF, CONTIGUOUS), (FULL, CONTIGUOUS), (FULL, CHANNELS_LAST))
    found = [
        Case(layer.shape, layout, layer.epilogue, mode, dtype)
        for mode, (dtype, layout) in product((TRAIN, FORWARD, INFERENCE), ways)
        for layer in (layers() if mode == TRAIN else TYPICAL)
        if layout in layouts(layer.shape)
    ]
    return tuple(dict.fromkeys((*compiled(), *found)))


def tiny() -> tuple[Case, ...]:
    """A few small cases, for trying the benchmark out."""
    return (
        Case((4, 6, 5, 5), CHANNELS_LAST, "bn+add+relu", TRAIN, HALF),
        Case((4, 6, 5, 5), CONTIGUOUS, "bn+relu6", TRAIN),
        Case((6, 5), CONTIGUOUS, "bn+relu", FORWARD),
        Case((6, 5), CONTIGUOUS, "bn+relu", INFERENCE),
    )
