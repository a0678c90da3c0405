from __future__ import annotations

import copy
import enum
import itertools
import pickle

import pytest
import torch
from torch.nn import functional as F

import normwise as nw
from folds import Calls, double, error, fold, folded, image, why
from normwise.surgery import optional

two = torch.tensor(2.0).double()


class Mode(enum.Enum):
    WHOLE = 1
    FEATURES = 2


def features(net, x, chosen):
    y = net.conv(x)
    return y if chosen else net.norm(y)


class Flag(Calls):
    def forward(self, x, features_only=False):
        return features(self, x, features_only)


class Flags(Calls):
    def forward(self, x, *, skip=True, twice=False):
        y = self.norm(self.conv(x))
        y = y if skip else y + x
        return y * 2 if twice else y


class Both(Calls):
    def forward(self, x, first=False, second=False):
        return features(self, x, first and second)


class Early(Calls):
    def forward(self, x, raw=False):
        return x if raw else self.norm(self.conv(x))


class Again(Calls):
    def forward(self, x, more=False):
        y = self.norm(self.conv(x))
        return y + self.conv(x) if more else y


class Given(Calls):
    def forward(self, x, extra=None):
        y = self.conv(x)
        return self.norm(y) if extra is None else self.norm(y * extra)


class Afterwards(Calls):
    def forward(self, x, extra=None, scale=1.0):
        y = self.norm(self.conv(x)) * scale
        return y if extra is None else y + extra


class Residual(Calls):
    def __init__(self, forward):
        super().__init__(forward, norm=nw.BatchNorm2d(3))

    def forward(self, x, residual=None):
        y = self.conv(x)
        return self.norm(y) if residual is None else self.norm(y, residual=residual)


class OfMode(Calls):
    def forward(self, x, mode=Mode.WHOLE):
        return features(self, x, mode is Mode.FEATURES)


class Named(Calls):
    def forward(self, x, mode="whole"):
        return features(self, x, mode == "features")


class Listed(Calls):
    def forward(self, x, layers=(1, 2)):
        return features(self, x, 3 in layers)


class OfClass(Calls):
    def forward(self, x, mode=None):
        return features(self, x, isinstance(mode, str))


class OfTensor(Calls):
    def forward(self, x, mode=None):
        return features(self, x, torch.is_tensor(mode))


class InTable(Calls):
    def forward(self, x, mode=None):
        return features(self, x, {"features": True}.get(mode, False))


class Trying(Calls):
    def forward(self, x, number=None):
        y = self.conv(x)
        try:
            return [y, self.norm(y)][int(number)]
        except (TypeError, ValueError):
            return self.norm(y)


class ByName(Calls):
    def whole_all(self, y):
        return y

    def forward(self, x, name=None):
        return getattr(self, f"whole_{name}", self.norm)(self.conv(x))


class Inner(Calls):
    def forward(self, x, mode=None):
        return self.norm(self.conv(x)) if mode is None else self.other(x, mode)

    def other(self, x, mode):
        return features(self, x, isinstance(mode, int))


class Many(Calls):
    def forward(self, x, a=False, b=False, c=False, d=False, e=False):
        return features(self, x, a and b and c and d and e)


class Keywords(Calls):
    def forward(self, x, **keywords):
        return features(self, x, keywords.pop("mode", None) is not None)


class Rest(Calls):
    def forward(self, x, *rest):
        return features(self, x, rest)


class Passed(Calls):
    def forward(self, x, *rest, **keywords):
        return self.norm(self.conv(x))


BOTH = (False, True)
CASES = {
    # the network, what its optional arguments may be, which normalizations can be folded, what is said of the others
    Flag: ({"features_only": BOTH}, [], "it follows conv (Conv2d), but not for all values of features_only="),
    Flags: ({"skip": BOTH, "twice": BOTH}, ["norm"], ""),
    Both: ({"first": BOTH, "second": BOTH}, [], "but not for all values of first=, second=, which the example leaves"),
    Early: ({"raw": BOTH}, ["norm"], ""),
    Again: ({"more": BOTH}, [], "but not for all values of more="),
    Given: ({"extra": (None, two)}, [], "but not for all values of extra="),
    Afterwards: ({"extra": (None, two), "scale": (1.0, 3.0)}, ["norm"], ""),
    Residual: ({"residual": (None, image)}, [], "but not for all values of residual="),
    OfMode: ({"mode": tuple(Mode)}, [], "but not for all values of mode="),
    Named: (
        {"mode": ("whole", "features")},
        [],
        "may depend on mode=, which the example leaves out; give it",
    ),
    Listed: ({"layers": ((1, 2), [3])}, [], "may depend on layers="),
    OfClass: ({"mode": (None, "features")}, [], "may depend on mode="),
    OfTensor: ({"mode": (None, two)}, [], "may depend on mode="),
    InTable: ({"mode": (None, "features")}, [], "may depend on mode="),
    Trying: ({"number": (None, 0, 1)}, [], "may depend on number="),
    ByName: ({"name": (None, "all")}, [], "may depend on name="),
    Inner: ({"mode": (None, 1, "1")}, [], "may depend on mode="),
    Many: (dict.fromkeys("abcde", BOTH), [], "may depend on a=, b=, c=, d=, e="),
    Keywords: ({"mode": (None, 1)}, [], "it follows something else on the example"),
    Rest: ({}, [], "because torch.fx cannot trace it"),
    Passed: ({"anything": (1,)}, ["norm"], ""),
}


@pytest.mark.parametrize("cls", CASES)
def test_whatever_is_given_for_what_the_example_leaves_out_the_outputs_are_right(cls):
    values, gone, reason = CASES[cls]
    network = double(cls(None))
    surgery = fold(network, example=image)
    assert folded(surgery) == gone
    assert reason in why(surgery, "norm")
    assert error(surgery.model(image), network(image)) <= 1e-12
    for given in itertools.product(*values.values()):
        keywords = dict(zip(values, given, strict=True))
        assert error(surgery.model(image, **keywords), network(image, **keywords)) <= 1e-12


@pytest.mark.parametrize("cls", [Flag, Named, Listed, OfClass, Many])
def test_what_the_example_gives_stays_as_it_is(cls):
    network = double(cls(None))
    values = {name: given[0] for name, given in CASES[cls][0].items()}
    assert folded(fold(network, example={"x": image, **values})) == ["norm"]


def test_the_folded_network_is_copied_pickled_and_exported_as_any_other():
    network = double(Flags(None))
    made = fold(network, example=image).model
    want = network(image, twice=True)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert error(twin(image, twice=True), want) <= 1e-12
    program = torch.export.export(made, (image,), {"twice": True})
    assert error(program.module()(image, twice=True), want) <= 1e-12
    assert not made._forward_pre_hooks
    assert "forward" not in vars(made)


def test_each_way_is_traced_once_and_there_are_not_too_many():
    found = optional.ways(double(Flags(None)), image)
    assert found.changed == ["", "twice=", "skip=", "skip=, twice="]
    assert not found.problem
    assert len(optional.ways(double(Many(None)), image).graphs) == 1


def test_a_forward_that_was_replaced_in_the_module_is_not_the_one_that_is_traced():
    network = double(Calls(lambda net, x: net.norm(net.conv(x))))
    network.forward = lambda x, raw=False, net=network: features(net, x, raw)
    assert optional.ways(network, image).problem == "its forward is not that of its class, which a trace follows"


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
