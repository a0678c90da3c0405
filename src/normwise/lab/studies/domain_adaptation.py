"""Future work of section 5: population statistics recomputed on another domain, without labels (AdaBN)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.figures import dots
from normwise.lab.panels import Panel
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.context import Context
from normwise.lab.reproduction.drawing import drawn, spread
from normwise.lab.reproduction.judging import PAIRED, every, less
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Measurement, Study, judged
from normwise.nn import BatchNorm1d, BatchNorm2d
from normwise.report import Table
from normwise.surgery import estimate_population

NAME, OTHER = "domains", "scikit-learn digits"
CONTRAST, NOISE = "contrast 0.3", "noise 0.3"


def plan(asked: Asked) -> list[Measurement]:
    """One measurement per seed."""
    parameters = {
        "steps": asked.scale.pick(smoke=20, quick=500, full=4000),
        "images": asked.scale.pick(smoke=200, quick=5000, full=10_000),
    }
    seeds = asked.seeds or asked.scale.pick(smoke=1, quick=6, full=10)
    return [Measurement(NAME, adapted, parameters, seed, asked.data) for seed in range(seeds)]


def blurred(x: Tensor) -> Tensor:
    """A Gaussian blur with a standard deviation of 1.5 pixels."""
    line = torch.exp(-torch.arange(-4.0, 5.0, device=x.device).square() / (2 * 1.5**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    return F.conv2d(x, kernel[None, None], padding=4)


def rotated(x: Tensor) -> Tensor:
    """Turned by 20 degrees."""
    angle = torch.deg2rad(torch.tensor(20.0))
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]], device=x.device)
    grid = F.affine_grid(turn.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


CHANGED: dict[str, Callable[[Tensor], Tensor]] = {
    "inverted": lambda x: 1 - x,
    CONTRAST: lambda x: 0.3 * x + 0.35,
    "blurred": blurred,
    NOISE: lambda x: x + 0.3 * torch.randn_like(x),
    "rotated by 20°": rotated,
}
"""Domains made of MNIST's images, whose values are from 0 to 1."""


