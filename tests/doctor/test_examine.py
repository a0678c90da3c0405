"""Measuring a trained network, and leaving it as it was."""

from __future__ import annotations

import copy
import math
import random
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import normwise as nw
from doctor.misused import CLASSES, FEATURES, by_class, cnn, data, images, loader, mlp, train
from normwise.doctor.examine import examine, examined
from normwise.errors import InvalidArgumentError, NormwiseError, RequestError, SurgeryError
from normwise.lab.batch import Batch
from normwise.lab.objective import Objective
from normwise.lab.settings import Settings
from normwise.lab.task import Chance, Task
from normwise.records.metric import ACCURACY

CE = nn.CrossEntropyLoss()


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    torch.manual_seed(0)
    return train(mlp(), data())


@pytest.fixture(scope="module")
def stale() -> nn.Sequential:
    torch.manual_seed(0)
    return train(mlp(momentum=0.001), data()).eval()


def parts(size: int = 64) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x, y = data(seed=1).tensors
    return list(zip(x.split(size), y.split(size), strict=True))


def state(network: nn.Module) -> tuple:
    generators = (torch.get_rng_state(), str(np.random.get_state()), str(random.getstate()))  # noqa: NPY002
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()]
    return (
        {name: value.clone() for name, value in network.state_dict(keep_vars=False).items()},
        [id(value) for value in (*network.parameters(), *network.buffers())],
        [(module.training, getattr(module, "momentum", 0)) for module in network.modules()],
        [parameter.grad is None for parameter in network.parameters()],
        generators,
        hooks,
    )


def assert_same(before: tuple, after: tuple) -> None:
    for name, value in before[0].items():
        assert torch.equal(value, after[0][name]), name
    assert torch.equal(before[4][0], after[4][0])
    assert before[1:4] == after[1:4]
    assert (before[4][1:], before[5]) == (after[4][1:], after[5])


def mean_loss(network: nn.Module, batches) -> float:
    with torch.no_grad():
        return sum(float(F.cross_entropy(network(x), y, reduction="sum")) for x, y in batches) / 512


def test_losses_are_those_of_evaluation_of_training_and_of_new_statistics(stale):
    batches = parts()
    found = examine(stale, batches, CE).evidence.examination
    assert found.stored.loss == pytest.approx(mean_loss(stale, batches), rel=1e-5)
    assert found.batch.loss == pytest.approx(mean_loss(copy.deepcopy(stale).train(), batches), rel=1e-5)
    halves = batches[0::2], batches[1::2]
    estimated = 0.0
    for mine, others in (halves, halves[::-1]):
        network = copy.deepcopy(stale)
        nw.estimate_population(network, others)
        estimated += mean_loss(network, mine)
    assert found.estimated.loss == pytest.approx(estimated, rel=1e-5)
    assert (found.batches, found.estimated_from) == (8, 4)


def test_gaps_are_in_deviations_of_the_data(stale):
    batches = parts()
    norm = examine(stale, batches, CE).evidence.examination.norms[0]
    with torch.no_grad():
        values = stale[0](torch.cat([x for x, _ in batches])).double()
    layer = stale[1]
    gap = (values.mean(0) - layer.running_mean).abs() / (values.var(0) + layer.eps).sqrt()
    ratio = ((layer.running_var + layer.eps) / (values.var(0) + layer.eps)).log2().abs()
    assert (norm.layer, norm.values, norm.batches, norm.momentum) == ("1", 64, 200, 0.001)
    assert norm.gap == pytest.approx(float(gap.max()), rel=1e-4)
    assert norm.mean_gap == pytest.approx(float(gap.mean()), rel=1e-4)
    assert norm.ratio == pytest.approx(float(ratio.max()), rel=1e-4)
    assert norm.weight == pytest.approx(0.999**200)


