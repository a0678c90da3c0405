from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

import normwise
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.remedies import BY_NAME, REMEDIES, Given, applicable, chosen
from normwise.lab.settings import KEYS, Keys

PLAIN = Given(
    Keys(lr=0.2, activation="sigmoid"), "classification", own_model=False, streams=False, own_batches=False,
    activations=("sigmoid", "sigmoid"), steps=500, examples=1000,
)  # fmt: skip
OWN = replace(
    PLAIN, keys=Keys(lr=0.01, activation=None, dropout=None, inputs="raw"), own_model=True,
    activations=("relu", "relu", "softmax"), ends_in=("softmax",),
)  # fmt: skip


def found(name, given=PLAIN, **keys):
    """What a remedy changes where some keys are other than they are in ``given``."""
    return BY_NAME[name].settings(replace(given, keys=replace(given.keys, **keys)))


def test_the_names_are_frozen():
    assert list(BY_NAME) == [
        "batch-normalization", "relu-he", "leaky-relu-he", "tanh-xavier", "selu-lecun", "he", "xavier", "orthogonal",
        "lr*10", "lr*100", "lr*1000", "lr/10", "lr/100", "clip", "warmup", "standard-inputs", "standard-targets",
        "adam", "momentum", "batch-size*4", "linear-output", "weight-decay", "no-weight-decay", "dropout",
        "estimate-population",
    ]  # fmt: skip


def test_what_each_changes():
    assert {remedy.name: remedy.settings(PLAIN) for remedy in applicable(PLAIN)} == {
        "batch-normalization": {"norm": "batch"},
        "relu-he": {"activation": "relu", "init": "he"},
        "leaky-relu-he": {"activation": "leaky_relu:0.1", "init": "he"},
        "tanh-xavier": {"activation": "tanh", "init": "xavier"},
        "selu-lecun": {"activation": "selu", "init": "lecun"},
        "he": {"init": "he"},
        "xavier": {"init": "xavier"},
        "orthogonal": {"init": "orthogonal"},
        "lr*10": {"lr": 2.0},
        "lr*100": {"lr": 20.0},
        "lr*1000": {"lr": 200.0},
        "lr/10": {"lr": 0.02},
        "lr/100": {"lr": 0.002},
        "clip": {"clip": 1.0},
        "warmup": {"warmup": 50},
        "standard-inputs": {"inputs": "standard"},
        "adam": {"optimizer": "adam", "lr": 0.001, "momentum": None},
        "momentum": {"optimizer": "momentum", "momentum": 0.9, "lr": 0.02},
        "batch-size*4": {"batch_size": 240},
        "weight-decay": {"weight_decay": 0.001},
        "dropout": {"dropout": 0.3},
    }


@pytest.mark.parametrize(
    ("name", "given", "keys"),
    [
        ("batch-normalization", PLAIN, {"norm": "batch"}),
        ("batch-normalization", PLAIN, {"batch_size": 1}),
        ("batch-normalization", replace(OWN, normalized=True), {}),
        ("relu-he", OWN, {}),  # it has ReLU everywhere but at its end
        ("tanh-xavier", replace(OWN, activations=()), {}),  # there is nothing to replace
        ("he", PLAIN, {"init": "he"}),
        ("clip", PLAIN, {"clip": 0.5}),
        ("warmup", PLAIN, {"warmup": 10}),
        ("warmup", replace(PLAIN, steps=10), {}),
        ("standard-inputs", PLAIN, {"inputs": "standard"}),
        ("standard-inputs", replace(PLAIN, streams=True), {}),
        ("standard-targets", PLAIN, {}),
        ("standard-targets", replace(PLAIN, kind="regression"), {"targets": "standard"}),
        ("adam", PLAIN, {"optimizer": "adamw"}),
        ("momentum", PLAIN, {"optimizer": "adam"}),
        ("batch-size*4", PLAIN, {"batch_size": 600}),
        ("batch-size*4", replace(PLAIN, own_batches=True), {}),
        ("linear-output", replace(OWN, ends_in=()), {}),
        ("dropout", OWN, {}),
        ("weight-decay", PLAIN, {"weight_decay": 0.1}),
        ("no-weight-decay", PLAIN, {}),
        ("estimate-population", PLAIN, {}),
    ],
)
def test_where_a_remedy_does_not_apply(name, given, keys):
    assert found(name, given, **keys) is None


