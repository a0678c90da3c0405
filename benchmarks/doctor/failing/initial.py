"""Weights that are drawn badly, after TheDeepChecker and others."""

from __future__ import annotations

from functools import partial

from benchmarks.doctor import data
from benchmarks.doctor.build import constant, lenet, mlp, normal
from benchmarks.doctor.failing.make import DIGITS, PHOTOGRAPHS, failing
from benchmarks.doctor.failing.networks import SIX_OPTIONS, cnn, regressor, six

BAD = {"bad-initialization", "vanishing-gradient"}

CASES = (
    failing(
        "cnn-constant-weights",
        "TheDeepChecker, wrong_init: 0.01 everywhere",
        partial(cnn, init=constant(0.01)),
        data.mnist,
        BAD,
        DIGITS,
        sound_model=partial(cnn, init="he"),
        cure=("he", "xavier"),
        optimizer="sgd",
        lr=0.05,
        batch_size=32,
        steps=200,
    ),
    failing(
        "regressor-constant-weights",
        "TheDeepChecker, wrong_init: 0.01 everywhere",
        partial(regressor, init=constant(0.01)),
        data.regression,
        BAD,
        0.7,
        sound_model=partial(regressor, init="he"),
        cure=("he", "xavier"),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=400,
    ),
    failing(
        "mlp-zero-weights",
        "TheDeepChecker, wrong_init: 0 everywhere",
        partial(mlp, 64, 64, 64, 10, init=constant(0.0)),
        data.digits,
        BAD | {"dead-units", "parameters-not-updated"},
        DIGITS,
        sound_model=partial(mlp, 64, 64, 64, 10, init="he"),
        cure=("he", "xavier"),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=300,
    ),
    failing(
        "six-small-normal",
        "TheDeepChecker, wrong_init: N(0, .01²) in the six convolutions without normalization",
        partial(six, norm=False, init=normal(0.01)),
        data.cifar,
        BAD,
        PHOTOGRAPHS,
        sound_model=partial(six, init="he"),
        cure=("he", "batch-normalization", "batch-normalization + relu-he"),
        **SIX_OPTIONS,
    ),
    failing(
        "six-without-normalization",
        "TheDeepChecker, missing_batchnorm",
        partial(six, norm=False, init=normal(0.1)),
        data.cifar,
        {"exploding-gradient", "bad-initialization", "learning-rate-too-high", "non-finite", "dead-units"},
        PHOTOGRAPHS,
        sound_model=partial(six, init="he"),
        cure=("batch-normalization", "he"),
        **SIX_OPTIONS,
    ),
    failing(
        "six-statistics-never-updated",
        "TheDeepChecker, missing_batchnorm: statistics that are never updated",
        partial(six, momentum=0.0, init="he"),
        data.cifar,
        {"stale-statistics", "train-eval-gap"},
        PHOTOGRAPHS,
        sound_model=partial(six, init="he"),
        **SIX_OPTIONS,
    ),
    failing(
        "lenet-normal-tanh",
        "DeepLocalize: N(0, 1) with tanh saturates",
        partial(lenet, ((6, 5), (16, 5)), (120, 84), activation="tanh", init="unit"),
        data.mnist,
        {"saturated-units", "bad-initialization", "vanishing-gradient"},
        DIGITS,
        sound_model=partial(lenet, ((6, 5), (16, 5)), (120, 84), activation="tanh"),
        cure=("xavier", "tanh-xavier", "batch-normalization"),
        optimizer="momentum",
        lr=0.01,
        batch_size=32,
        steps=300,
    ),
)
