"""Networks of several inputs, with masks, packed sequences and branches, and what each is called with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class TwoInputs(nn.Module):
    """A masked sequence and a table row; the mask may be left out."""

    def __init__(self):
        super().__init__()
        self.steps, self.row, self.out = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(16, 2)

    def forward(self, x, row, mask=None, scale=1.0):
        steps = F.relu(self.steps(x))
        mask = steps.new_ones(steps.shape[:2]) if mask is None else mask.to(steps.dtype)
        mean = (steps * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return scale * self.out(torch.cat([mean, self.row(row).relu()], 1))


class PackedLSTM(nn.Module):
    """Padded token numbers with a mask; the last state is classified."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(11, 6), nn.LSTM(6, 8, batch_first=True)
        self.hidden, self.out = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, tokens, mask):
        packed = pack_padded_sequence(self.embedding(tokens), mask.sum(1).cpu(), True, enforce_sorted=False)
        _, (state, _) = self.lstm(packed)
        return self.out(F.relu(self.hidden(state[-1])))


class PackedGRU(nn.Module):
    """Sequences of given lengths; the mean over time is classified, beside the states."""

    def __init__(self):
        super().__init__()
        self.proj, self.gru = nn.Linear(4, 6), nn.GRU(6, 8, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x, lengths):
        packed = pack_padded_sequence(torch.tanh(self.proj(x)), lengths.tolist(), True, enforce_sorted=False)
        states, lengths = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.head(states.sum(1) / lengths[:, None]), states


class Encoder(nn.Module):
    """torch's transformer, with a mask of what is padded."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.proj, self.encoder = nn.Linear(4, 8), nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.hidden, self.out = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x, mask):
        x = self.encoder(F.gelu(self.proj(x)), src_key_padding_mask=~mask)
        return self.out(F.relu(self.hidden(x.masked_fill(~mask[..., None], 0).sum(1))))


class UNet(nn.Module):
    """Takes images of every size: a branch on the shape."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, 2)
        self.joined, self.out = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        skip = F.relu(self.down(x))
        x = torch.relu(self.up(F.max_pool2d(skip, 2)))
        if x.shape != skip.shape:
            x = F.interpolate(x, skip.shape[-2:])
        return self.out(F.relu_(self.joined(torch.cat([skip, x], 1))))


class OnValues(nn.Module):
    """What runs depends on what the values are, and on what raises; the output is in a dict."""

    def __init__(self):
        super().__init__()
        self.large, self.small, self.out = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)
        self.act, self.wrong = nn.Tanh(), nn.Linear(3, 6)

    def forward(self, batch):
        x = batch["x"]
        linear = self.large if x.abs().max() > 100 else self.small
        try:
            x = self.wrong(x)
        except RuntimeError:
            x = self.act(linear(x))
        return {"p": torch.sigmoid(self.out(x))}


GENERATOR = torch.Generator().manual_seed(0)
LENGTHS = torch.tensor([5, 3, 2, 4, 1, 5])
MASK = torch.arange(5) < LENGTHS[:, None]
TOKENS = torch.randint(0, 11, (6, 5), generator=GENERATOR)
X, ROWS = torch.randn(6, 5, 4, generator=GENERATOR), torch.randn(6, 3, generator=GENERATOR)

CALLED: list[tuple[type[nn.Module], Any, list[str]]] = [
    (TwoInputs, (X, ROWS), ["row", "steps"]),
    (TwoInputs, {"row": ROWS, "x": X, "mask": None, "scale": 2}, ["row", "steps"]),
    (TwoInputs, SimpleNamespace(args=(X, ROWS), kwargs={"mask": MASK}), ["row", "steps"]),
    (PackedLSTM, {"tokens": TOKENS, "mask": MASK}, ["hidden"]),
    (PackedGRU, SimpleNamespace(args=(X,), kwargs={"lengths": LENGTHS}), ["head.1", "proj"]),
    (Encoder, (X, MASK), ["hidden", "proj"]),
    (UNet, torch.randn(2, 3, 9, 9, generator=GENERATOR), ["down", "joined", "up"]),
    (OnValues, ({"x": X[:, 0]},), ["small"]),
]
"""Networks, an example, and the modules beside which a normalization belongs; in a ``Sequential`` the nonlinearity."""
