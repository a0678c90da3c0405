"""A loss of your own: the focal loss, which counts examples less that are already classified well.

normwise compare --model examples/focal_loss.py:make_model --data examples/focal_loss.py:make_data \
    --loss examples/focal_loss.py:loss --metric balanced_accuracy --steps 2000

What comes out: balanced accuracy, the mean over classes, is 1/3 for guessing and 92 to 93 % here, with batch
normalization or without. For cross-entropy, leave ``--loss`` out.
"""

import torch
from torch import nn


def make_data():
    """Three classes on nested rings, of 80 %, 15 % and 5 % of the examples."""
    torch.manual_seed(0)
    n = 4000
    y = torch.multinomial(torch.tensor([0.8, 0.15, 0.05]), n, replacement=True)
    radius = torch.tensor([3.0, 2.0, 1.0])[y] + 0.3 * torch.randn(n)
    angle = 2 * torch.pi * torch.rand(n)
    X = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return (X[:3000], y[:3000]), (X[3000:], y[3000:])


def make_model():
    return nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(),
        nn.Linear(32, 32), nn.Tanh(),
        nn.Linear(32, 32), nn.Tanh(),
        nn.Linear(32, 3),
    )  # fmt: skip


def loss(logits, target, focus=2):
    """Lin et al. 2017: the mean of −(1 − p)^focus · log p, where p is the probability of the right class."""
    log_p = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    return -((1 - log_p.exp()) ** focus * log_p).mean()
