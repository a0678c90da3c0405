"""Rules on normalizations in watched trainings: of misuse, of its near misses, and of structure."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from doctor.misused import CLASSES, FEATURES, Residual, cnn, data, images, mlp, train
from normwise.doctor import rules
from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.outcome import Evaluation, outcome
from normwise.probes.recorder import Recorder


def watched(network, examples=None, *, steps=120, size=32, lr=1e-2, decay=0.0, evaluated=True) -> Evidence:
    """The evidence of a training in the modes that the network has, evaluated at its end on what it trained on."""
    x, y = (examples or data()).tensors
    generator = torch.Generator().manual_seed(3)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr, weight_decay=decay)
    with Recorder(network, optimizer, every=8) as recorder:
        for _ in range(steps):
            rows = torch.randint(len(y), (size,), generator=generator)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            recorder.step(loss, y[rows])
    seen = recorder.watched()
    network.eval()
    with torch.no_grad():
        outputs = network(x)
    loss, accuracy = float(F.cross_entropy(outputs, y)), float((outputs.argmax(1) == y).float().mean())
    evaluation = Evaluation(steps, loss if loss == loss else None, None, accuracy, accuracy)
    evaluations = (evaluation,) if evaluated else ()
    learned = accuracy > 1.2 / CLASSES if evaluated else None
    return Evidence((Training(seen, outcome(seen, evaluations, learned=learned), 0),))


def found(evidence: Evidence) -> dict[str, str]:
    return {finding.name: str(finding.severity) for finding in rules.judged(evidence)}


def troubles(evidence: Evidence) -> list[str]:
    return [finding.name for finding in rules.judged(evidence) if finding.severity.is_trouble]


def far(scale: float = 8.0) -> torch.utils.data.TensorDataset:
    """Data so far from mean 0 that statistics which begin at 0 are of no use."""
    return data(scale=scale, shift=40.0)


def test_statistics_that_are_too_young():
    assert troubles(watched(mlp(momentum=0.001), far()))[0] == "stale-statistics"
    assert troubles(watched(mlp(momentum=0.01), far(), steps=60))[0] == "stale-statistics"
    assert found(watched(mlp(momentum=0.001), evaluated=False))["momentum-convention"] == "info"
    assert troubles(watched(mlp(momentum=0.01), far(), steps=600)) == []
    assert "momentum-convention" not in found(watched(mlp(momentum=0.1), steps=10, evaluated=False))


def test_a_momentum_of_the_other_convention():
    seen = watched(mlp(momentum=0.99)).trainings[0].watched
    worse = outcome(seen, (Evaluation(120, 2.0, 2.0, 0.3, 0.3),))
    assert troubles(Evidence((Training(seen, worse),)))[0] == "momentum-convention"
    assert found(watched(mlp(momentum=0.99)))["momentum-convention"] == "info"
    assert "momentum-convention" not in found(watched(mlp(momentum=0.5)))


def test_batches_of_few_values():
    small = [troubles(watched(mlp(), size=2, lr=lr, steps=80)) for lr in (0.1, 0.3)]
    assert all("small-batch-statistics" in names for names in small)
    assert troubles(watched(cnn(), images(), size=8, steps=150)) == []
    assert "small-batch-statistics" not in found(watched(mlp(), size=16))


def backbone(*, evaluating: bool):
    """A trained backbone, frozen, with a new last layer."""
    network = train(mlp(), data(shift=1.0))
    for parameter in network.parameters():
        parameter.requires_grad_(requires_grad=False)
    network[-1] = nn.Linear(32, CLASSES)
    return network.eval() if evaluating else network.train()


def test_normalization_that_trains_behind_frozen_weights():
    for size in (2, 4):
        evidence = watched(backbone(evaluating=False), size=size, steps=60, lr=3e-3)
        assert "frozen-normalization" in troubles(evidence)
    assert found(watched(backbone(evaluating=False), size=64, lr=3e-2))["frozen-normalization"] == "info"
    assert "frozen-normalization" not in found(watched(backbone(evaluating=True), lr=3e-2))
    assert "frozen-normalization" not in found(watched(nw.freeze(backbone(evaluating=True)).model, lr=3e-2))


def test_normalization_in_evaluation_while_the_network_trains():
    late = train(mlp(), far(), lr=0.1).eval()
    with torch.no_grad():
        late[0].weight.mul_(30)
    for network in (mlp().eval(), late):
        assert "frozen-normalization" in troubles(watched(network, far(), lr=0.3, steps=60))
    evidence = watched(mlp().eval(), lr=1e-2)
    assert found(evidence)["frozen-normalization"] == "info"
    assert troubles(evidence) == []


def test_poisoned_statistics():
    network = mlp()
    with torch.no_grad():
        network[1].running_var[3] = float("nan")
    assert troubles(watched(network))[0] == "poisoned-statistics"
    assert troubles(watched(mlp())) == []


class Cut(nn.Module):
    """γ = 0 in a normalization with nothing beside it."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        for layer in self.body:
            if isinstance(layer, nn.BatchNorm1d):
                nn.init.zeros_(layer.weight)

    def forward(self, x):
        return self.body(x)


def test_zero_gamma():
    network = Cut()
    for layer in network.body:
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.requires_grad_(requires_grad=False)
    evidence = watched(network)
    assert "zero-gamma" in troubles(evidence)
    assert found(watched(Residual()))["zero-gamma"] == "info"


def test_layers_without_statistics():
    assert found(watched(mlp(track_running_stats=False)))["untracked-statistics"] == "info"


class Structure(nn.Module):
    """All that is worth knowing about the structure of a network, once each."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.again = nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.LayerNorm(16)
        self.drop, self.shared, self.late = nn.Dropout(0.2), nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = self.drop(torch.relu(self.again(self.norm(self.first(x)))))
        x = torch.relu(self.late(self.shared(x)))
        return self.last(torch.relu(self.shared(x)))


def test_structure_is_information_with_its_layers():
    evidence = watched(Structure(), decay=0.1)
    by_name = {finding.name: finding for finding in rules.judged(evidence)}
    where = {
        "useless-bias": ("first",),
        "decayed-normalization": ("norm", "again", "late"),
        "dropout-before-normalization": ("late",),
        "repeated-normalization": ("norm", "again"),
        "shared-layer": ("shared",),
    }
    assert {name: by_name[name].where for name in where} == where
    assert not any(by_name[name].severity.is_trouble for name in where)


def test_a_plain_network_has_none_of_it():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(FEATURES, 32, bias=False), nn.BatchNorm1d(32)
            self.drop, self.last = nn.Dropout(0.1), nn.Linear(32, CLASSES)

        def forward(self, x):
            return self.last(self.drop(torch.relu(self.norm(self.first(x)))))

    assert found(watched(Plain())) == {}


def test_a_single_evaluation_is_no_gap():
    def judged(*losses):
        seen = watched(Structure())
        rows = [Evaluation(16 * step, loss, loss, None, None) for step, loss in enumerate(losses)]
        made = [replace(each, outcome=outcome(each.watched, rows)) for each in seen.trainings]
        return found(replace(seen, trainings=made))

    assert "train-eval-gap" not in judged(*[0.01] * 9, 50.0)
    assert judged(*[50.0] * 10)["train-eval-gap"] == "warning"
