from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from networks.awkward import NormAct, Shared
from normwise.surgery.graph import trace
from tensors import same_bits
from zoo import ZOO, describe, randomize

every = pytest.mark.parametrize("entry", ZOO.values(), ids=str)


def norms(network):
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def twice(entry, training):
    """What two copies made from one seed do with one input."""
    outputs = []
    for _ in range(2):
        torch.manual_seed(1)
        network = randomize(entry.make()).train(training)
        outputs.append(network(entry.example()))
    return outputs


@every
@pytest.mark.parametrize("training", [True, False])
def test_runs_and_is_determined_by_the_seed(entry, training):
    first, second = twice(entry, training)
    assert first.shape == entry.output
    assert first.isfinite().all()
    assert first.std() > 0
    same_bits(first, second)


@every
def test_every_parameter_has_a_gradient(entry):
    network = entry.make()
    y = network(entry.example())
    y.backward(torch.randn_like(y))
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@every
def test_every_normalization_sees_several_values(entry):
    network, seen = entry.make(), []
    for norm in norms(network):
        norm.register_forward_pre_hook(lambda norm, args: seen.append(args[0].numel() / norm.num_features))
    network(entry.example())
    assert len(seen) >= entry.norms
    assert all(count >= 2 for count in seen)


@every
def test_counts_its_normalizations(entry):
    network = entry.make()
    assert network.training
    assert len(norms(network)) == entry.norms
    assert entry.foldable <= entry.norms + entry.functional
    if entry.traceable:
        nodes = trace(network).graph.nodes
        assert sum(node.target is F.batch_norm for node in nodes) == entry.functional


@every
@pytest.mark.parametrize("training", [True, False])
def test_is_traced_where_it_says_so(entry, training):
    flow = trace(entry.make().train(training))
    assert (flow.graph is not None) == entry.traceable, flow.problem


@pytest.mark.parametrize("entry", [entry for entry in ZOO.values() if entry.published], ids=str)
def test_the_published_twin_adds_normalizations_only(entry):
    twin = ZOO[entry.published]
    without = [kind for _, kind in describe(twin.make()) if not kind.startswith("BatchNorm")]
    renamed = {"PlainResNet": "ResNet", "PlainBlock": "BasicBlock", "Sequence": "NormalizedSequence"}
    assert [renamed.get(kind, kind) for _, kind in describe(entry.make())] == without
    assert twin.norms > entry.norms == 0
    assert twin.example().shape == entry.example().shape


@every
def test_randomize_leaves_no_default_and_adds_nothing(entry):
    network = entry.make()
    before = describe(network), list(network.state_dict()), [p.requires_grad for p in network.parameters()]
    assert randomize(network) is network
    assert (describe(network), list(network.state_dict()), [p.requires_grad for p in network.parameters()]) == before
    for norm in norms(network):
        if norm.affine:
            assert norm.weight.min() < -0.5 < 0.5 < norm.weight.max()
            assert norm.weight.abs().min() >= 0.5
            assert (norm.bias != 0).all()
        if norm.track_running_stats:
            assert norm.running_var.min() > 0
            assert (norm.running_mean != 0).all()


def test_describe_names_a_shared_module_once():
    assert [name for name, kind in describe(Shared()) if kind == "ReLU"] == ["act"]
    assert describe(NormAct(2)) == [("", "NormAct"), ("act", "ReLU")]


def test_the_branching_network_takes_either_branch():
    network, x = randomize(ZOO["branching"].make()).eval(), ZOO["branching"].example()
    seen = []
    network.plain.register_forward_pre_hook(lambda block, args: seen.append(bool((args[0] >= 0).all())))
    network(x.abs())
    network(-x.abs())
    assert seen == [True, False]