def test_margins_are_two_standard_errors_of_paired_differences(stale):
    batches, right, loss = parts(), [], []
    with torch.no_grad():
        for network in (stale, copy.deepcopy(stale)):
            if network is not stale:
                nw.estimate_population(network, batches)
            outputs = torch.cat([network(x) for x, _ in batches])
            right.append((outputs.argmax(1) == torch.cat([y for _, y in batches])).double())
            loss.append(F.cross_entropy(outputs, torch.cat([y for _, y in batches]), reduction="none"))
    diagnosis = examine(stale, batches, CE)
    by_examples = [float(2 * (a - b).std() / len(a) ** 0.5) for a, b in (right, loss)]
    assert diagnosis.treatments[1].margin == pytest.approx(by_examples[0], rel=0.5)
    assert diagnosis.evidence.examination.loss_margin == pytest.approx(by_examples[1], rel=0.5)
    assert diagnosis.treatments[1].margin == diagnosis.evidence.examination.metric_margin


def test_the_treatment_is_measured_and_recommended_as_a_line_to_type(stale):
    diagnosis = examine(stale, parts(), CE)
    nothing, treatment = diagnosis.treatments
    assert treatment.helped
    assert treatment.gain == pytest.approx(treatment.mean - nothing.mean)
    assert treatment.gain > treatment.margin > 0
    assert diagnosis.recommendation.change == "nw.estimate_population(net, loader)"
    assert diagnosis.cause.name == "stale-statistics"
    assert "→" in diagnosis.verdict
    network, net = stale, copy.deepcopy(stale)
    exec(diagnosis.recommendation.change, {"nw": nw, "net": net, "loader": parts()})  # what is said works
    assert mean_loss(net, parts()) < 0.5 * mean_loss(network, parts())


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_changed(trained, training):
    network = copy.deepcopy(trained).train(training)
    network[1].eval()
    examples = DataLoader(data(seed=1), 64, shuffle=True, generator=torch.Generator().manual_seed(5))
    before, generator = state(network), examples.generator.get_state()
    first = examine(network, examples, CE, metric="f1").evidence.examination
    assert_same(before, state(network))
    assert torch.equal(generator, examples.generator.get_state())
    assert first.was_training is training
    assert examine(network, examples, CE, metric="f1").evidence.examination == first


def test_nothing_is_changed_where_something_raises(trained):
    before = state(trained)

    def fails(outputs, target):
        raise ValueError("no")

    def later(outputs, target):
        later.calls += 1
        return F.cross_entropy(outputs, target) if later.calls < 5 else fails(outputs, target)

    later.calls = 0
    for criterion in (fails, later):
        with pytest.raises(RequestError, match="criterion raised ValueError: no"):
            examine(trained, loader(data(seed=1)), criterion)
        assert_same(before, state(trained))
    with pytest.raises(KeyboardInterrupt):
        examine(trained, Interrupted(parts()), CE)
    assert_same(before, state(trained))


class Interrupted(list):
    def __iter__(self):
        yield from super().__iter__()
        raise KeyboardInterrupt


def test_dropout_and_noise_are_the_same_in_all_three_ways():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.dropout = mlp(), nn.Dropout(0.9)

        def forward(self, x):
            return self.body(self.dropout(x + torch.randn_like(x)))

    network = Noisy()
    nw.estimate_population(network, parts())
    found = examine(network, parts(256), CE).evidence.examination
    assert found.stored.loss == pytest.approx(found.batch.loss, abs=0.01)  # a noise of its own changes it by 0.02


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp()

    def forward(self, x, scale):
        return self.body(x * scale)


def scaled(kind: str) -> list:
    """Batches of two inputs and a target, in several structures."""
    found = {
        "tuple": lambda x, y: (x, torch.ones(len(x), 1), y),
        "dict": lambda x, y: {"x": x, "scale": torch.ones(len(x), 1), "labels": y},
        "nested": lambda x, y: ((x, torch.ones(len(x), 1)), y),
        "call": lambda x, y: SimpleNamespace(args=(x,), kwargs={"scale": torch.ones(len(x), 1)}, target=y),
    }
    return [found[kind](x, y) for x, y in parts()]


