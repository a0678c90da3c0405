"""Networks that are trained side by side are those that torch trains one by one."""

import torch
from torch import nn

from normwise.lab.studies.networks.side_by_side import descent, fit, he, right


def test_each_is_what_torch_makes_of_it():
    torch.manual_seed(0)
    x, y = torch.randn(40, 3), torch.randint(4, (40,))
    networks, rates, decays = he(2, [3, 5, 4], torch.device("cpu")), (0.1, 0.5), (0.0, 0.01)
    alone = []
    for index in range(2):
        alone.append(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4)))
        for layer, weight, bias in zip(alone[-1][::2], *networks, strict=True):
            layer.weight.data, layer.bias.data = weight[index].detach().T.clone(), bias[index, 0].detach().clone()
    fit(networks, (x, y), descent(torch.tensor(rates), torch.tensor(decays)), epochs=5, batch=40)
    for network, rate, decay in zip(alone, rates, decays, strict=True):
        groups = [{"params": [layer.weight for layer in network[::2]], "weight_decay": decay}]
        optimizer = torch.optim.SGD([*groups, {"params": [layer.bias for layer in network[::2]]}], rate)
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
    for index, network in enumerate(alone):
        torch.testing.assert_close(networks.outputs(x)[index], network(x))  # float32: torch's own tolerance
        assert torch.equal(right(networks, x, y)[index], network(x).argmax(1) == y)


def test_a_network_that_is_not_finite_is_never_right_and_harms_no_other():
    torch.manual_seed(0)
    x, y = torch.randn(40, 3), torch.randint(4, (40,))
    networks = he(2, [3, 5, 4], torch.device("cpu"))
    fit(networks, (x, y), descent(torch.tensor([1e30, 0.1])), epochs=5, batch=40)
    assert not right(networks, x, y)[0].any()
    assert networks.outputs(x)[1].isfinite().all()
