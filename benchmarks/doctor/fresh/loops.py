"""Loops of one's own over arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.doctor.case import Case, Parts, Ran
from benchmarks.doctor.data import digits
from benchmarks.doctor.fresh import data
from benchmarks.doctor.fresh.networks import Reader, bottleneck, chain, signal
from benchmarks.doctor.loop import accuracy, shuffled, train, watched


def kept(seed: int, steps: int | None, *, clear: bool = False) -> Ran:
    """1-d convolutions without ``zero_grad()``."""
    torch.manual_seed(seed)
    network, parts = signal(nn.ReLU), data.bursts()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with watched(network, optimizer) as watch:
        for x, y in shuffled(parts[0], 32, steps or 400, seed):
            if clear:
                optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss, target=y)
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def last_layer(seed: int, steps: int | None, *, whole: bool = False) -> Ran:
    """A regression through a narrow layer; the optimizer holds the last layer alone."""
    torch.manual_seed(seed)
    network, parts = chain(10, 32, 6, 1, of=nn.Softsign), data.centered()
    optimizer = torch.optim.Adam((network if whole else network[-1]).parameters(), lr=0.01)
    watch = train(network, optimizer, shuffled(parts[0], 32, steps or 500, seed), F.mse_loss)
    return Ran(watch.findings, explained(network, parts), watch)


def cut(seed: int, steps: int | None, *, whole: bool = False) -> Ran:
    """An LSTM whose state is detached before the last layer."""
    torch.manual_seed(seed)
    network, parts = Reader(cut=not whole), data.order()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    watch = train(network, optimizer, shuffled(parts[0], 64, steps or 400, seed))
    return Ran(watch.findings, accuracy(network, parts[0]), watch)


def unshuffled(seed: int, steps: int | None, *, shuffle: bool = False) -> Ran:
    """Batches in the order of a file that is sorted by class."""
    torch.manual_seed(seed)
    network, (X, y) = chain(64, 48, 10, of=nn.LeakyReLU, init="he"), digits()[0]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    def in_order() -> Iterator[tuple[Tensor, Tensor]]:
        order = np.argsort(y, kind="stable")
        for step in range(steps or 400):
            chosen = order[np.arange(step * 32, step * 32 + 32) % len(y)]
            yield torch.from_numpy(X[chosen]), torch.from_numpy(y[chosen])

    batches = shuffled((X, y), 32, steps or 400, seed) if shuffle else in_order()
    watch = train(network, optimizer, batches)
    return Ran(watch.findings, accuracy(network, (X, y)), watch)


def language(seed: int, steps: int | None) -> Ran:
    """A language model of a chain of tokens: the share of the way from a uniform guess to the chain's entropy."""
    torch.manual_seed(seed)
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(12, 0.15), 12)
    text = [0]
    for _ in range(12000):
        text.append(int(random.choice(12, p=chances[text[-1]])))
    windows = torch.tensor(text[:12000]).reshape(-1, 24)
    embedding, cells, head = nn.Embedding(12, 16), nn.GRU(16, 32, batch_first=True), nn.Linear(32, 12)
    network = nn.Sequential(embedding, cells, First(), head, Classes())
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    part = windows[:, :-1].numpy(), windows[:, 1:].numpy()
    watch = train(network, optimizer, shuffled(part, 25, steps or 300, seed))
    with torch.no_grad():
        loss = float(F.cross_entropy(network(windows[:, :-1]), windows[:, 1:]))
    least = float(-(chances * np.log(chances + 1e-12)).sum(1)[np.array(text)].mean())
    return Ran(watch.findings, (np.log(12) - loss) / (np.log(12) - least), watch)


class First(nn.Module):
    """The first of two outputs."""

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return x[0]


class Classes(nn.Module):
    """(N, places, classes) as (N, classes, places)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def triplets(seed: int, steps: int | None) -> Ran:
    """An embedding by distances of triplets: most of which cost nothing in the end; accuracy by the nearest mean."""
    torch.manual_seed(seed)
    network, (X, y) = chain(64, 64, 16, of=nn.GELU, init="default"), digits()[0]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(y == label) for label in range(10)]
    with watched(network, optimizer) as watch:
        for _ in range(steps or 250):
            own = random.integers(0, 10, 48)
            other = (own + random.integers(1, 10, 48)) % 10
            chosen = [[random.choice(members[label]) for label in labels] for labels in (own, own, other)]
            outputs = network(torch.from_numpy(X[np.concatenate(chosen)])).chunk(3)
            loss = F.triplet_margin_loss(*outputs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss)
    with torch.no_grad():
        codes = network(torch.from_numpy(X))
    means = torch.stack([codes[y == label].mean(0) for label in range(10)])
    return Ran(watch.findings, float((torch.cdist(codes, means).argmin(1).numpy() == y).mean()), watch)


def policy(seed: int, steps: int | None) -> Ran:
    """A policy learned by its rewards (Williams 1992), whose loss says nothing of how well it does; its mean reward."""
    torch.manual_seed(seed)
    network, part = chain(4, 32, 3, of=nn.Tanh), data.shells(features=4)[0]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    with watched(network, optimizer) as watch:
        for x, y in shuffled(part, 100, steps or 800, seed):
            chances = torch.distributions.Categorical(logits=network(x))
            action = chances.sample()
            reward = (action == y).float()
            loss = -((reward - reward.mean()) * chances.log_prob(action)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return Ran(watch.findings, accuracy(network, part), watch)


def annealed(seed: int, steps: int | None) -> Ran:
    """An autoencoder, a cosine schedule with restarts, gradients clipped."""
    torch.manual_seed(seed)
    network, parts = bottleneck(nn.SiLU), tuple((X, X) for X, _ in digits())
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 100)
    with watched(network, optimizer) as watch:
        for x, y in shuffled(parts[0], 32, steps or 400, seed):
            loss = F.mse_loss(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
            schedule.step()
            watch.step(loss, target=y)
    return Ran(watch.findings, explained(network, parts), watch)


@torch.no_grad()
def explained(network: nn.Module, parts: Parts) -> float:
    """The share of the variance of the training targets."""
    X, y = (torch.from_numpy(each) for each in parts[0])
    return 1 - float((network(X) - y).square().sum() / (y - y.mean(0)).square().sum())


def _failing(name: str, what: str, loop: Any, learns_at: float, label: str, **sound: bool) -> Case:
    repaired = partial(loop, **sound)
    return Case(name, "failing", what, loop=loop, label=frozenset({label}), learns_at=learns_at, sound=repaired)


def _healthy(name: str, what: str, loop: Any, learns_at: float) -> Case:
    return Case(name, "healthy", what, loop=loop, learns_at=learns_at)


FAILING = (
    _failing(
        "signal-gradients-kept", "no zero_grad(), 1-d convolutions", kept, 0.8, "gradients-not-cleared", clear=True
    ),
    _failing(
        "last-layer-alone", "an optimizer of the last layer", last_layer, 0.75, "parameters-not-updated", whole=True
    ),
    _failing("lstm-cut", "a state that is detached", cut, 0.85, "parameters-not-updated", whole=True),
    _failing(
        "file-in-class-order", "batches in the order of a sorted file", unshuffled, 0.85, "sorted-batches", shuffle=True
    ),
)
HEALTHY = (
    _healthy("language-model", "a language model by a GRU", language, 0.9),
    _healthy("triplets", "an embedding by triplets", triplets, 0.9),
    _healthy("policy", "a policy gradient", policy, 0.6),
    _healthy("annealed-autoencoder", "a cosine schedule with restarts", annealed, 0.5),
)