@pytest.mark.parametrize("kind", ["tuple", "dict", "nested", "call"])
def test_batches_of_several_structures_give_the_same_and_a_line_that_runs(stale, kind):
    network = Two()
    network.body = copy.deepcopy(stale)
    network.eval()
    batches = scaled(kind)
    diagnosis = examine(network, batches, CE)
    assert diagnosis.evidence.examination.estimated == examine(stale, parts(), CE).evidence.examination.estimated
    exec(diagnosis.recommendation.change, {"nw": nw, "net": network, "loader": batches})
    assert network.body[1].num_batches_tracked == len(batches)


def test_statistics_of_other_batches_are_measured_on_the_whole_loader(stale):
    other = [x for x, _ in parts()]
    found = examine(stale, parts(128), CE, estimate_from=other).evidence.examination
    network = copy.deepcopy(stale)
    nw.estimate_population(network, other)
    assert found.estimated.loss == pytest.approx(mean_loss(network, parts(128)), rel=1e-5)
    assert (found.batches, found.estimated_from) == (4, 8)


def test_batches_by_class_differ_more_than_random_ones(trained):
    random_ones = examine(trained, loader(data(seed=1)), CE).evidence.examination.norms
    in_order = examine(trained, loader(by_class(data(seed=1)), shuffle=False), CE).evidence.examination.norms
    assert 0.75 < random_ones[0].between < 1.25
    assert random_ones[1].between < 1.25  # less than 1 is usual behind a normalization, which evens batches out
    assert in_order[0].between > 3
    network = train(cnn(), images(), steps=20)  # positions of an image resemble each other, and examples count
    assert 0.5 < examine(network, loader(images()), CE).evidence.examination.norms[0].between < 1.6


def test_metrics_by_name_by_function_and_by_default(trained):
    def wrong(outputs, targets):
        return float((outputs.argmax(1) != targets).float().mean())

    wrong.higher_is_better = False
    accuracy = examine(trained, parts(), CE)
    own = examine(trained, parts(), CE, metric=wrong)
    assert accuracy.evidence.examination.metric == "accuracy"
    assert examine(trained, parts(), CE, metric=lambda outputs, targets: 0.5).metric.label == "metric"
    assert accuracy.evidence.examination.chance == pytest.approx(max(y.bincount().max() / 512 for _, y in parts(512)))
    assert own.treatments[1].mean == pytest.approx(1 - accuracy.treatments[1].mean)
    assert own.treatments[1].gain == pytest.approx(accuracy.treatments[1].gain)
    regression = nn.Sequential(*mlp()[:-1], nn.Linear(32, 1))
    pairs = [(x, x[:, :1]) for x, _ in parts()]
    assert examine(regression, pairs, nn.MSELoss()).evidence.examination.metric == "loss"
    assert examine(regression, pairs, nn.MSELoss(), metric="r2").evidence.examination.label == "R²"


def test_two_batches_are_cut_so_that_there_is_a_margin(stale):
    treatment = examine(stale, parts(256), CE).treatments[1]
    assert 0 < treatment.margin < 0.2
    assert treatment.gain == pytest.approx(examine(stale, parts(32), CE).treatments[1].gain, abs=0.05)


def test_layers_without_statistics_are_given_some_for_a_while():
    torch.manual_seed(0)
    network = train(mlp(track_running_stats=False), data()).eval()
    diagnosis = examine(network, parts(2), CE)
    assert network[1].running_mean is None
    assert network[1].track_running_stats is False
    assert diagnosis.treatments[1].helped
    assert "track_running_stats=True" in diagnosis.recommendation.change


def test_frozen_layers_are_measured_and_left(trained):
    found = examine(nw.freeze(trained).model, parts(), CE).evidence.examination
    assert found.estimated is None
    assert found.norms[0].gap is not None
    assert found.batch == found.stored


