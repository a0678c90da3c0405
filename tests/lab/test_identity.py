import functools
import subprocess
import sys

import numpy as np
import torch
from torch import nn

from normwise.lab.factory import resolve
from normwise.lab.identity import function_digest, network_digest


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
    return network_digest(resolve(make, what="model"))


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


def of_function(function):
    return function_digest(resolve(function, what="loss"))


class Focal:
    def __init__(self, gamma):
        self.gamma = gamma

    def __call__(self, outputs, targets):
        return (outputs - targets).abs().pow(self.gamma).mean()


def powered(gamma):
    def loss(outputs, targets, *, gamma=gamma):
        return (outputs - targets).abs().pow(gamma).mean()

    return loss


def around(function):
    return lambda outputs, targets: function(outputs - targets).mean()


def weighted(weight):
    return lambda outputs, targets: (weight[: len(outputs)] * (outputs - targets)).mean()


def last_of(values, changed):
    values[-1] = changed
    return values


def test_what_changes_a_loss_s_value_makes_another_loss():
    pairs = [
        (Focal(1), Focal(2)),
        (powered(1), powered(2)),
        (functools.partial(torch.dist, p=1), functools.partial(torch.dist, p=2)),
        (around(lambda d: d.abs()), around(lambda d: d**2)),
        (weighted(last_of(torch.ones(5000), 1)), weighted(last_of(torch.ones(5000), 2))),
        (weighted(last_of(np.ones(5000), 1)), weighted(last_of(np.ones(5000), 2))),
        (nn.HuberLoss(delta=1.0), nn.HuberLoss(delta=9.0)),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9.0]))),
        (nn.CrossEntropyLoss(label_smoothing=0.0), nn.CrossEntropyLoss(label_smoothing=0.9)),
        (Focal(1).__call__, Focal(2).__call__),
    ]
    for one, other in pairs:
        assert of_function(one) != of_function(other), one


def test_the_same_loss_is_the_same_every_time():
    for make in (lambda: Focal(2), lambda: powered(2), lambda: around(torch.abs), lambda: nn.HuberLoss(delta=3.0)):
        assert of_function(make()) == of_function(make())


def test_a_changed_file_that_a_loss_s_file_imports_makes_another_loss(tmp_path):
    (tmp_path / "net.py").write_text("from helper import weight\n\ndef loss(o, t):\n    return weight(o - t).mean()\n")
    code = "import sys; from normwise.lab.factory import resolve; from normwise.lab.identity import function_digest\n"
    code += "print(function_digest(resolve('net.py:loss', what='loss')))"
    found = []
    for number in (1, 2, 2):
        (tmp_path / "helper.py").write_text(f"def weight(d):\n    return {number} * d\n")
        run = subprocess.run(
            [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        found.append(run.stdout)
    assert found[0] != found[1] == found[2]
