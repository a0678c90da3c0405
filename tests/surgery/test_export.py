from __future__ import annotations

import importlib.util
import itertools
import logging
import warnings
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import normwise as nw
from networks.inputs import MASK, ROWS, TwoInputs, X
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import batch_normalize
from tensors import same_bits
from zoo import ZOO, randomize

SUFFIXES = pytest.mark.parametrize("suffix", ["onnx", "pt2"])
export = nw.surgery.export


def prepared(name):
    entry = ZOO[name]
    return randomize(entry.make()).eval(), entry.example()


def load(path):
    """The file as a function of tensors."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    session = onnxruntime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]

    def run(*inputs):
        outputs = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        return torch.from_numpy(outputs[0])

    return run


@torch.no_grad()
def error(got, want):
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize(
    ("name", "suffix"), [("resnet", "onnx"), ("functional", "pt2"), ("fused", "onnx"), ("sequence_bn", "pt2")]
)
def test_the_file_computes_what_the_network_does_for_any_number_of_examples(name, suffix, tmp_path):
    network, x = prepared(name)
    made = export(network, tmp_path / f"model.{suffix}", x)
    assert made.path == tmp_path / f"model.{suffix}"
    run = load(made.path)
    for batch in (x, x[:1], torch.cat([x, x, x])):
        assert error(run(batch), network(batch)) <= 1e-5
    assert 0 <= made.difference <= 1e-5
    assert sum(change.why.startswith("part of") for change in made.changes) == ZOO[name].foldable
    assert [path.name for path in tmp_path.iterdir()] == [f"model.{suffix}"]


@SUFFIXES
def test_an_example_of_one_gives_a_file_for_any_number(suffix, tmp_path):
    network, x = prepared("conv1d")
    run = load(export(network, tmp_path / f"model.{suffix}", x[:1]).path)
    assert error(run(x), network(x)) <= 1e-5


def test_the_network_is_left_as_it_is(tmp_path):
    network, x = prepared("conv1d")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    classes = [type(module) for module in network.modules()]
    export(network, tmp_path / "model.pt2", x)
    same_bits(network.state_dict(), state)
    assert [type(module) for module in network.modules()] == classes


def test_onnx_holds_no_normalization_and_one_file_holds_all(tmp_path):
    network, x = prepared("conv1d")
    path = export(network, tmp_path / "model.onnx", x).path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


class Several(nn.Module):
    """Arguments and outputs of all kinds."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    def forward(self, x, *, scale, extra=None):
        return {"y": self.block(x) * scale, "pair": (x if extra is None else extra, x.argmax(1))}


@SUFFIXES
def test_keywords_and_several_outputs(suffix, tmp_path):
    example = {"x": torch.randn(4, 3), "scale": torch.tensor(2.0)}
    made = export(randomize(Several()).eval(), tmp_path / f"model.{suffix}", example)
    assert len(made.changes) == 1


def test_inputs_with_the_same_number_of_examples(tmp_path):
    """By position and by name, one of them a mask."""
    network, called = TwoInputs(), SimpleNamespace(args=(X, ROWS), kwargs={"mask": MASK})
    network = batch_normalize(network, example=called).model.eval()
    path = export(network, tmp_path / "model.pt2", called).path
    fewer = (X[:3], ROWS[:3]), {"mask": MASK[:3]}
    assert error(load(path)(*fewer[0], **fewer[1]), network(*fewer[0], **fewer[1])) <= 1e-5


