import torch
from torch import nn

from normwise.lab.factory import resolve
from normwise.lab.identity import digest


class Doubling(nn.Module):
    def __init__(self, hidden=4):
        super().__init__()
        self.linear = nn.Linear(3, hidden)

    def forward(self, x):
        return self.linear(x) * 2


class Tripling(Doubling):
    def forward(self, x):
        return self.linear(x) * 3


def of(make):
    return digest(resolve(make, what="model"))


def test_the_same_network_is_the_same_every_time():
    assert of(Doubling) == of(Doubling) == of(lambda: Doubling())


def test_the_generator_s_state_does_not_count():
    before = of(Doubling)
    torch.rand(3)
    assert of(Doubling) == before


def test_widths_weights_and_forwards_tell_networks_apart():
    def shifted():
        net = Doubling()
        with torch.no_grad():
            net.linear.weight.add_(1)
        return net

    found = {of(Doubling), of(lambda: Doubling(5)), of(shifted)}
    assert len(found) == 3
    Tripling.__qualname__, name = Doubling.__qualname__, Tripling.__qualname__
    Tripling.__name__ = "Doubling"
    try:
        assert of(Tripling) not in found
    finally:
        Tripling.__qualname__, Tripling.__name__ = name, "Tripling"


def test_addresses_in_a_repr_do_not_count():
    class Applies(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.function = lambda x: x

        def forward(self, x):
            return self.function(self.linear(x))

        def extra_repr(self):
            return repr(self.function)

    assert of(Applies) == of(Applies)
