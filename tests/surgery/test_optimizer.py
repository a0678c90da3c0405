"""An optimizer follows the network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from zoo import ZOO

OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda parameters: torch.optim.AdamW(parameters, 0.01, weight_decay=0.02, amsgrad=True),
}


def trained(name, make, **given):
    """A network after a few steps, and its optimizer, with one group for the first parameter and one for the rest."""
    net, x = ZOO[name].make(), ZOO[name].example()
    first, *rest = net.parameters()
    opt = make([{"params": [first], **given}, {"params": rest, "lr": 0.05}])
    for _ in range(3):
        step(net, opt, x)
    return net, opt, x


def step(net, opt, x):
    opt.zero_grad()
    y = net(x)
    (y * torch.randn_like(y)).mean().backward()
    opt.step()


def held(opt):
    return [parameter for group in opt.param_groups for parameter in group["params"]]


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("name", ["vgg", "resnet_plain", "vit", "lstm"])
def test_it_trains_exactly_the_network_that_is_returned(name, make, inplace):
    net, opt, x = trained(name, make)
    model = nw.batch_normalize(net, optimizer=opt, inplace=inplace).model
    assert len(held(opt)) == len(set(held(opt)))
    assert set(held(opt)) == set(model.parameters())
    assert opt.state.keys() <= set(held(opt))
    before = copy.deepcopy(model.state_dict())
    source = copy.deepcopy(net.state_dict())
    step(model, opt, x)
    assert all(not torch.equal(parameter, before[key]) for key, parameter in model.named_parameters())
    assert inplace or all(torch.equal(value, source[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_state_of_what_stays_is_kept_to_the_bit(make, inplace):
    net, opt, _ = trained("resnet_plain", make)
    states = {name: copy.deepcopy(opt.state[parameter]) for name, parameter in net.named_parameters()}
    groups = [{key: value for key, value in group.items() if key != "params"} for group in opt.param_groups]
    surgery = nw.batch_normalize(net, optimizer=opt, inplace=inplace)
    new = {old: surgery.renamed.get(old, old) for old, _ in ZOO["resnet_plain"].make().named_modules()}
    kept = dict(surgery.model.named_parameters())
    seen = 0
    for name, state in states.items():
        module, _, own = name.rpartition(".")
        parameter = kept.get(f"{new[module]}.{own}")
        if parameter is None:
            assert own == "bias"
            continue
        seen += 1
        assert opt.state[parameter].keys() == state.keys()
        for key, value in state.items():
            assert torch.equal(torch.as_tensor(opt.state[parameter][key]), torch.as_tensor(value))
    assert seen == len(opt.state)
    assert [{key: value for key, value in group.items() if key != "params"} for group in opt.param_groups] == groups


def test_new_parameters_join_the_group_of_the_weight_they_follow():
    net, opt, _ = trained("vgg", OPTIMIZERS["sgd"])
    model = nw.batch_normalize(net, optimizer=opt).model
    first, rest = ({*group["params"]} for group in opt.param_groups)
    assert first == {model.features[0].weight, model.features[1].weight, model.features[1].bias}
    assert {model.features[5].weight, model.classifier[1].bias} < rest


def test_no_decay_makes_a_group_beside_each():
    net, opt, x = trained("vgg", OPTIMIZERS["adam"], lr=0.3)
    groups = [dict(group) for group in opt.param_groups]
    model = nw.batch_normalize(net, optimizer=opt, no_decay=True).model
    norms = [module for module in model.modules() if isinstance(module, nw.BatchNorm1d | nw.BatchNorm2d)]
    assert [group["weight_decay"] for group in opt.param_groups] == [0.02, 0.02, 0.0, 0.0]
    assert [group["lr"] for group in opt.param_groups] == [0.3, 0.05, 0.3, 0.05]
    assert set(opt.param_groups[2]["params"]) == {norms[0].weight, norms[0].bias}
    assert {*opt.param_groups[2]["params"], *opt.param_groups[3]["params"]} == {
        parameter for norm in norms for parameter in (norm.weight, norm.bias)
    }
    for old, new in zip(groups, opt.param_groups[2:], strict=True):
        assert old.keys() == new.keys()
        assert all(old[key] == new[key] for key in old if key not in ("params", "weight_decay"))
    step(model, opt, x)


def test_no_decay_where_there_is_none_needs_no_group():
    net = ZOO["mlp"].make()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    model = nw.batch_normalize(net, optimizer=opt, no_decay=True).model
    assert len(opt.param_groups) == 1
    assert set(held(opt)) == set(model.parameters())


def test_what_the_optimizer_does_not_train_it_does_not_train():
    net = ZOO["vgg"].make()
    other = nn.Parameter(torch.zeros(3))
    opt = torch.optim.SGD([*net.classifier.parameters(), other], 0.1)
    model = nw.batch_normalize(net, optimizer=opt).model
    assert set(held(opt)) == {*model.classifier.parameters(), other}


def test_names_of_parameters_follow():
    net = ZOO["resnet_plain"].make()
    opt = torch.optim.SGD(net.named_parameters(), 0.1, weight_decay=0.1)
    model = nw.batch_normalize(net, optimizer=opt, no_decay=True).model
    names = dict(model.named_parameters())
    for group in opt.param_groups:
        assert [names[name] for name in group["param_names"]] == group["params"]
    assert len(opt.param_groups) == 2
    opt.load_state_dict(opt.state_dict())


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda net: "adam", {}, "must be a torch.optim.Optimizer, got str"),
        (lambda net: torch.optim.LBFGS(net.parameters()), {}, "LBFGS cannot follow"),
        (lambda net: torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), {}, "has no parameter of the network"),
        (lambda net: torch.optim.Rprop(net.parameters()), {"no_decay": True}, "Rprop has no weight decay"),
    ],
)
def test_what_cannot_follow_is_refused(make, options, said):
    net = ZOO["mlp"].make()
    with pytest.raises((InvalidArgumentError, SurgeryError), match=said):
        nw.batch_normalize(net, optimizer=make(net), **options)


def test_a_surgery_that_fails_leaves_the_optimizer_alone():
    net, opt, _ = trained("mlp", OPTIMIZERS["sgd"])
    before = [list(group["params"]) for group in opt.param_groups]
    with pytest.raises(SurgeryError):
        nw.batch_normalize(net, optimizer=opt, example=torch.zeros(2, 99))
    assert all(one is other for group, old in zip(opt.param_groups, before, strict=True)
               for one, other in zip(group["params"], old, strict=True))  # fmt: skip
