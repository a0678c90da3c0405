"""Data that do not fit in memory: a data set that makes each example when it is asked for, differently every epoch.

normwise compare --model examples/streaming.py:make_model --data examples/streaming.py:make_data --steps 600

What comes out: 94 % without and 97 % with batch normalization, which reaches the other's best in a quarter of the
steps. Accuracy is lower on training images than on test images, because they are shifted and noisy.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset


class Digits(Dataset):
    """Images of digits, read one at a time; for training, shifted by up to a pixel and noisy.

    What is drawn here with torch, random or numpy is the same in a run that was killed and went on.
    """

    def __init__(self, rows, augment):
        self.rows, self.augment = rows, augment
        self.source = load_digits()  # yours would open a file here, or in __getitem__

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        image = torch.tensor(self.source.images[row], dtype=torch.float32)[None] / 16
        if self.augment:
            down, across = torch.randint(-1, 2, (2,)).tolist()
            image = image.roll((down, across), (1, 2)) + 0.1 * torch.randn(1, 8, 8)
        return image, int(self.source.target[row])


def make_data():
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0)).tolist()
    train, validation, test = order[:1000], order[1000:1300], order[1300:]
    return Digits(train, augment=True), Digits(validation, augment=False), Digits(test, augment=False)


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.Tanh(), nn.Conv2d(16, 16, 3), nn.Tanh(),
        nn.Flatten(), nn.Linear(16 * 16, 64), nn.Tanh(), nn.Linear(64, 10),
    )  # fmt: skip
