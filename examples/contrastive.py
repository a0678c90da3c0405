"""A loss on pairs: digits are placed in a plane, two of the same kind close together, others apart.

normwise compare --model examples/contrastive.py:make_model --data examples/contrastive.py:make_data \
    --loss examples/contrastive.py:loss --metric examples/contrastive.py:told_apart --steps 2000

The kind of task is called other: only this loss knows what the outputs, two places for each pair, have to do with the
targets. What comes out: 83 % of the pairs are told apart, 92 % with batch normalization.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn


def make_data():
    """Pairs of scikit-learn's digits (N, 2, 64), and 1 where both show the same digit; no digit is in both parts."""
    torch.manual_seed(0)
    digits = load_digits()
    images, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    order = torch.randperm(len(images))
    return tuple(pairs(images[part], labels[part], n) for part, n in ((order[:1300], 4000), (order[1300:], 1000)))


def pairs(images, labels, n):
    """Half of them of the same digit."""
    first = torch.randint(len(images), (n,))
    same = torch.arange(n) % 2
    second = torch.stack([partner(labels, label, wanted) for label, wanted in zip(labels[first], same, strict=True)])
    return torch.stack([images[first], images[second]], dim=1), same


def partner(labels, label, same):
    candidates = ((labels == label) == bool(same)).nonzero()[:, 0]
    return candidates[torch.randint(len(candidates), ())]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Sequential(nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 2))

    def forward(self, pair):
        """The places of both, (N, 2, 2)."""
        return self.place(pair.flatten(0, 1)).unflatten(0, (-1, 2))


make_model = Network


def distance(places):
    return (places[:, 0] - places[:, 1]).square().sum(1).add(1e-8).sqrt()


def loss(places, same, margin=1.0):
    """Hadsell et al. 2006: equal ones are drawn together, others pushed apart up to a margin."""
    apart = distance(places)
    return torch.where(same == 1, apart.square(), (margin - apart).relu().square()).mean()


def told_apart(places, same):
    """The share of pairs that half the margin tells apart."""
    return ((distance(places) < 0.5) == (same == 1)).double().mean()
