from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from tensors import same_bits


class Gated(nw.BatchNorm2d):
    """A subclass with a forward, an option, a child, a buffer and a state of its own."""

    def __init__(self, features, *, gain=1.0):
        super().__init__(features, activation="relu")
        self.gain = gain
        self.gate = nn.Sequential(nn.Conv2d(features, features, 1), nn.Dropout(0.5))
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.note = "new"

    def forward(self, x, residual=None, *, gated=True):
        y = self.gain * super().forward(x, residual)
        return self.gate[0](y).sigmoid() * y if gated else y

    def get_extra_state(self):
        return self.note

    def set_extra_state(self, state):
        self.note = state

    def doubled(self):
        return 2 * self.gain


LAYERS = {
    "torch 1d": (lambda: nn.BatchNorm1d(5), (6, 5)),
    "torch 1d long": (lambda: nn.BatchNorm1d(5, affine=False), (4, 5, 3)),
    "torch 2d": (lambda: nn.BatchNorm2d(3, momentum=None), (4, 3, 5, 2)),
    "torch 3d": (lambda: nn.BatchNorm3d(2), (3, 2, 2, 3, 2)),
    "torch sync": (lambda: nn.SyncBatchNorm(3), (4, 3, 5, 2)),
    "ours 1d": (lambda: nw.BatchNorm1d(5, momentum=None), (6, 5)),
    "ours 1d long": (lambda: nw.BatchNorm1d(5, bias=False), (4, 5, 3)),
    "ours 2d": (lambda: nw.BatchNorm2d(3, activation="leaky_relu:0.1"), (4, 3, 5, 2)),
    "ours 3d": (lambda: nw.BatchNorm3d(2), (3, 2, 2, 3, 2)),
    "subclass": (lambda: Gated(3, gain=0.7), (4, 3, 5, 2)),
}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def case(request):
    """A layer that was trained a little, and a batch."""
    make, shape = request.param
    layer = randomized(make())
    return layer, torch.randn(shape)


def randomized(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    layer.num_batches_tracked += 3
    return layer


def frozen_2d(**options):
    return nw.FrozenBatchNorm(randomized(nw.BatchNorm2d(3, **options)))


def step(layer, x):
    """y and the gradients of x and the parameters."""
    generator = torch.Generator().manual_seed(1)
    x = x.detach().requires_grad_()
    y = layer(x)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], torch.randn(y.shape, generator=generator))]


def state(layer):
    return copy.deepcopy({**dict(layer.named_parameters()), **dict(layer.named_buffers())})


@pytest.mark.parametrize("mode", [True, False])
def test_outputs_and_gradients_are_those_of_evaluation_and_the_state_stays(case, mode):
    layer, x = case
    want = step(copy.deepcopy(layer).eval(), x)
    frozen = nw.FrozenBatchNorm(layer).train(mode)
    before = state(frozen)
    for _ in range(2):
        same_bits(step(frozen, x), want)
    assert frozen.training is mode
    assert not isinstance(frozen, nn.modules.batchnorm._BatchNorm)
    same_bits(state(frozen), before)


TORCH_MOVES = pytest.mark.xfail(strict=True, reason="torch's layer updates its statistics in every training forward")


@pytest.mark.parametrize(
    "freeze", [pytest.param(lambda layer: layer, marks=TORCH_MOVES, id="torch"), nw.FrozenBatchNorm], ids=repr
)
def test_requires_grad_false_and_training(freeze):
    layer = freeze(nn.BatchNorm2d(3)).requires_grad_(False)
    layer(torch.randn(4, 3, 2, 2))
    assert torch.equal(layer.running_mean, torch.zeros(3))


@pytest.mark.parametrize(
    "freeze", [pytest.param(lambda layer: layer, marks=TORCH_MOVES, id="torch"), nw.FrozenBatchNorm], ids=repr
)
def test_eval_then_train_of_the_network(freeze):
    net = nn.Sequential(freeze(nn.BatchNorm2d(3)))
    net[0].eval()
    net.train()
    net(torch.randn(4, 3, 2, 2))
    assert torch.equal(net[0].running_mean, torch.zeros(3))


