from __future__ import annotations

import pytest
from torch import nn

from folds import (
    Calls,
    double,
    fold,
    image,
)
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
