"""Activations through many layers: gradients that vanish or explode, units that die or saturate."""

from __future__ import annotations

from functools import partial

from benchmarks.doctor import data
from benchmarks.doctor.build import lenet, mlp, normal
from benchmarks.doctor.failing.make import DIGITS, PHOTOGRAPHS, failing

LENET, WIDE = ((6, 5), (16, 5)), ((16, 3), (32, 3))
"""(channels, kernel) of convolutions; the wide ones have half of the original's channels."""
VANISHING = {"vanishing-gradient", "saturated-units"}
DYING = {"dead-units", "vanishing-gradient", "bad-initialization"}
EXPLODING = {"exploding-gradient", "non-finite"}
ADAM = {"optimizer": "adam", "lr": 0.001, "batch_size": 32, "steps": 400}
CIFAR = {"side": 16, "channels": 3}

SIGMOID_MNIST = partial(lenet, LENET, (120, *[84] * 8))
SIGMOID_CIFAR = partial(lenet, WIDE, (120, *[84] * 7), **CIFAR)
RELU_MNIST = partial(lenet, WIDE, (*[64] * 16, 32))
RELU_CIFAR = partial(lenet, WIDE, (*[64] * 20,), **CIFAR)
SHALLOW_MNIST, SHALLOW_CIFAR = partial(lenet, WIDE, (64, 32)), partial(lenet, WIDE, (64, 64), **CIFAR)
EXP_CIFAR = partial(lenet, LENET, (120, *[84] * 4), **CIFAR)
EXP_MNIST = partial(lenet, LENET, (120, *[84] * 4))
DYING_MLP = partial(mlp, 784, *[128] * 34, 10)
TO_NORMALIZE = ("batch-normalization", "batch-normalization + relu-he")