class Fixed(nn.Module):
    """Takes four examples and no other number."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    def forward(self, x):
        return self.block(x) + torch.arange(4.0).reshape(4, 1)


def test_a_network_for_one_number_of_examples(tmp_path):
    network, x = randomize(Fixed()).eval(), torch.randn(4, 3)
    with pytest.raises(SurgeryError, match="give any_batch=False"):
        export(network, tmp_path / "model.pt2", x)
    assert error(load(export(network, tmp_path / "model.pt2", x, any_batch=False).path)(x), network(x)) <= 1e-5


class Branching(nn.Module):
    """Does something else for some numbers of examples."""

    def __init__(self, rule):
        super().__init__()
        self.block, self.rule = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), rule

    def forward(self, x):
        y = self.block(x)
        return y * 2 if self.rule(x.shape[0]) else y


RULES = {
    "more": (lambda n: n > 5, "depends on the number of examples: it was followed where .* > 5"),
    "fewer": (lambda n: n < 100, "depends on the number of examples: it was followed where .* < 100"),
    "even": (lambda n: n % 2 == 0, "depends on the number of examples: it was followed where .* % 2"),
    "one": (lambda n: n == 1, "computes something else than the network, .* give any_batch=False"),
}


@pytest.mark.parametrize(("rule", "suffix"), [*itertools.product(RULES, ["onnx"]), ("more", "pt2"), ("one", "pt2")])
def test_a_network_that_branches_on_the_number_of_examples_is_refused(rule, suffix, tmp_path):
    test, message = RULES[rule]
    with pytest.raises(SurgeryError, match=message):
        export(randomize(Branching(test)).eval(), tmp_path / f"model.{suffix}", torch.randn(4, 3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("examples", [1, 7])
def test_a_network_that_branches_is_written_for_one_number_of_examples(examples, tmp_path):
    network, x = randomize(Branching(RULES["more"][0])).eval(), torch.randn(examples, 3)
    run = load(export(network, tmp_path / "model.onnx", x, any_batch=False).path)
    assert error(run(x), network(x)) <= 1e-5


def test_a_network_that_takes_no_single_example(tmp_path):
    class Pairs(Branching):
        def forward(self, x):
            assert x.shape[0] != 1
            return self.block(x)

    network, x = randomize(Pairs(None)).eval(), torch.randn(4, 3)
    assert error(load(export(network, tmp_path / "model.onnx", x).path)(x), network(x)) <= 1e-5


class Returning(Branching):
    def forward(self, x):
        return self.block(x), self.rule


@pytest.mark.parametrize(
    ("suffix", "value"), [("onnx", "text"), ("onnx", 3), ("onnx", range(3)), ("pt2", range(3)), ("pt2", "text")]
)
def test_outputs_that_no_file_holds(suffix, value, tmp_path):
    network = randomize(Returning(value)).eval()
    with pytest.raises(SurgeryError, match=rf"returns {type(value).__name__}, which a .{suffix} file cannot; wrap it"):
        export(network, tmp_path / f"model.{suffix}", torch.randn(4, 3))


@pytest.mark.parametrize(("suffix", "value"), [("onnx", None), ("pt2", None), ("pt2", True), ("pt2", 3)])
def test_outputs_beside_tensors(suffix, value, tmp_path):
    export(randomize(Returning(value)).eval(), tmp_path / f"model.{suffix}", torch.randn(4, 3))


@SUFFIXES
def test_a_network_in_training_mode_is_refused(suffix, tmp_path):
    network, x = prepared("resnet")
    with pytest.raises(SurgeryError, match=r"training mode.*call model.eval\(\) before export"):
        export(network.train(), tmp_path / f"model.{suffix}", x)
    network.eval().layer1[0].bn1.train()
    with pytest.raises(SurgeryError, match=r"parts of the network are in training mode: layer1.0.bn1; call"):
        export(network, tmp_path / f"model.{suffix}", x)
    assert not list(tmp_path.iterdir())


@SUFFIXES
def test_a_file_that_does_not_agree_leaves_what_was_there(suffix, tmp_path, monkeypatch):
    network, x = prepared("conv1d")
    path = tmp_path / f"model.{suffix}"
    path.write_text("before")
    with pytest.raises(SurgeryError, match=r"more than tolerance=1e-20"):
        export(network, path, x, tolerance=1e-20)
    real = torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda network, *args, **kwargs: real(Doubled(network), *args, **kwargs)
    )
    with pytest.raises(SurgeryError, match=r"computes something else than the network.*nothing was written"):
        export(network, path, x)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


class Doubled(nn.Module):
    """Twice what a network gives."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, input):  # noqa: A002 - the name that a Sequential gives it
        return 2 * self.network(input)


@pytest.mark.parametrize(
    ("path", "message"),
    [("model.pth", r"must end in \.onnx.*it ends in '\.pth'"), ("none/model.pt2", "there is no folder .*none")],
)
def test_where_it_cannot_be_written(path, message, tmp_path):
    network, x = prepared("conv1d")
    with pytest.raises(InvalidArgumentError, match=message):
        export(network, tmp_path / path, x)


def test_a_file_that_cannot_be_loaded(tmp_path, monkeypatch):
    network, x = prepared("conv1d")
    monkeypatch.setattr(torch.export, "save", lambda program, path: path.write_text("nothing"))
    with pytest.raises(SurgeryError, match="the file that was written cannot be loaded"):
        export(network, tmp_path / "model.pt2", x)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_extra(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    network, x = prepared("conv1d")
    with pytest.raises(SurgeryError, match=r"needs onnxruntime: pip install 'normwise\[export\]'"):
        export(network, tmp_path / "model.onnx", x)
    export(network, tmp_path / "model.pt2", x)


def test_what_cannot_be_exported_says_why_and_no_more(tmp_path, capfd):
    network, x = prepared("branching")
    with pytest.raises(SurgeryError, match=r"torch\.export cannot export the network: Could not guard"):
        export(network, tmp_path / "model.pt2", x)
    assert "".join(capfd.readouterr()) == ""


def test_an_example_of_the_wrong_shape(tmp_path):
    network, x = prepared("conv1d")
    with pytest.raises(SurgeryError, match=r"does not run on the example of shape \(4, 16\)"):
        export(network, tmp_path / "model.pt2", x[:, 0])


def test_logging_and_warnings_are_as_before(tmp_path):
    network, x = prepared("conv1d")
    logging.disable(logging.INFO)
    try:
        before = warnings.filters[:]
        export(network, tmp_path / "model.pt2", x)
        assert logging.root.manager.disable == logging.INFO
        assert warnings.filters == before
    finally:
        logging.disable(logging.NOTSET)
