"""Loops of one's own that do well."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.doctor import data
from benchmarks.doctor.build import mlp
from benchmarks.doctor.case import Case, Ran
from benchmarks.doctor.failing.networks import six
from benchmarks.doctor.healthy.networks import Vae
from benchmarks.doctor.loop import accuracy, shuffled, train, watched


def vae(seed: int, steps: int | None) -> Ran:
    """A variational autoencoder; the share of the pixels' variance that it reconstructs."""
    torch.manual_seed(seed)
    network, parts = Vae(), data.digits()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)

    def loss_of(outputs: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
        logits, mean, logarithm = outputs
        divergence = -0.5 * (1 + logarithm - mean**2 - logarithm.exp()).sum(1).mean()
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean() + 0.3 * divergence

    with watched(network, optimizer) as watch:
        for x, _ in shuffled(parts[0], 32, steps or 600, seed):
            optimizer.zero_grad()
            loss = loss_of(network(x), x)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    with torch.no_grad():
        x = torch.from_numpy(parts[0][0])
        wrong = (network(x)[0].sigmoid() - x).square().mean() / (x - x.mean(0)).square().mean()
    return Ran(watch.findings, 1 - float(wrong), watch)


def discriminator(seed: int, steps: int | None) -> Ran:
    """A GAN's discriminator, watched while the generator learns too; how far what is generated has come, 0 to 1.

    Its loss goes back up to that of guessing as the generator gets better.
    """
    torch.manual_seed(seed)
    judge = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    forger = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    parts = data.moons()
    steps = steps or 500
    first = torch.optim.Adam(judge.parameters(), lr=0.002, betas=(0.5, 0.999))
    second = torch.optim.Adam(forger.parameters(), lr=0.001, betas=(0.5, 0.999))
    center = torch.from_numpy(parts[0][0]).mean(0)
    start = float((forger(torch.randn(500, 4)).detach().mean(0) - center).norm())
    with watched(judge, first) as watch:
        for x, _ in shuffled(parts[0], 64, steps, seed):
            made = forger(torch.randn(64, 4))
            given, target = torch.cat([x, made.detach()]), torch.cat([torch.ones(64, 1), torch.zeros(64, 1)])
            first.zero_grad()
            loss = F.binary_cross_entropy_with_logits(judge(given), target)
            loss.backward()
            first.step()
            watch.step(loss)
            second.zero_grad()
            F.binary_cross_entropy_with_logits(judge(made), torch.ones(64, 1)).backward()
            second.step()
    end = float((forger(torch.randn(500, 4)).detach().mean(0) - center).norm())
    return Ran(watch.findings, 1 - end / start, watch)


def fine_tuned(seed: int, steps: int | None) -> Ran:
    """A new head on a backbone that was trained before, frozen and in evaluation mode."""
    torch.manual_seed(seed)
    network, parts = six(dropout=0.0), data.cifar()
    before = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    for x, y in shuffled(parts[0], 32, 150 if steps is None else steps, seed):
        before.zero_grad()
        F.cross_entropy(network(x), y).backward()
        before.step()
    network[-1] = nn.Linear(network[-1].in_features, 10)
    network.eval()
    for module in network[:-1]:
        module.requires_grad_(False)
    network[-1].train()
    optimizer = torch.optim.Adam(network[-1].parameters(), lr=0.005)
    watch = train(network, optimizer, shuffled(parts[0], 32, steps or 200, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def plain(seed: int, steps: int | None, *, norm: str = "") -> Ran:
    """The usual loop."""
    torch.manual_seed(seed)
    network, parts = mlp(64, 64, 64, 10, init="he", norm=norm), data.digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    watch = train(network, optimizer, shuffled(parts[0], 32, steps or 300, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def accumulated(seed: int, steps: int | None) -> Ran:
    """Gradients of four batches of 16 added up, without normalization."""
    torch.manual_seed(seed)
    network, parts = mlp(64, 64, 64, 10, init="he"), data.digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    with watched(network, optimizer) as watch:
        for index, (x, y) in enumerate(shuffled(parts[0], 16, 4 * (steps or 200), seed)):
            loss = F.cross_entropy(network(x), y)
            (loss / 4).backward()
            if index % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
                watch.step(loss, target=y)
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def _loop(name: str, what: str, loop: object, learns_at: float) -> Case:
    return Case(name, "healthy", what, loop=loop, learns_at=learns_at)  # type: ignore[arg-type]


CASES = (
    _loop("vae", "a variational autoencoder", vae, 0.3),
    _loop("gan-discriminator", "a GAN's discriminator", discriminator, 0.25),
    _loop("fine-tuned", "a frozen backbone in evaluation mode", fine_tuned, 0.3),
    _loop("plain-loop", "a usual loop", plain, 0.9),
    _loop("plain-loop-batch", "a usual loop with batch normalization", partial(plain, norm="batch"), 0.9),
    _loop("accumulated-loop", "gradients of four batches added up", accumulated, 0.9),
)