def test_it_applies_where_that_is_otherwise():
    assert found("linear-output", OWN) == {"output": "linear"}
    assert found("standard-targets", replace(PLAIN, kind="regression")) == {"targets": "standard"}
    assert found("batch-size*4", batch_size=400) == {"batch_size": 1000}  # all there are
    assert found("no-weight-decay", weight_decay=0.1) == {"weight_decay": 0.0}
    assert found("lr*10", lr=0.003) == {"lr": 0.03}  # not 0.030000000000000002


def test_every_change_is_a_key_and_can_be_written_down():
    for given in (PLAIN, OWN, replace(PLAIN, kind="regression")):
        for remedy in applicable(given):
            settings = remedy.settings(given)
            assert set(settings) <= {*KEYS, "output"}
            text = remedy.change.format(**asdict(given.keys) | settings)
            assert "None" not in text.replace("is not None", "")
            assert "{" not in text


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_advised_runs_as_it_is_typed(name):
    keys = asdict(PLAIN.keys) | {"dropout": 0.3, "warmup": 50, "clip": 1.0, "momentum": 0.9, "weight_decay": 0.001}
    torch.manual_seed(0)
    X, Y = torch.randn(40, 4), torch.randn(40, 2)
    X[:, 1] = 0.3
    net = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8, bias=False), nn.Sigmoid(), nn.Linear(8, 2))
    net.append(nn.Softmax(1))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    loader = [X[:20], X[20:]]
    if name == "estimate-population":
        net.insert(1, nn.BatchNorm1d(8))
    known = {"nw": normwise, "torch": torch, "nn": nn, "X": X, "Y": Y, "x": X[:20], "y": Y[:20]}
    known |= {"net": net, "optimizer": optimizer, "loader": loader}
    exec(BY_NAME[name].change.format(**keys), known)
    assert known["x"].isfinite().all()
    assert known["y"].isfinite().all()
    assert known["net"](known["x"]).isfinite().all()


def test_a_feature_that_is_constant_is_not_stretched():
    known = {"X": torch.tensor([[0.3, 1.0], [0.3, 3.0], [0.3, 5.0]]), "x": torch.tensor([[1.3, 3.0]])}
    exec(BY_NAME["standard-inputs"].change, known)
    assert known["x"].tolist() == [pytest.approx([1.0, 0.0])]


def trouble(*remedies, severity=Severity.WARNING):
    return Finding("NW101", "vanishing-gradient", severity, remedies=remedies)


def names(*findings, given=PLAIN, most=6):
    return [remedy.name for remedy in chosen(findings, given, most)]


def test_the_root_cause_s_remedies_come_first_and_others_are_not_shut_out():
    first = trouble("relu-he", "selu-lecun", "tanh-xavier", "xavier", "lr*10", "adam", severity=Severity.CRITICAL)
    second = trouble("standard-inputs", "lr/10")
    assert names(first, second) == [
        "relu-he", "selu-lecun", "tanh-xavier", "standard-inputs", "xavier", "batch-normalization",
    ]  # fmt: skip


def test_it_is_filled_up_with_what_often_helps_and_never_with_what_does_not_apply():
    assert names() == ["batch-normalization", "relu-he", "lr*10", "lr/10", "adam", "standard-inputs"]
    assert names(trouble("standard-targets", "clip"), most=3) == ["clip", "batch-normalization", "relu-he"]
    assert names(trouble("clip", severity=Severity.INFO), most=2) == ["batch-normalization", "relu-he"]
    without = replace(OWN, normalized=True, streams=True, own_batches=True)
    assert not {"batch-normalization", "relu-he", "standard-inputs"} & set(names(given=without, most=20))


def test_batch_normalization_is_tried_also_where_there_is_room_for_one():
    assert names(trouble("clip", "adam"), most=1) == ["batch-normalization"]
    assert names(trouble("clip"), most=0) == []


def test_sizes_are_those_of_the_contract():
    assert {remedy.size for remedy in REMEDIES} == {1, 2, 3, 4, 5}
    assert BY_NAME["lr*10"].size < BY_NAME["adam"].size < BY_NAME["he"].size < BY_NAME["relu-he"].size
    assert max(REMEDIES, key=lambda remedy: remedy.size).name == "batch-normalization"
