"""A network is taken as called with the defaults, or as the example calls it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import reasons

X = torch.randn(4, 3)


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)


class WithLoss(Base):
    def forward(self, x, labels=None):
        y = self.last(F.relu(self.middle(F.relu(self.first(x)))))
        return y if labels is None else F.relu(1 - labels * y).mean()


class WithState(Base):
    def forward(self, x, h=None):
        if h is None:
            h = F.relu(self.first(x))
        return self.last(F.relu(self.middle(h)))


class WithMask(Base):
    def forward(self, x, mask=None):
        h = self.first(x)
        h = F.relu(h) if mask is None else h * mask
        return self.last(F.relu(self.middle(h)))


class WithFlag(Base):
    def forward(self, x, *, return_features=False, scale=1.0):
        h = F.relu(self.middle(F.relu(self.first(x)))) * scale
        if return_features:
            return h
        return self.last(h)


class AllOptional(Base):
    def forward(self, x=None, mask=None):
        if x is None:
            raise ValueError("give x")
        h = F.relu(self.middle(F.relu(self.first(x))))
        return self.last(h if mask is None else h * mask)


def placed(net, **options):
    return [change.name for change in nw.batch_normalize(net, **options).changes if not change.before]


@pytest.mark.parametrize("options", [{}, {"example": X}, {"example": {"x": X}}])
@pytest.mark.parametrize("kind", [WithLoss, WithState, WithMask, WithFlag, AllOptional])
def test_what_is_left_out_is_at_its_default(kind, options):
    net = kind()
    surgery = nw.batch_normalize(net, **options)
    assert surgery.changes[0].why == "followed with torch.fx"
    assert placed(net, **options) == ["first.norm", "middle.norm"]
    assert surgery.model.last.bias is not None
    assert not surgery.left_alone
    assert surgery.model(X).shape == (4, 2)


def test_what_the_example_gives_is_given():
    assert placed(WithMask(), example=(X, torch.ones(4, 8))) == ["middle.norm"]
    assert placed(WithLoss(), example=(X, torch.ones(4, 2))) == ["first.norm", "middle.norm", "last.norm"]
    assert placed(WithMask(), example=(X, None)) == ["first.norm", "middle.norm"]
    assert reasons(WithState(), example=(X, torch.randn(4, 8))) == {"first": "left alone: forward does not call it"}
    features = nw.batch_normalize(WithFlag(), example={"x": X, "return_features": True})
    assert [change.name for change in features.left_alone] == ["last"]


def test_a_recurrent_network_with_optional_lengths():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(11, 6), nn.LSTM(6, 6, batch_first=True)
            self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

        def forward(self, tokens, lengths=None):
            x = self.embedding(tokens)
            if lengths is not None:
                x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, (h, _) = self.lstm(x)
            return self.out(F.relu(self.hidden(h[-1])))

    assert placed(Classifier()) == ["hidden.norm"]
    surgery = nw.batch_normalize(Classifier(), example=(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 2])))
    assert "it makes a new tensor of one of its arguments, tokens, lengths" in surgery.changes[0].why
    assert [change.name for change in surgery.changes if not change.before] == ["hidden.norm"]


def test_tracing_makes_no_copy_of_its_own(monkeypatch):
    copies = []
    monkeypatch.setattr("normwise.surgery.walk.duplicate", copies.append)
    net = WithLoss()
    assert nw.batch_normalize(net, inplace=True).model is net
    assert copies == []