def other_digits(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The 8×8 digits of scikit-learn, as MNIST's are laid out: enlarged to 20×20 within a frame of 4 black pixels.

    Returns:
        Images without labels, two thirds of all; the other images; their classes.
    """
    from sklearn.datasets import load_digits

    given = load_digits()
    images = torch.from_numpy(given.images).float().unsqueeze(1).to(device) / 16
    labels = torch.from_numpy(given.target).to(device)
    large = F.pad(F.interpolate(images, size=20, mode="bilinear", align_corners=False), (4, 4, 4, 4))
    order = torch.randperm(len(large), generator=torch.Generator().manual_seed(0)).to(device)
    large, labels, border = large[order], labels[order], 2 * len(large) // 3
    return large[:border], large[border:], labels[border:]


def network() -> nn.Sequential:
    """Two convolutions and a hidden layer, each with batch normalization."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False), BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2, bias=False), BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 7 * 7, 100, bias=False), BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def adapted(context: Context, steps: int, images: int) -> Mapping[str, Any]:
    """Train on the source, then estimate the statistics of each domain and go back to the source's."""
    X, y = context.tensors("train")
    X_test, y_test = context.tensors("test")
    net = network().to(context.device)
    optimizer = torch.optim.Adam(net.parameters())
    for step in range(steps):
        batch = torch.randint(len(X), (100,)).to(context.device)
        optimizer.zero_grad()
        F.cross_entropy(net(X[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.progress(0.7 * step / steps)
    source, test = X[:images], (X_test[:images], y_test[:images])
    domains = {name: (change(source), change(test[0]), test[1]) for name, change in CHANGED.items()}
    domains = {OTHER: other_digits(context.device)} | domains
    estimate_population(net.eval(), torch.split(source, 500), progress=False)
    found: dict[str, Any] = {"source": accuracy(net, *test), "before": {}, "after": {}, "source_after": {}}
    for name, (_, inputs, targets) in domains.items():
        found["before"][name] = accuracy(net, inputs, targets)
    for name, (unlabeled, inputs, targets) in domains.items():
        estimate_population(net, torch.split(unlabeled, 500), progress=False)
        found["after"][name], found["source_after"][name] = accuracy(net, inputs, targets), accuracy(net, *test)
    return found


@torch.no_grad()
def accuracy(net: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The share of right answers."""
    answers = torch.cat([net(batch).argmax(1) for batch in torch.split(inputs, 1000)])
    return (answers == targets).double().mean().item()


def values(outcome: Outcome, key: str, domain: str) -> list[float]:
    """A number of each seed."""
    return [found[key][domain] for found in outcome.measured[NAME]]


def source(outcome: Outcome) -> list[float]:
    """The accuracy on the source of each seed, with its own statistics."""
    return [found["source"] for found in outcome.measured[NAME]]


def rise(outcome: Outcome, domain: str) -> tuple[bool | None, str]:
    """Whether the accuracy on a domain rises beyond the noise of the seeds, and the numbers."""
    before, after = values(outcome, "before", domain), values(outcome, "after", domain)
    found = less(after, before)
    said = f"{domain}: {spread(before, percent=True)} before, {spread(after, percent=True)} after, {found}"
    return found.positive, said


def target_rises(outcome: Outcome) -> Judged:
    """Whether accuracy on the real other domain rises."""
    rises, said = rise(outcome, OTHER)
    return judged(rises, f"Test accuracy on {said}.")


def source_falls(outcome: Outcome) -> Judged:
    """Whether the source's accuracy falls with the target's statistics."""
    after = values(outcome, "source_after", OTHER)
    found = less(source(outcome), after)
    return judged(
        found.positive,
        f"Test accuracy on MNIST: {spread(source(outcome), percent=True)} with its own statistics, "
        f"{spread(after, percent=True)} with those of {OTHER}: lower by {found}.",
    )


def corruptions_heal(outcome: Outcome) -> Judged:
    """Whether accuracy rises under low contrast and under noise."""
    (contrast, said), (noise, also) = rise(outcome, CONTRAST), rise(outcome, NOISE)
    return judged(every((contrast, noise)), f"Test accuracy, {said}; {also}.")


KINDS: dict[bool | None, dots.Kind] = {True: "better", False: "worse", None: "same"}


def figures(outcome: Outcome) -> list[Panel]:
    """Accuracy before and after by domain, and on the source afterwards."""
    domains = outcome.measured[NAME][0]["before"]

    def row(name: str, numbers: list[float], kind: dots.Kind) -> dots.Row:
        return dots.Row(name, fmean(numbers), singles=tuple(numbers), kind=kind, note=f"{100 * fmean(numbers):.1f} %")

    target = [row("MNIST itself", source(outcome), "plain")]
    for domain in domains:
        before, after = values(outcome, "before", domain), values(outcome, "after", domain)
        better = KINDS[less(after, before).positive]
        target += [row(domain, before, "plain"), row(f"{domain} + its statistics", after, better)]
    back = [row("its own", source(outcome), "plain")]
    for domain in domains:
        after = values(outcome, "source_after", domain)
        back.append(row(domain, after, KINDS[less(after, source(outcome)).positive]))
    return [
        drawn("target", dots, dots.info("Statistics of the target domain", "test accuracy on the domain", target,
                                        percent=True, small="single seed")),
        drawn("source", dots, dots.info("The source with statistics of another domain", "test accuracy on MNIST", back,
                                        percent=True, small="single seed"),
              "The same weights, evaluated on MNIST with the statistics that were estimated on each domain."),
    ]  # fmt: skip


def table(outcome: Outcome) -> Table:
    """A row per domain."""
    rows = [["MNIST itself", spread(source(outcome), percent=True), "–", "–"]] + [
        [domain, *(spread(values(outcome, key, domain), percent=True) for key in ("before", "after", "source_after"))]
        for domain in outcome.measured[NAME][0]["before"]
    ]
    said = "Test accuracy, mean ± standard deviation over the seeds. Only the statistics change, no weight."
    return Table(said, ["domain", "source's statistics", "its own statistics", "MNIST with these"], rows)


STUDY = Study(
    name="domain-adaptation",
    title="Do statistics of another domain, without labels, adapt a network to it?",
    source="paper, section 5 (future work); Li et al. 2016, Revisiting Batch Normalization for Practical Domain "
    "Adaptation; Wu & Johnson 2021, table of ImageNet-C",
    notes=("000",),
    claims=(
        Claim(
            "Recomputing the population statistics on another domain is enough to generalize to it better.",
            f"accuracy on the 8×8 digits of scikit-learn, which other people wrote, rises: {PAIRED}",
            target_rises,
        ),
        Claim(
            "The statistics belong to the domain: with the target's, accuracy on the source falls.",
            f"accuracy on MNIST is lower: {PAIRED}",
            source_falls,
        ),
        Claim(
            "Statistics of corrupted images make up for part of the corruption (Wu & Johnson: error under low contrast "
            "from 40.8 to 33.1 %, under Gaussian noise from 64.4 to 52.5 %).",
            f"accuracy rises under low contrast and under noise, of both {PAIRED}; one that falls refutes it",
            corruptions_heal,
        ),
    ),
    plan=plan,
    figures=figures,
    table=table,
    see="""Two rows belong to a domain: the accuracy of the network as it was trained on MNIST, and below it that of the
    same weights after the normalizations' means and variances were taken from unlabeled images of the domain. Compare
    how far each domain moves; the second figure shows what the same statistics do to MNIST.""",
    why="""A normalization subtracts a mean and divides by a standard deviation. Those were the source's. Where a
    domain's images are brighter, paler or noisier, every unit's values are shifted and stretched, and the next layer
    sees what it never saw in training. With the domain's own mean and variance each unit has mean 0 and variance 1
    again, as in training. That needs images and no labels.

    A change of contrast or brightness is one shift and one factor for all pixels, which is what a normalization takes
    out. Other differences, in shape, slant or position, are none that a mean and a variance describe. Nor is inverting:
    1 − x is a factor of −1, and a standard deviation is never negative, so that the first layer's units come out
    normalized and with the wrong sign. Since the statistics now belong to the target, the source
    is the one that is out of place.""",
    changes="""The target's classes should be as frequent as the source's: with images of few classes their mean says
    which classes they are, and normalizing takes that away. Few images make noisy statistics. Training on with labels
    of the target does more, where there are any.""",
    quick_seconds=30,
    full="4,000 training steps and 10,000 images of each domain, 10 seeds; 4 minutes",
    data="mnist",
)
