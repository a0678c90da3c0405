"""What the tables of the zoo say of its networks is so."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from networks.awkward import NormAct, Shared
from normwise.surgery.graph import trace
from tensors import same_bits
from zoo import ZOO, describe, randomize


def each():
    """Every entry; of what is printed, the last line names the one that failed."""
    for entry in ZOO.values():
        print(entry)
        yield entry


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


def test_networks_run_and_are_determined_by_the_seed():
    for entry in each():
        for training in (True, False):
            first, second = twice(entry, training)
            assert first.shape == entry.output
            assert first.isfinite().all()
            assert first.std() > 0
            same_bits(first, second)


def test_every_parameter_has_a_gradient_and_every_normalization_sees_several_values():
    for entry in each():
        network, seen = entry.make(), []
        assert network.training
        for norm in norms(network):
            norm.register_forward_pre_hook(lambda norm, args, to=seen: to.append(args[0].numel() / norm.num_features))
        y = network(entry.example())
        y.backward(torch.randn_like(y))
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
        assert len(seen) >= entry.norms
        assert all(count >= 2 for count in seen)


def test_normalizations_are_counted_and_networks_are_traced_where_they_say_so():
    for entry in each():
        network = entry.make()
        assert len(norms(network)) == entry.norms
        assert entry.foldable <= entry.norms + entry.functional
        for training in (True, False):
            flow = trace(network.train(training))
            assert (flow.graph is not None) == entry.traceable, flow.problem
            nodes = flow.graph.nodes if entry.traceable else ()
            assert sum(node.target is F.batch_norm for node in nodes) == (entry.functional if entry.traceable else 0)


def test_the_published_network_adds_normalizations_only():
    renamed = {"PlainResNet": "ResNet", "PlainBlock": "BasicBlock", "Sequence": "NormalizedSequence"}
    published = [entry for entry in each() if entry.published]
    assert published
    for entry in published:
        twin = ZOO[entry.published]
        without = [kind for _, kind in describe(twin.make()) if not kind.startswith("BatchNorm")]
        assert [renamed.get(kind, kind) for _, kind in describe(entry.make())] == without
        assert twin.norms > entry.norms == 0
        assert twin.example().shape == entry.example().shape


def test_randomize_leaves_no_default_and_adds_nothing():
    def told(network):
        return describe(network), list(network.state_dict()), [p.requires_grad for p in network.parameters()]

    for entry in each():
        network = entry.make()
        before = told(network)
        assert randomize(network) is network
        assert told(network) == before
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