def test_unfreeze_gives_the_layer_back_as_it_was(case):
    layer, x = case
    before, attributes = state(layer), dict(vars(layer))
    twin = copy.deepcopy(layer)
    assert nw.FrozenBatchNorm(layer).unfreeze() is layer
    assert vars(layer) == attributes
    same_bits(state(layer), before)
    for each in (layer, twin):
        torch.manual_seed(2)
        each(x)
    same_bits(state(layer), state(twin))


@pytest.mark.parametrize("mode", [True, False])
def test_unfreeze_takes_the_mode(mode):
    assert frozen_2d().train(mode).unfreeze().training is mode


def test_keywords_and_residuals_reach_the_layer():
    layer = randomized(Gated(3, gain=0.5))
    x, residual = torch.randn(2, 4, 3, 2, 2)
    want = [layer.eval()(x, residual, gated=False), layer(x, residual=residual)]
    frozen = nw.FrozenBatchNorm(layer).train()
    same_bits([frozen(x, residual, gated=False), frozen(x, residual=residual)], want)


def test_children_follow_the_mode_and_the_layer_does_not():
    layer = Gated(3)
    frozen = nw.FrozenBatchNorm(layer)
    for mode in (False, True):
        frozen.train(mode)
        assert [frozen.training, layer.gate[1].training, layer.training] == [mode, mode, False]


def test_what_it_lacks_is_the_layer_s():
    layer = Gated(3, gain=0.5)
    frozen = nw.FrozenBatchNorm(layer)
    assert (frozen.num_features, frozen.eps, frozen.activation, frozen.doubled()) == (3, 1e-5, "relu", 1.0)
    frozen.gain, frozen.momentum = 2.0, 0.7
    assert (layer.gain, layer.momentum) == (2.0, 0.7)
    frozen.weight = nn.Parameter(torch.full((3,), 5.0))
    frozen.extra = nn.Linear(1, 1)
    assert layer.weight is frozen.weight
    assert layer.extra is frozen.get_submodule("extra")
    del frozen.extra, frozen.note
    assert not hasattr(layer, "extra")
    assert not hasattr(frozen, "note")
    with pytest.raises(AttributeError, match="nothing"):
        _ = frozen.nothing


@pytest.mark.parametrize("name", ["reset_running_stats", "reset_parameters"])
def test_resetting_is_refused(name):
    frozen = frozen_2d()
    before = state(frozen)
    with pytest.raises(SurgeryError, match=r"frozen and are not reset: unfreeze .*normwise\.unfreeze"):
        getattr(frozen, name)()
    same_bits(state(frozen), before)


def test_repr_has_the_options_of_the_layer():
    assert repr(nw.FrozenBatchNorm(nn.BatchNorm2d(3, eps=0.1))).startswith("FrozenBatchNorm(3, eps=0.1, momentum=0.1,")
    assert repr(nw.FrozenBatchNorm(nw.BatchNorm2d(3, activation="relu"))).endswith("activation='relu')")


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.InstanceNorm2d(3, track_running_stats=True), "InstanceNorm2d is not a batch normalization"),
        (nn.BatchNorm2d(3, track_running_stats=False), "no running statistics"),
        (nn.LazyBatchNorm2d(), "unknown until it has seen a batch"),
        (nw.FrozenBatchNorm(nn.BatchNorm2d(3)), "FrozenBatchNorm is not a batch normalization"),
    ],
)
def test_what_cannot_be_frozen_is_refused_and_left_as_it_was(layer, says):
    with pytest.raises(InvalidArgumentError, match=says):
        nw.FrozenBatchNorm(layer)
    assert layer.training


def test_a_lazy_layer_that_has_seen_a_batch():
    layer = nn.LazyBatchNorm2d()
    x = torch.randn(4, 3, 2, 2)
    layer(x)
    assert nw.FrozenBatchNorm(layer)(x).shape == x.shape


# State


