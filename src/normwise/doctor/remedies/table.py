"""The table of remedies: what each changes, when it applies, and what somebody types to do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normwise.doctor.remedies.remedy import Given, Remedy
from normwise.lab.settings import DEFAULT_RATES

NUMBER, DATA, WEIGHTS, ACTIVATION, LAYERS = 1, 2, 3, 4, 5
"""How large a change is; see ``Remedy.size``."""

NO_ACTIVATIONS = ("identity", "softmax", "log_softmax", "softmin")
"""What is no nonlinearity of a hidden layer."""

LEAKY = "leaky_relu:0.1"
MOMENTUM, CLIP, DECAY, DROPPED = 0.9, 1.0, 1e-3, 0.3
WARMUP = 0.1
"""The share of the steps in which the learning rate rises."""

Settings = Mapping[str, Any]


def hidden(given: Given) -> tuple[str, ...]:
    """The activations of the network without those that a classifier ends in."""
    return tuple(name for name in map(str.lower, given.activations) if name not in NO_ACTIVATIONS)


def _batch_normalization(given: Given) -> Settings | None:
    there = given.normalized or given.keys.norm == "batch"
    return None if there or given.keys.batch_size == 1 else {"norm": "batch"}


def _activation(activation: str, init: str) -> Callable[[Given], Settings | None]:
    """Another activation with the weights that it is meant to have."""

    def settings(given: Given) -> Settings | None:
        present = {name.partition(":")[0] for name in hidden(given)}
        there = given.keys.activation == activation or present == {activation.partition(":")[0]}
        nowhere = given.own_model and not present
        return None if there or nowhere else {"activation": activation, "init": init}

    return settings


def _init(init: str) -> Callable[[Given], Settings | None]:
    return lambda given: None if given.keys.init == init else {"init": init}


def _rate(factor: float) -> Callable[[Given], Settings | None]:
    """Another learning rate, with as many digits as the given one."""
    return lambda given: None if given.keys.lr is None else {"lr": float(f"{given.keys.lr * factor:.12g}")}


def _clip(given: Given) -> Settings | None:
    return None if given.keys.clip is not None and given.keys.clip <= CLIP else {"clip": CLIP}


def _warmup(given: Given) -> Settings | None:
    steps = round(WARMUP * given.steps)
    return None if given.keys.warmup or steps < 2 else {"warmup": steps}


def _inputs(given: Given) -> Settings | None:
    return None if given.streams or given.own_batches or given.keys.inputs == "standard" else {"inputs": "standard"}


def _targets(given: Given) -> Settings | None:
    return {"targets": "standard"} if given.kind == "regression" and given.keys.targets != "standard" else None


def _adam(given: Given) -> Settings | None:
    there = given.keys.optimizer in ("adam", "adamw")
    return None if there else {"optimizer": "adam", "lr": DEFAULT_RATES["adam"], "momentum": None}


def _momentum(given: Given) -> Settings | None:
    """Momentum at the same rate in the long run: the sum of the steps of one gradient is lr/(1 − μ)."""
    if given.keys.optimizer != "sgd" or given.keys.lr is None:
        return None
    lr = float(f"{given.keys.lr * (1 - MOMENTUM):.12g}")
    return {"optimizer": "momentum", "momentum": MOMENTUM, "lr": lr}


def _batch_size(given: Given) -> Settings | None:
    size = given.keys.batch_size
    if given.own_batches or size is None:
        return None
    larger = 4 * size if given.examples is None else min(4 * size, given.examples)
    return {"batch_size": larger} if larger >= 2 * size else None


def _output(given: Given) -> Settings | None:
    return {"output": "linear"} if given.own_model and given.ends_in else None


def _decay(given: Given) -> Settings | None:
    return None if given.keys.weight_decay else {"weight_decay": DECAY}


def _dropout(given: Given) -> Settings | None:
    return None if given.own_model or given.keys.dropout else {"dropout": DROPPED}


BEFORE = "  # before the optimizer is made"


def _draw(call: str) -> str:
    """Lines that draw the weights of each linear map by a function of ``nn.init``."""
    return f"""for layer in net.modules():
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        nn.init.{call}
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)"""


def _activate(activation: str, init: str) -> str:
    return f'net = nw.activate(net, "{activation}", example=x).model{BEFORE}\n{init}'


HE = _draw('kaiming_normal_(layer.weight, nonlinearity="relu")')
XAVIER = _draw("xavier_normal_(layer.weight)")
LECUN = _draw('kaiming_normal_(layer.weight, nonlinearity="linear")')

STANDARD_INPUTS = """mean, std = X.mean(0), X.std(0)  # of the training inputs; of images over (0, 2, 3), keepdim=True
std[std < 1e-6] = 1  # what is constant is not stretched
x = (x - mean) / std"""
STANDARD_TARGETS = """mean, std = Y.mean(0), Y.std(0)  # of the training targets
y = (y - mean) / std  # and predictions: outputs * std + mean"""

