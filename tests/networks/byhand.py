"""Networks whose forward a test writes, and what it asks of a surgery on them."""

from __future__ import annotations

from torch import nn

import normwise as nw


class Net(nn.Module):
    """Its forward is a function of itself and x."""

    def __init__(self, forward, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def normalized(net, **options):
    """The names of the linear maps and nonlinearities that stand before a normalization, in its wrapper."""
    surgery = nw.batch_normalize(net, **options)
    names = [change.name for change in surgery.changes if not change.before]
    return [name.removesuffix(".norm") for name in names]


def reasons(net, **options):
    return {change.name: change.why for change in nw.batch_normalize(net, **options).left_alone}


def kinds(net):
    return [type(module).__name__ for module in net]


def conv(out=4, given=4):
    return nn.Conv2d(given, out, 3, padding=1)