def test_state_dicts_load_both_ways(case):
    layer, x = case
    other = nw.FrozenBatchNorm(copy.deepcopy(layer)).train()
    with torch.no_grad():
        for tensor in (*layer.parameters(), layer.running_mean):
            tensor += 1
    saved = layer.state_dict()
    other.load_state_dict(saved)
    assert list(other.state_dict()) == list(saved)
    assert other.state_dict()._metadata == saved._metadata
    same_bits(other(x), layer.eval()(x))
    layer.load_state_dict(other.state_dict())
    same_bits(state(layer), state(other))


def test_an_old_state_dict_without_the_counter_loads():
    frozen = frozen_2d()
    old = frozen.state_dict()
    del old["num_batches_tracked"]
    old._metadata[""]["version"] = 1
    assert frozen.load_state_dict(old).missing_keys == []
    assert frozen._version == nn.BatchNorm2d._version


def test_the_subclass_s_own_state_is_saved_and_loaded():
    one, other = nw.FrozenBatchNorm(Gated(3)), nw.FrozenBatchNorm(Gated(3))
    one.note = "trained"
    other.load_state_dict(one.state_dict())
    assert other.unfreeze().note == "trained"


def test_conversion_reaches_the_layer(case):
    layer, x = case
    frozen = nw.FrozenBatchNorm(layer).train().double()
    assert {tensor.dtype for tensor in layer.state_dict().values() if torch.is_tensor(tensor)} == {
        torch.float64,
        torch.int64,
    }
    assert [*frozen.parameters()] == [*layer.parameters()]
    same_bits(frozen(x.double()), copy.deepcopy(layer)(x.double()))
    assert {tensor.device.type for tensor in (*frozen.to("meta").parameters(), *layer.buffers())} == {"meta"}


def test_a_conversion_of_the_subclass_s_own_is_kept():
    class Plain(nn.BatchNorm2d):
        def _apply(self, fn, recurse=True):
            self.scale = fn(self.scale)
            return super()._apply(fn, recurse)

    layer = Plain(3)
    layer.scale = torch.ones(3)
    assert nn.Sequential(nw.FrozenBatchNorm(layer)).double()[0].scale.dtype == torch.float64


def test_the_parameters_can_be_called_with_others():
    frozen = frozen_2d()
    x = torch.randn(4, 3, 2, 2)
    other = {name: torch.rand_like(tensor) for name, tensor in state(frozen).items() if tensor.is_floating_point()}
    twin = copy.deepcopy(frozen)
    twin.load_state_dict(other, strict=False)
    same_bits(torch.func.functional_call(frozen, other, (x,)), twin(x))


# Copies


def saved_and_loaded(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), saved_and_loaded])
def test_copies_are_equal_and_separate(case, clone):
    layer, x = case
    frozen = nw.FrozenBatchNorm(layer).train()
    twin = clone(frozen)
    same_bits(twin(x), frozen(x))
    assert (type(twin), twin.training, type(twin.unfreeze())) == (nw.FrozenBatchNorm, True, type(layer))
    twin = clone(frozen)
    before = state(frozen)
    twin.load_state_dict({"running_mean": layer.running_mean + 1}, strict=False)
    same_bits(twin.unfreeze().running_mean, layer.running_mean + 1)
    same_bits(state(frozen), before)


def test_a_shallow_copy_shares_the_tensors_and_not_the_mode():
    frozen = frozen_2d()
    twin = copy.copy(frozen).eval()
    assert twin.weight is frozen.weight
    assert frozen.training


class Copies(nn.BatchNorm2d):
    """A layer that copies itself."""

    def __deepcopy__(self, memo):
        twin = Copies(self.num_features)
        twin.load_state_dict(self.state_dict())
        return twin.train(self.training)


def test_a_layer_that_copies_itself_stays_frozen():
    twin = copy.deepcopy(nw.FrozenBatchNorm(randomized(Copies(3))))
    assert type(twin) is nw.FrozenBatchNorm
    x = torch.randn(4, 3, 2, 2)
    with torch.no_grad():
        twin.weight.zero_()
    same_bits(twin(x), twin.bias.detach()[None, :, None, None].expand_as(x))


