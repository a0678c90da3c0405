from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from folds import conv, double, error, expected, fold, folded, image, why


class Functions(nn.Module):
    """Calls of ``F.batch_norm`` of all kinds."""

    def __init__(self, training=False, scale=1):
        super().__init__()
        self.conv, self.inner = conv(), nn.BatchNorm2d(3)
        self.batch, self.scale = training, scale

    def forward(self, x, extra=None):
        x = self.conv(x) if extra is None else x
        weight = self.inner.weight if self.scale == 1 else self.inner.weight * self.scale
        return F.batch_norm(
            x, self.inner.running_mean, self.inner.running_var, weight=weight, training=self.batch, eps=0.1
        )


def test_a_function_becomes_part_of_the_convolution():
    network = double(Functions())
    surgery = fold(network, example=image)
    assert error(surgery.model(image), network(image)) <= 1e-12
    assert [change.before for change in surgery.changes if change.name in folded(surgery)] == ["F.batch_norm"]
    assert isinstance(surgery.model, torch.fx.GraphModule)
    assert list(network._modules) == ["conv", "inner"]


@pytest.mark.parametrize(("options", "reason"), [({"training": True}, "each batch"), ({"scale": 2}, "computed")])
def test_a_function_with_other_moments_is_reported(options, reason):
    network = nn.Sequential(double(Functions(**options)), conv().double(), nn.BatchNorm2d(3).double()).eval()
    surgery = fold(network, example=image)
    assert error(surgery.model(image), expected(network, image)) <= 1e-12
    assert reason in why(surgery, "")


def test_a_graph_refuses_arguments_that_it_was_not_made_for():
    network = double(Functions())
    made = fold(network, example=image).model
    with pytest.raises(AssertionError, match="extra has been specialized to have value None"):
        made(image, torch.ones(()))


def test_a_function_is_left_where_a_graph_could_not_refuse():
    class Chosen(Functions):
        def __init__(self):
            super().__init__()
            self.first, self.norm = conv(), nn.BatchNorm2d(3)

        def forward(self, x, axes=(2, 3)):
            return super().forward(self.norm(self.first(x))) + x.mean(axes, keepdim=True)

    network = double(Chosen())
    surgery = fold(network, example=image)
    assert "always have the default of axes=" in why(surgery, "")
    for axes in ((2, 3), (3,)):
        assert error(surgery.model(image, axes), network(image, axes)) <= 1e-12


def test_functions_in_a_network_with_tensors_and_attributes_of_its_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.note = nn.Conv2d(3, 3, 1), "kept"
            self.register_buffer("mean", torch.randn(3))
            self.register_buffer("var", torch.rand(3) + 1)

        def forward(self, x):
            y = nn.functional.batch_norm(self.conv(x), self.mean, self.var)
            return y * torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)

    net, x = Own().eval(), torch.randn(4, 3, 5, 5)
    model = nw.fold(net, example=x).model
    torch.testing.assert_close(model(x), net(x), rtol=1e-5, atol=1e-5)
    assert model.note == "kept"
    assert set(dict(net.named_modules())) == {"", "conv"}


def test_a_function_in_a_forward_that_asks_for_a_class_is_left():
    class Asking(Functions):
        def forward(self, x):
            return super().forward(x * 2 if isinstance(x, torch.Tensor) else x)

    network = double(Asking())
    surgery = fold(network, example=image)
    assert error(surgery.model(image), network(image)) <= 1e-12
    assert "asks for the class of x" in why(surgery, "")