CASES = (
    failing(
        "lenet-sigmoid-8x84-mnist",
        "DeepDiagnosis MNIST/2af630c4",
        partial(SIGMOID_MNIST, activation="sigmoid"),
        data.mnist,
        VANISHING,
        DIGITS,
        sound_model=partial(SIGMOID_MNIST, activation="relu", init="he"),
        cure=("relu-he", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "lenet-sigmoid-8x84-mnist-sgd",
        "DeepDiagnosis MNIST/2af630c4, with SGD",
        partial(SIGMOID_MNIST, activation="sigmoid"),
        data.mnist,
        VANISHING,
        DIGITS,
        sound_model=partial(SIGMOID_MNIST, activation="relu", init="he"),
        cure=("relu-he", *TO_NORMALIZE),
        optimizer="momentum",
        lr=0.01,
        batch_size=32,
        steps=400,
    ),
    failing(
        "lenet-sigmoid-7x84-cifar",
        "DeepDiagnosis CIFAR/1d575a45",
        partial(SIGMOID_CIFAR, activation="sigmoid"),
        data.cifar,
        VANISHING,
        PHOTOGRAPHS,
        sound_model=partial(SIGMOID_CIFAR, activation="relu", init="he"),
        cure=("relu-he", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "lenet-relu-16x64-uniform-mnist",
        "DeepDiagnosis MNIST/tmp_lenet5",
        partial(RELU_MNIST, init="uniform"),
        data.mnist,
        DYING,
        DIGITS,
        sound_model=partial(RELU_MNIST, init="he"),
        cure=("he", "relu-he", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "lenet-relu-20x64-uniform-cifar",
        "DeepDiagnosis CIFAR/tmp_lenet5_cifar",
        partial(RELU_CIFAR, init="uniform"),
        data.cifar,
        DYING,
        PHOTOGRAPHS,
        sound_model=SHALLOW_CIFAR,
        cure=("he", "relu-he", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "lenet-exp-4x84-cifar",
        "DeepDiagnosis CIFAR/4bc5fb07",
        partial(EXP_CIFAR, activation="exp"),
        data.cifar,
        EXPLODING,
        PHOTOGRAPHS,
        sound_model=partial(EXP_CIFAR, init="he"),
        cure=("relu-he", "selu-lecun", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "lenet-exp-4x84-mnist",
        "DeepDiagnosis CIFAR/4bc5fb07, on MNIST",
        partial(EXP_MNIST, activation="exp"),
        data.mnist,
        EXPLODING,
        DIGITS,
        sound_model=partial(EXP_MNIST, init="he"),
        cure=("relu-he", "selu-lecun", *TO_NORMALIZE),
        **ADAM,
    ),
    failing(
        "relu-34x128-glorot-mnist",
        "AUTOTRAINER, dying ReLU",
        DYING_MLP,
        data.mnist,
        DYING,
        DIGITS,
        sound_model=partial(mlp, 784, *[128] * 34, 10, activation="selu", init="lecun"),
        cure=("selu-lecun", *TO_NORMALIZE),
        optimizer="adam",
        lr=0.0005,
        batch_size=32,
        steps=300,
    ),
    failing(
        "relu-34x128-uniform-mnist",
        "AUTOTRAINER, dying ReLU, with U(±.05)",
        partial(DYING_MLP, init="uniform"),
        data.mnist,
        DYING,
        DIGITS,
        sound_model=partial(mlp, 784, *[128] * 34, 10, activation="selu", init="lecun"),
        cure=("selu-lecun", *TO_NORMALIZE),
        optimizer="adam",
        lr=0.0005,
        batch_size=32,
        steps=300,
    ),
    failing(
        "sigmoid-12x50-digits",
        "AUTOTRAINER, vanishing gradient",
        partial(mlp, 64, *[50] * 12, 10, activation="sigmoid"),
        data.digits,
        VANISHING,
        DIGITS,
        sound_model=partial(mlp, 64, *[50] * 12, 10, init="he"),
        cure=("relu-he", "selu-lecun", *TO_NORMALIZE),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=400,
    ),
    failing(
        "tanh-20x50-uniform-circles",
        "AUTOTRAINER, vanishing gradient: Circle, tanh, U(±.05)",
        partial(mlp, 2, *[50] * 20, 2, activation="tanh", init="uniform"),
        data.circles,
        VANISHING | {"bad-initialization"},
        0.9,
        sound_model=partial(mlp, 2, *[50] * 4, 2, activation="tanh"),
        cure=("xavier", "tanh-xavier", *TO_NORMALIZE),
        optimizer="adam",
        lr=0.001,
        batch_size=32,
        steps=400,
    ),
    failing(
        "relu-10x64-normal-digits",
        "AUTOTRAINER, exploding gradient: N(0, 1) in ten layers",
        partial(mlp, 64, *[64] * 10, 10, init="unit"),
        data.digits,
        EXPLODING | {"bad-initialization", "learning-rate-too-high"},
        DIGITS,
        sound_model=partial(mlp, 64, *[64] * 10, 10, init="he"),
        cure=("he", "relu-he", *TO_NORMALIZE),
        optimizer="sgd",
        lr=0.01,
        batch_size=32,
        steps=400,
        sound={"optimizer": "momentum"},
    ),
    failing(
        "selu-12x64-wide-digits",
        "AUTOTRAINER, exploding gradient: N(0, 0.5) in twelve layers",
        partial(mlp, 64, *[64] * 12, 10, activation="leaky_relu", init=normal(0.5)),
        data.digits,
        EXPLODING | {"bad-initialization", "learning-rate-too-high"},
        DIGITS,
        sound_model=partial(mlp, 64, *[64] * 12, 10, activation="leaky_relu", init="he"),
        cure=("he", "relu-he", *TO_NORMALIZE),
        optimizer="momentum",
        lr=0.01,
        batch_size=32,
        steps=400,
    ),
    failing(
        "sigmoid-3x8-normal",
        "StackOverflow 39217567",
        partial(mlp, 64, 8, 8, 8, 10, activation="sigmoid", init="unit"),
        data.digits,
        VANISHING | {"learning-rate-too-low"},
        0.7,
        sound_model=partial(mlp, 64, 8, 8, 8, 10, activation="tanh"),
        sound={"optimizer": "adam", "lr": 0.01, "loss": None},
        cure=("adam", "lr*10", *TO_NORMALIZE),
        loss="one_hot_mse",
        optimizer="sgd",
        lr=0.01,
        batch_size=32,
        steps=500,
    ),
)
