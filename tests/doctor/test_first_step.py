import torch
from torch import nn

from normwise.doctor.first_step import raises_in
from normwise.lab.batch import Batch


def batch(*shape):
    return Batch((torch.zeros(shape),), {}, None, shape[0])


def test_the_innermost_layer_that_raises_is_named_and_no_hook_stays():
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    assert raises_in(net, batch(2, 4)) == "1.1 (Linear)"
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_nothing_is_named_where_none_does_or_the_root_itself():
    class Root(nn.Module):
        def forward(self, x):
            raise KeyError(x)

    assert raises_in(nn.Linear(4, 4), batch(2, 4)) == ""
    assert raises_in(Root(), batch(2, 4)) == ""
