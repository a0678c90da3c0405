"""The settings of a run, and the one table of the keys that an arm can set.

A key is a field of ``Keys``: its name, how its value is read, its default and its help. The options of ``normwise
compare``, those of ``compare()``, their help and the arms are made from these fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, Self

from normwise.lab import values
from normwise.records.metric import ACCURACY, Metric

# torch's own defaults for Adagrad, Adam and AdamW, and Keras' for RMSprop; with a momentum of 0.9, 0.02 moves the
# weights as far as 0.2 does without.
DEFAULT_RATES = {
    "sgd": 0.2,
    "momentum": 0.02,
    "nesterov": 0.02,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamw": 0.001,
    "rmsprop": 0.001,
}

REGRESSION_RATES = DEFAULT_RATES | {"sgd": 0.02, "momentum": 0.002, "nesterov": 0.002}
"""The same where a squared error is learned: its gradient grows with the error, which a cross-entropy's does not."""

MOMENTUM = {"momentum": 0.9, "nesterov": 0.9, "rmsprop": 0.0}
"""The optimizers that have a momentum, and what it is where none is given."""


class Key(NamedTuple):
    """One thing that an arm can set.

    Attributes:
        parse: from what was written to what it means; RequestError for what is not allowed.
        metavar: how a value is written, in the help.
        help: what it is, in one line.
    """

    parse: Callable[[str], Any]
    metavar: str
    help: str


def _key(default: Any, parse: Callable[[str], Any], metavar: str, help: str) -> Any:  # noqa: A002 - as typer calls it
    return field(default=default, metadata={"key": Key(parse, metavar, help)})


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What an arm can set; None is what does not apply, such as the dropout of a user's own network.

    The activation of a user's own network is None where the network keeps what it has.
    """

    norm: str = _key("none", values.norm, "NORM", "none, batch, layer or group:GROUPS.")
    place: str | None = _key(
        "before", values.one_of("place", "before", "after"), "PLACE", "Normalize before or after the activation."
    )
    layers: str | None = _key(
        "all",
        values.layers,
        "LAYERS",
        "Normalize all, first, last, every:N or numbers, 1+3, of the hidden layers, counted from the input.",
    )
    activation: str | None = _key(
        "sigmoid",
        values.activation,
        "NAME",
        "sigmoid, relu, tanh, selu, leaky_relu:0.1, …; put into your own network, which keeps its own by default.",
    )
    init: str = _key("default", values.init, "INIT", "default (torch's), xavier, he, lecun, orthogonal or normal:STD.")
    output: str | None = _key(
        "given",
        values.one_of("output", "given", "linear"),
        "OUTPUT",
        "Of your own network: given, or linear, without the softmax, sigmoid or the like that makes it.",
    )
    lr: float | None = _key(None, values.positive("lr"), "RATE", "Learning rate (0.2 for sgd, 0.02 in a regression).")
    schedule: str = _key(
        "constant", values.schedule, "SCHEDULE", "constant, step:EVERY[:FACTOR] or exponential:FACTOR."
    )
    warmup: int = _key(
        0, values.count("warmup", least=0), "STEPS", "Steps in which the learning rate rises linearly to its value (0)."
    )
    optimizer: str = _key(
        "sgd", values.one_of("optimizer", *DEFAULT_RATES), "NAME", f"{', '.join(DEFAULT_RATES)} (sgd)."
    )
    momentum: float | None = _key(
        None, values.fraction("momentum"), "μ", "Momentum of momentum and nesterov (0.9) and rmsprop (0)."
    )
    clip: float | None = _key(
        None, values.positive("clip"), "NORM", "Scale gradients down to this norm, over all parameters (no clipping)."
    )
    batch_size: int | None = _key(60, values.count("batch_size"), "N", "Examples per step (60).")
    dropout: float | None = _key(0.0, values.fraction("dropout"), "P", "Share of hidden activations dropped.")
    weight_decay: float = _key(
        0.0, values.non_negative("weight_decay"), "λ", "Weight of the penalty ½·λ·‖w‖² (decoupled for adamw)."
    )
    inputs: str | None = _key(
        "minmax",
        values.one_of("inputs", "raw", "minmax", "standard", "binary"),
        "SCALING",
        "raw, minmax, standard or binary (above one half); minmax for named data and tables, raw for your own.",
    )
    targets: str | None = _key(
        None,
        values.one_of("targets", "raw", "standard"),
        "SCALING",
        "raw or standard, for regression: standard for named data and tables, raw for your own.",
    )


KEYS: dict[str, Key] = {each.name: each.metadata["key"] for each in fields(Keys)}
DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Keys)}


@dataclass(frozen=True, kw_only=True)
class Settings(Keys):
    """Everything that decides a run's numbers, resolved; its hash is the name of the run's directory.

    Attributes:
        seed: of the weights, the order of the examples and all else that is drawn.
        steps: updates.
        eval_every: steps between measurements, None for about 45 in all.
        patience: measurements at equal distances without a better validation metric after which the run stops; None for
            no such stop.
        data: the data set's name; ``fingerprint``, its content.
        target: the columns of a user's table that are predicted, else None.
        model: the network's name.
        task: ``classification``, ``binary``, ``multilabel``, ``regression`` or ``other``.
        loss: the loss function's name.
        metric: what the run is judged by.
        outputs: size of the output layer of a built-in network.
        samples: examples of each part on which curves are measured.
        own: what identifies each function of the user's, by ``model``, ``loss`` or ``metric``.
        device: ``cpu``, ``cuda``, …
        versions: of the packages that can change the numbers.
    """

    seed: int = 0
    steps: int = 1
    eval_every: int | None = None
    patience: int | None = None
    data: str = ""
    fingerprint: str = ""
    target: str | None = None
    model: str = "mlp"
    task: str = "classification"
    loss: str = "cross_entropy"
    metric: Metric = ACCURACY
    outputs: int | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        """What an arm could set, by name."""
        return {name: getattr(self, name) for name in KEYS}

    def as_dict(self) -> dict[str, Any]:
        """The settings as ``settings.json`` holds them."""
        return asdict(self) | {"metric": self.metric._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From ``settings.json``.

        Raises:
            TypeError: a setting is missing or unknown, as in records of another version.
        """
        return cls(**{**values, "metric": Metric(**values["metric"])})
