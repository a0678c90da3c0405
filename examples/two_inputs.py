"""A network with two inputs: an image of a digit and a question about it, answered by yes or no.

normwise compare --model examples/two_inputs.py:make_model --data examples/two_inputs.py:make_data --steps 1500

What comes out: with batch normalization the network fits all training examples in a third of the steps, and answers
fewer questions about new images, 88 % against 94 %.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

QUESTIONS = {
    "even?": {0, 2, 4, 6, 8},
    "prime?": {2, 3, 5, 7},
    "above four?": {5, 6, 7, 8, 9},
}


def make_data():
    """Training and test sets of (image, question, answer); scikit-learn's digits, each with one of the questions."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    asked = torch.randint(len(QUESTIONS), (len(images),))
    yes = list(QUESTIONS.values())
    answers = torch.tensor([digit in yes[question] for digit, question in zip(digits.target, asked, strict=True)])
    order = torch.randperm(len(images))
    examples = images[order], nn.functional.one_hot(asked[order]).float(), answers[order].long()
    return tuple(TensorDataset(*(each[part] for each in examples)) for part in (slice(1300), slice(1300, None)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Conv2d(8, 16, 3), nn.Tanh(), nn.Flatten())
        self.both = nn.Sequential(nn.Linear(16 * 16 + len(QUESTIONS), 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, image, question):
        return self.both(torch.cat([self.image(image), question], dim=1))


make_model = Network
