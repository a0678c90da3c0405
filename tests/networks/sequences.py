"""Networks over sequences: recurrent, attention, and convolutions followed by Linears over the last axis."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw


class LSTMClassifier(nn.Module):
    """Token numbers of shape (N, L); the last state is classified."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, tokens):
        states, _ = self.lstm(self.embedding(tokens))
        return self.head(states[:, -1])


class Attention(nn.Module):
    """Multi-head attention of a sequence with itself, written by hand."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q @ k.transpose(-2, -1)) * k.shape[-1] ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, length, width))


class EncoderBlock(nn.Module):
    """Attention and an MLP, each over a normalized input and added to it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(0.1))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TorchEncoderBlock(nn.Module):
    """``EncoderBlock`` with torch's attention and a functional GELU."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + y
        return x + self.fc2(F.gelu(self.fc1(self.ln_2(x))))


class ViT(nn.Module):
    """Dosovitskiy et al., arXiv:2010.11929; one block's attention is written by hand, the other's is torch's."""

    def __init__(self):
        super().__init__()
        width = 8
        self.patch_embed = nn.Conv2d(3, width, kernel_size=4, stride=4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 5, width))
        self.blocks = nn.Sequential(EncoderBlock(width, 2), TorchEncoderBlock(width, 2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Sequence(nn.Module):
    """A convolution over (N, C, L), then Linears over the last axis of (N, L, C)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 3, padding=1)
        self.fc = nn.Linear(6, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.conv(x)).transpose(1, 2)
        return self.head(torch.relu(self.fc(x)))


class NormalizedSequence(nn.Module):
    """``Sequence`` with BN; the channels of the second are the last axis."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 3, padding=1, bias=False)
        self.conv_norm = nw.BatchNorm1d(6)
        self.fc = nn.Linear(6, 8, bias=False)
        self.fc_norm = nw.BatchNorm1d(8, channel_dim=-1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.conv_norm(self.conv(x))).transpose(1, 2)
        return self.head(torch.relu(self.fc_norm(self.fc(x))))
