"""Sequences of different lengths: a loader pads them, an LSTM is given the mask, the batches are dicts.

normwise compare --model examples/padded_sequences.py:make_model --data examples/padded_sequences.py:make_data \
    --steps 600 --arm plain --arm "clip: clip=1" --arm "adam: optimizer=adam, lr=0.01" --arm bn

What comes out: every arm gets all brackets right. Adam does in the fewest steps; gradients do not explode here, so
that clipping changes nothing; the LSTM is left as it is, and one batch normalization after it changes little.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader


def make_data():
    """Training and test loaders of words over [ and ], 4 to 24 long; the target is 1 where the brackets match."""
    torch.manual_seed(0)
    words = [word() for _ in range(2000)]
    train = DataLoader(words[:1500], batch_size=50, shuffle=True, collate_fn=pad)
    return train, DataLoader(words[1500:], batch_size=50, collate_fn=pad)


def word():
    """Brackets, 1 and -1, and whether they match; in nine of ten words an opening and a closing one changed places."""
    length = 2 * int(torch.randint(2, 13, ()))
    brackets = []
    while len(brackets) < length:
        depth, left = sum(brackets), length - len(brackets)
        opens = depth == 0 or (depth < left and bool(torch.rand(()) < 0.5))
        brackets.append(1 if opens else -1)
    brackets = torch.tensor(brackets)
    if torch.rand(()) < 0.9:
        places = [(brackets == kind).nonzero()[:, 0] for kind in (1, -1)]
        one, other = (each[torch.randint(length // 2, ())] for each in places)
        brackets[one], brackets[other] = -1, 1
    return brackets, bool((brackets.cumsum(0) >= 0).all())


def pad(words):
    """A batch for ``forward(brackets, mask)``, its target beside it."""
    sequences, targets = zip(*words, strict=True)
    brackets = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    return {"brackets": brackets, "mask": brackets != 0, "target": torch.tensor(targets).long()}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, 8)
        self.lstm = nn.LSTM(8, 32, batch_first=True)
        self.hidden, self.relu, self.out = nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)

    def forward(self, brackets, mask):
        states, _ = self.lstm(self.embed(brackets + 1))
        last = states[torch.arange(len(mask)), mask.sum(1) - 1]
        return self.out(self.relu(self.hidden(last)))


make_model = Network
