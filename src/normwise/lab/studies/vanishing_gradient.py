"""Notes 000 and 001: with sigmoid the gradient vanishes on its way to the first layers; what relieves it."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.judging import every, unanimous
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, Training, Trial, judged
from normwise.lab.studies.shared import gradients as shared

ARMS: dict[str, dict[str, Any]] = {
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid, BN": {"activation": "sigmoid", "norm": "batch"},
    "ReLU": {"activation": "relu"},
    "sigmoid, Xavier": {"activation": "sigmoid", "init": "xavier"},
    "sigmoid, He": {"activation": "sigmoid", "init": "he"},
    "sigmoid, small rate": {"activation": "sigmoid", "lr": 0.01},
    "sigmoid, clipping": {"activation": "sigmoid", "clip": 1},
    "ReLU, He": {"activation": "relu", "init": "he"},
}
"""Sigmoid with torch's initial weights, as in the code of note 000, and each remedy alone; ReLU with He's besides."""

DRAWN = {"sigmoid": 0, "sigmoid, BN": 1, "ReLU": 2, "sigmoid, Xavier": 3, "sigmoid, He": 4, "ReLU, He": 7}

VANISHED = 1e-3
"""First over last layer: a learning rate that suits the last layer is a thousand times too small for the first."""


def plan(asked: Asked) -> list[Trial]:
    """Ten hidden layers of 100 units (twenty at full scale), learning rate 0.1; the notes name neither."""
    depth = asked.scale.pick(smoke=5, quick=10, full=20)
    steps = asked.scale.pick(smoke=20, quick=1500, full=10_000)
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=2, full=3)
    options: dict[str, Any] = {"model": f"mlp:100x{depth}", "lr": 0.1, "batch_size": 60, "steps": steps}
    options |= asked.scale.pick(smoke={"eval_every": steps}, quick={}, full={})
    arms = {name: {key: value for key, value in ARMS[name].items() if key != "lr"} for name in DRAWN}
    measured = {"arms": arms, "model": options["model"]}
    grid = {"arms": shared.grid_arms(), "model": f"mlp:100x{asked.scale.pick(smoke=5, quick=20, full=20)}"}
    return [
        Training(ARMS, asked.data, seeds, options),
        *(Measurement("gradients", shared.gradients, measured, seed, asked.data) for seed in range(seeds)),
        Measurement("grid", shared.gradients, grid, data=asked.data),
    ]


def sigmoid_vanishes(outcome: Outcome) -> Judged:
    """Whether next to nothing reaches the first layer of a sigmoid network, and it does not learn."""
    ratios, learned = shared.ratios(outcome, "sigmoid"), shared.learns(outcome, "sigmoid")
    vanished = unanimous([ratio < VANISHED for ratio in ratios])
    accuracies = shared.accuracies(outcome, "sigmoid")
    return judged(
        every((vanished, None if learned is None else not learned)),
        f"The gradient at the first hidden layer is {median(ratios):.1e} of that at the last one; at the end the "
        f"validation accuracy is {100 * max(accuracies):.1f} % or less, guessing has 10 %.",
        ratio=ratios, accuracy=accuracies,
    )  # fmt: skip


def figures(outcome: Outcome) -> list[Panel]:
    """The gradient by layer for each remedy, for each activation and initialization, and the learning curves."""
    title = "The gradient on its way back"
    return [shared.by_layer(outcome, DRAWN, "by-layer", title), shared.learning_curves(outcome, DRAWN),
            shared.grid(outcome)]  # fmt: skip


RULE = (
    "the ratio of first to last layer comes closer to 1 by a factor of ten or more (seeds differ by far less), and "
    "the validation accuracy ends above 50 %, in every run"
)

STUDY = Study(
    name="vanishing-gradient",
    title="With sigmoid the gradient vanishes before it reaches the first layers",
    source="notes 000 and 001; Ioffe and Szegedy 2015, section 1",
    notes=("000", "001", "003"),
    claims=(
        Claim(
            "With sigmoid the gradient vanishes on its way to the first layers, and a deep network learns nothing.",
            "first over last layer below 10⁻³, so that no learning rate suits both, and a validation accuracy below "
            "50 % at the end, in every run",
            sigmoid_vanishes,
        ),
        Claim(
            "ReLU in place of sigmoid relieves it, enough for a deep network to learn.", RULE,
            partial(shared.relieves, arm="ReLU", without="sigmoid"),
        ),
        Claim(
            "Xavier's initialization alone, with sigmoid kept, relieves it that much.", RULE,
            partial(shared.relieves, arm="sigmoid, Xavier", without="sigmoid"),
        ),
        Claim(
            "He's initialization alone, with sigmoid kept, relieves it that much.", RULE,
            partial(shared.relieves, arm="sigmoid, He", without="sigmoid"),
        ),
        Claim(
            "He's initialization together with ReLU relieves it that much.", RULE,
            partial(shared.relieves, arm="ReLU, He", without="ReLU"),
        ),
        Claim(
            "Batch normalization alone, with sigmoid kept, relieves it that much.", RULE,
            partial(shared.relieves, arm="sigmoid, BN", without="sigmoid"),
        ),
    ),
    plan=plan,
    figures=figures,
    table=shared.remedies_table,
    see="""Read each line from right to left, the way the gradient goes. A line that falls toward the left is a
    gradient that vanishes: each step down of ten is a factor by which the layers near the input learn more slowly.
    Compare sigmoid with the same network with BN, and with the other remedies.""",
    why="""On its way back through one layer a gradient is multiplied by the weights and by the slope of the
    activation. For 100 inputs with weights of standard deviation σ the factor is about σ·√100 times the slope. The
    slope of sigmoid is at most ¼. With torch's weights, σ = 0.058, that makes at most 0.14 for each layer, so that nine
    layers leave about 10⁻⁸. Xavier's σ = 0.1 makes it 0.25 and nine layers 4·10⁻⁶, He's σ = 0.14 makes 0.35 and 10⁻⁴:
    better by powers of ten, but these rules were made for tanh and for ReLU. ReLU's slope is 1 for half of the inputs
    and 0 for the others, a factor of √½·σ·√100: 0.41 with torch's weights and exactly 1 with He's. By
    this count nine layers with ReLU alone leave 3·10⁻⁴, about 10,000 times as much as with sigmoid and still little;
    ReLU and He's weights belong together.

    Batch normalization divides what a layer receives by its standard deviation, and the gradient on its way back by the
    same number. Small inputs to sigmoid have a small standard deviation, so the gradient is made larger just where the
    layer had made it small, and the factor is near 1 whatever the weights are.""",
    changes="""Fewer layers: three sigmoid layers train without any remedy (see figure-1a). Adam divides each
    parameter's gradient by its own size, so that small gradients move weights too. A small learning rate and clipping
    are remedies for gradients that are too large; the table has what they do for these.""",
    quick_seconds=25,
    full="twenty hidden layers, 10,000 steps, 3 seeds; 8 minutes",
    data="mnist",
    alternatives=("fashion-mnist", "digits"),
)  # fmt: skip