class Keeps:
    """A hook that knows a module."""

    def __init__(self, module):
        self.module = module

    def __call__(self, *_):
        self.module.seen = True


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("order", [0, 1])
def test_hooks_that_know_the_module_are_copied_with_it(clone, order):
    frozen = frozen_2d()
    frozen.register_forward_hook(Keeps(frozen))
    twins = clone([frozen, frozen._layer][:: 1 - 2 * order])
    twin, layer = twins[:: 1 - 2 * order]
    twin(torch.randn(2, 3, 1, 2))
    assert twin.unfreeze() is layer
    assert layer.seen
    assert not hasattr(frozen, "seen")


def test_a_replica_has_its_own_tensors():
    frozen = nw.FrozenBatchNorm(randomized(Gated(3)))
    before = dict(vars(frozen._layer))
    replica = frozen._replicate_for_data_parallel()
    x = torch.randn(4, 3, 2, 2)
    for name, child in frozen._modules.items():
        setattr(replica, name, child)
    for name, tensor in (*frozen._parameters.items(), *frozen._buffers.items()):
        setattr(replica, name, tensor * 2)
    twin = copy.deepcopy(frozen)
    with torch.no_grad():
        for tensor in (*twin._parameters.values(), *twin._buffers.values()):
            tensor *= 2
    same_bits(replica(x), twin(x))
    assert vars(frozen._layer) == before


# Hooks


def test_hooks_run_once_before_and_after():
    layer, calls = nw.BatchNorm2d(3), []
    old = layer.register_forward_hook(lambda *_: calls.append("old"))
    frozen = nw.FrozenBatchNorm(layer)
    frozen.register_forward_pre_hook(lambda *_: calls.append("new"))
    frozen.register_full_backward_hook(lambda *_: calls.append("back"))
    x = torch.randn(4, 3, 2, 2, requires_grad=True)
    frozen(x).sum().backward()
    assert calls == ["new", "old", "back"]
    old.remove()
    calls.clear()
    frozen.unfreeze()(x).sum().backward()
    assert calls == ["new", "back"]


def test_a_forward_that_was_replaced_is_called():
    frozen = frozen_2d()
    run = frozen.forward
    frozen.forward = lambda x: -run(x)
    x = torch.randn(4, 3, 2, 2)
    same_bits(frozen(x), -run(x))


# Compilers


def network(layer):
    return nn.Sequential(nn.Conv2d(3, 3, 1), nw.FrozenBatchNorm(randomized(layer)), nn.ReLU())


NETWORKS = [
    lambda: network(nn.BatchNorm2d(3)),
    lambda: network(nw.BatchNorm2d(3, activation="relu")),
    lambda: network(Gated(3)),
]


@pytest.mark.parametrize("make", NETWORKS, ids=["torch", "ours", "subclass"])
def test_fx_keeps_it_as_a_module(make):
    net = make()
    traced = torch.fx.symbolic_trace(net)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["0", "1", "2"]
    x = torch.randn(4, 3, 2, 2)
    same_bits(traced.train()(x), net(x))
    same_bits(copy.deepcopy(traced)(x), net(x))
    assert traced.state_dict().keys() == net.state_dict().keys()


def test_fx_traces_keywords():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = frozen_2d(activation="relu")

        def forward(self, x):
            return self.norm(residual=x, input=x)

    net, x = Residual(), torch.randn(4, 3, 2, 2)
    same_bits(torch.fx.symbolic_trace(net)(x), net(x))


@pytest.mark.parametrize("make", NETWORKS, ids=["torch", "ours", "subclass"])
def test_compiles_into_one_graph(make):
    net = make()
    before = state(net)
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 3, 2, 2)
    # float32: the compiler may take another implementation of the same few operations
    torch.testing.assert_close(step(compiled, x), step(net, x), rtol=1e-5, atol=1e-5)
    same_bits(state(compiled._orig_mod), before)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("make", NETWORKS, ids=["torch", "ours", "subclass"])
def test_exports(make, strict):
    net = make()
    x = torch.randn(4, 3, 2, 2)
    program = torch.export.export(net, (x,), strict=strict)
    torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-5)  # as above
    assert {key for key in net.state_dict() if "extra_state" not in key} == program.state_dict.keys()
