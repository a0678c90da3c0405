"""A network that was trained on one kind of images, adapted to other kinds without labels.

python examples/adapt_to_domain.py

Section 5 of Ioffe & Szegedy 2015 leaves it as future work: whether the population statistics, estimated anew, are
enough to bring a network to another domain. Here the other domains are the same digits with half the contrast, brighter
and noisy, and the same digits inverted. Their training images are given without labels, to ``estimate_population``
alone; no weight changes. Nothing is chosen by accuracy, so test images are used only to report it.

What comes out: new statistics undo most of a shift in brightness, contrast and noise. They cannot undo an inversion,
because normalizing gives each unit back its mean and its scale, but not its sign.
"""

import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

import normwise as nw


def make_data():
    """Digits as (X, y) for training and for testing, pixels from 0 to 1."""
    digits = load_digits()
    X, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    order = torch.randperm(len(X))
    train, test = order[:1200], order[1200:]
    return (X[train], y[train]), (X[test], y[test])


DOMAINS = {
    "dim and noisy": lambda X: 0.5 * X + 0.4 + 0.1 * torch.randn_like(X),
    "inverted": lambda X: 1 - X,
}


def make_model():
    plain = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return nw.batch_normalize(plain).model


def train(net, X, y, epochs=15):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(X[batch]), y[batch]).backward()
            optimizer.step()
    net.eval()


@torch.no_grad()
def accuracy(net, X, y):
    return (net(X).argmax(1) == y).double().mean().item()


def adapted(net, unlabelled):
    """A copy of the network with the statistics of other images."""
    net = copy.deepcopy(net)
    nw.estimate_population(net, unlabelled.split(100))
    return net


def main(seed=0):
    """Test accuracies by domain: before and after the statistics are those of the domain."""
    torch.manual_seed(seed)
    (X, y), (X_test, y_test) = make_data()
    net = make_model()
    train(net, X, y)
    clean = accuracy(net, X_test, y_test)
    print(f"test accuracy on the images as they are: {clean:.1%}")
    results = {"clean": (clean, clean)}
    for name, shift in DOMAINS.items():
        unlabelled, target = shift(X), shift(X_test)
        results[name] = accuracy(net, target, y_test), accuracy(adapted(net, unlabelled), target, y_test)
        before, after = results[name]
        print(f"{name}: {before:.1%}, with the statistics of such images {after:.1%}")
    return results


if __name__ == "__main__":
    main()