REMEDIES: tuple[Remedy, ...] = (
    Remedy(
        "batch-normalization",
        "batch normalization",
        f"net = nw.batch_normalize(net, example=x).model{BEFORE}",
        LAYERS,
        _batch_normalization,
    ),
    Remedy("relu-he", "ReLU and He initialization", _activate("relu", HE), ACTIVATION,
           _activation("relu", "he")),
    Remedy("leaky-relu-he", "leaky ReLU and He initialization", _activate(LEAKY, HE), ACTIVATION,
           _activation(LEAKY, "he")),
    Remedy("tanh-xavier", "tanh and Xavier initialization", _activate("tanh", XAVIER), ACTIVATION,
           _activation("tanh", "xavier")),
    Remedy("selu-lecun", "SELU and LeCun initialization", _activate("selu", LECUN), ACTIVATION,
           _activation("selu", "lecun")),
    Remedy("he", "He initialization", HE, WEIGHTS, _init("he")),
    Remedy("xavier", "Xavier initialization", XAVIER, WEIGHTS, _init("xavier")),
    Remedy("orthogonal", "orthogonal initialization", _draw("orthogonal_(layer.weight)"), WEIGHTS,
           _init("orthogonal")),
    *(
        Remedy(f"lr*{factor}", f"a learning rate {factor:,} times larger", "lr={lr:g}  # of the optimizer", NUMBER,
               _rate(factor))
        for factor in (10, 100, 1000)
    ),
    *(
        Remedy(f"lr/{factor}", f"a learning rate {factor} times smaller", "lr={lr:g}  # of the optimizer", NUMBER,
               _rate(1 / factor))
        for factor in (10, 100)
    ),
    Remedy("clip", f"gradients clipped to a norm of {CLIP:g}",
           "nn.utils.clip_grad_norm_(net.parameters(), {clip:g})  # before optimizer.step()", NUMBER, _clip),
    Remedy("warmup", "a learning rate that rises at first",
           "warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / {warmup}))"
           "  # warmup.step() after each optimizer.step()", NUMBER, _warmup),
    Remedy("standard-inputs", "standardized inputs",
           STANDARD_INPUTS, DATA, _inputs),
    Remedy("standard-targets", "standardized targets",
           STANDARD_TARGETS, DATA, _targets),
    Remedy("adam", "Adam", "optimizer = torch.optim.Adam(net.parameters(), lr={lr:g})", DATA, _adam),
    Remedy("momentum", "momentum at the same rate in the long run",
           "optimizer = torch.optim.SGD(net.parameters(), lr={lr:g}, momentum={momentum:g})", DATA, _momentum),
    Remedy("batch-size*4", "larger batches", "batch_size={batch_size}", NUMBER, _batch_size),
    Remedy("linear-output", "no activation after the last linear map",
           f"net = nw.linear_output(net, example=x).model{BEFORE}", ACTIVATION, _output),
    Remedy("weight-decay", "weight decay", "weight_decay={weight_decay:g}  # of the optimizer", NUMBER, _decay),
    Remedy("no-weight-decay", "no weight decay", "weight_decay = 0  # of the optimizer", NUMBER,
           lambda given: {"weight_decay": 0.0} if given.keys.weight_decay else None),
    Remedy("dropout", "dropout", "nn.Dropout({dropout:g})  # after each activation", LAYERS, _dropout),
    Remedy("estimate-population", "statistics estimated anew", "nw.estimate_population(net, loader)", NUMBER,
           lambda given: None),
)  # fmt: skip
"""In the order in which the names of two that are combined stand. ``estimate-population`` treats a trained network."""

BY_NAME: dict[str, Remedy] = {remedy.name: remedy for remedy in REMEDIES}