def test_a_command_measures_validation_with_statistics_of_training(stale):
    batches = [Batch((x,), {}, y, len(y)) for x, y in parts()]
    objective = Objective(Settings(task="classification", loss="cross_entropy", metric=ACCURACY))
    task = Task("classification", "cross_entropy", ACCURACY, CLASSES, Chance(0.3, 0.05))
    missing = ("1.running_mean",)
    diagnosis = examined(stale, iter(batches), iter(batches[:3]), objective, task, missing)
    found = diagnosis.evidence.examination
    assert (found.batches, found.estimated_from, found.missing, found.chance) == (3, 8, missing, 0.3)
    assert diagnosis.learned
    assert diagnosis.treatments[1].mean > diagnosis.treatments[0].mean


def without_norms():
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.LayerNorm(8), nn.Linear(8, CLASSES))


def with_nan():
    network = mlp()
    network[0].weight.data[0, 0] = math.nan
    return network


def too_large():
    network = mlp()
    network[-1].weight.data.fill_(1e38)
    network[-1].bias.data.fill_(3e38)
    return network


X = torch.randn(8, FEATURES)
Y = torch.randint(CLASSES, (8,))

WRONG = {
    "no normalization": (without_norms, parts, CE, SurgeryError, "no batch normalization to examine: .*LayerNorm × 1"),
    "a weight that is not finite": (with_nan, parts, CE, RequestError, "0.weight has NaN or infinity.*train again"),
    "lazy layers": (
        lambda: nn.Sequential(nn.LazyLinear(3), nn.BatchNorm1d(3)),
        parts,
        CE,
        RequestError,
        "no shape yet",
    ),
    "a loss that is not finite": (too_large, parts, CE, RequestError, "loss is not finite, whether"),
    "one batch": (mlp, lambda: [(X, Y)], CE, RequestError, "single batch.*give smaller batches, or estimate_from="),
    "no batch": (mlp, list, CE, SurgeryError, "there was no batch"),
    "no target": (mlp, lambda: [X, X], CE, RequestError, "without a target.*\\(inputs…, target\\)"),
    "no target in a tuple": (mlp, lambda: [(X,), (X,)], CE, RequestError, "must be \\(inputs…, target\\)"),
    "no target in a dict": (mlp, lambda: [{"input": X}] * 2, CE, RequestError, "has no target"),
    "an iterator": (mlp, lambda: iter(parts()), CE, RequestError, "only once; give a list or a DataLoader"),
    "a tensor": (mlp, lambda: X, CE, RequestError, "expected something to iterate over"),
    "too many inputs": (mlp, lambda: [(X, X, Y)] * 2, CE, RequestError, "does not fit Sequential.forward"),
    "no scalar": (mlp, parts, nn.CrossEntropyLoss(reduction="none"), RequestError, "must return a scalar"),
    "no criterion": (mlp, parts, "mse", InvalidArgumentError, "criterion must be a function"),
    "no network": (lambda: mlp, parts, CE, InvalidArgumentError, "model must be an nn.Module"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_say_what_to_do(case):
    network, batches, criterion, error, words = WRONG[case]
    with pytest.raises(error, match=words) as raised:
        examine(network(), batches(), criterion)
    assert isinstance(raised.value, NormwiseError)
    assert "\n" not in str(raised.value)


def test_metrics_that_do_not_exist_are_refused(trained):
    with pytest.raises(RequestError, match="did you mean 'accuracy'"):
        examine(trained, parts(), CE, metric="acuracy")


def test_a_network_that_raises_says_for_which_batch(trained):
    with pytest.raises(RuntimeError) as raised:
        examine(trained, [(X[:, :3], Y)] * 2, CE)
    assert "batch 0" in str(raised.value.__notes__)


def test_shared_and_unused_layers_are_counted_once(trained):
    norm = nn.BatchNorm1d(FEATURES)
    network = nn.Sequential(
        OrderedDict(a=norm, b=nn.Linear(FEATURES, FEATURES), c=norm, d=nn.Linear(FEATURES, CLASSES))
    )
    network.unused = nn.BatchNorm1d(3)
    network.forward = lambda x: network.d(network.c(network.b(network.a(x))))
    found = examine(network, parts(), CE).evidence.examination
    assert [norm.layer for norm in found.norms] == ["a", "unused"]
    assert (found.norms[1].gap, found.norms[1].values) == (None, 0)
