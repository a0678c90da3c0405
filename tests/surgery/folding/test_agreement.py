from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import nn

from folds import Calls, double, error, fold, image
from normwise.errors import SurgeryError
from zoo import ZOO, randomize


def test_a_difference_beyond_the_tolerance_says_where_and_leaves_the_network():
    network = randomize(ZOO["resnet"].make()).train()
    with pytest.raises(SurgeryError, match=r"differs .* more than tolerance=0; first at \S+ \d"):
        fold(network, example=ZOO["resnet"].example(), tolerance=0.0, inplace=True)
    assert network.training
    assert isinstance(network.bn1, nn.BatchNorm2d)


def test_a_network_whose_outputs_cannot_be_compared_is_refused():
    class Counts(Calls):
        def forward(self, x):
            return self.norm(self.conv(x)).argmax()

    with pytest.raises(SurgeryError, match="no floating-point tensor"):
        fold(double(Counts(None)), example=image)


class Counting(Calls):
    """Gives more each time it is called."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.norm(self.conv(x)) * self.calls


class Noisy(Calls):
    """Draws numbers from a generator that is not torch's."""

    def forward(self, x):
        return self.norm(self.conv(x)) * random.random()


@pytest.mark.parametrize("cls", [Counting, Noisy])
def test_a_network_that_differs_from_itself_is_told_from_one_that_was_folded_wrongly(cls):
    with pytest.raises(SurgeryError, match=rf"{cls.__name__} differs from itself when it runs on the example again"):
        fold(double(cls(None)), example=image)


class Remembering(Calls):
    """Counts in a buffer and keeps another, and uses both."""

    def __init__(self):
        super().__init__(None)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        self.last = self.last + 2
        return self.norm(self.conv(x)) * self.count + self.last


@pytest.mark.parametrize("inplace", [True, False])
def test_buffers_that_forward_changes_are_those_of_the_network(inplace):
    network = double(Remembering())
    network(image)
    twin = copy.deepcopy(network)
    made = fold(network, example=image, inplace=inplace).model
    assert error(made(image), twin(image)) <= 1e-12
    assert (made.count, made.last) == (2, 4)
