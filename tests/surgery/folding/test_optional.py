from __future__ import annotations

import torch
from torch.nn import functional as F

from folds import (
    Calls,
    double,
    error,
    fold,
    folded,
    image,
)


def test_an_argument_that_the_example_leaves_out_is_not_taken_to_be_there():
    class Optional(Calls):
        def forward(self, x, extra=None):
            y = self.conv(x)
            return self.norm(y) if extra is None else self.norm(y * extra)

    network = double(Optional(None))
    surgery = fold(network, example=image)
    for extra in ((), (torch.tensor(2.0).double(),)):
        assert error(surgery.model(image, *extra), network(image, *extra)) <= 1e-12


def test_a_flag_of_the_example_is_no_obstacle():
    class Flagged(Calls):
        def forward(self, x, twice, scale=1):
            y = self.norm(self.conv(x))
            y = F.batch_norm(y, self.norm.running_mean, self.norm.running_var) if twice == "functional" else y * scale
            return y * 2 if twice else y

    network = double(Flagged(None))
    for example in ((image, True), {"x": image, "twice": False}):
        assert folded(fold(network, example=example)) == ["norm"]
    surgery = fold(network, example={"x": image, "twice": "functional"})
    assert isinstance(surgery.model, torch.fx.GraphModule)
    want = network(image, "functional")
    assert error(surgery.model(x=image, twice="functional"), want) <= 1e-12
