"""Recurrent batch normalization against loops in NumPy that share no code with it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError, ShapeError

EPS = 1e-5


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def oracle_normalize(x, gamma, beta, mean, var, eps=EPS):
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def oracle_layer(x, h, c, state, suffix, training, last):
    """One direction of one layer: outputs, h, c, and the moments of every step by the name of the normalization."""
    moments = {"ih": [], "hh": [], "c": []}

    def normalized(value, name, step):
        own = {key: state[f"norm_{name}_{suffix}.{key}"] for key in ("weight", "running_mean", "running_var")}
        beta = state[f"norm_{name}_{suffix}.bias"] if name == "c" else 0.0
        mean, var = value.mean(0), ((value - value.mean(0)) ** 2).mean(0)
        moments[name].append((mean, var))
        if not training:
            mean, var = own["running_mean"][min(step, last)], own["running_var"][min(step, last)]
        return oracle_normalize(value, own["weight"], beta, mean, var)

    outputs = []
    for step, x_t in enumerate(x):
        gates = normalized(h @ state[f"weight_hh_{suffix}"].T, "hh", step)
        gates = gates + normalized(x_t @ state[f"weight_ih_{suffix}"].T, "ih", step)
        if f"bias_ih_{suffix}" in state:
            gates = gates + state[f"bias_ih_{suffix}"] + state[f"bias_hh_{suffix}"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalized(c, "c", step))
        outputs.append(h)
    return np.stack(outputs), h, c, moments


def oracle(x, h, c, state, layers, directions, training, last):
    """All layers: outputs, h, c, and the moments by suffix and name."""
    ends, seen, states = ("", "_reverse")[:directions], {}, []
    for layer in range(layers):
        outputs = []
        for place, end in enumerate(ends):
            suffix, at = f"l{layer}{end}", layer * directions + place
            turned = x[::-1] if end else x
            y, h_n, c_n, seen[suffix] = oracle_layer(turned, h[at], c[at], state, suffix, training, last)
            outputs.append(y[::-1] if end else y)
            states.append((h_n, c_n))
        x = np.concatenate(outputs, -1)
    return x, np.stack([h for h, _ in states]), np.stack([c for _, c in states]), seen


def drawn(**options):
    """A layer in float64 whose every parameter and statistic is random."""
    lstm = nw.nn.BatchNormLSTM(3, 4, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, value in [*lstm.named_parameters(), *lstm.named_buffers()]:
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point():
                value.normal_()
    return lstm


def numbers(lstm):
    return {name: value.numpy().copy() for name, value in lstm.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("layers", "bidirectional", "bias"), [(1, False, False), (2, True, True)])
def test_outputs_and_statistics_are_those_of_plain_loops(layers, bidirectional, bias, training):
    directions, length, examples, last = 1 + bidirectional, 7, 5, 3
    lstm = drawn(num_layers=layers, bidirectional=bidirectional, bias=bias, max_length=last + 1).train(training)
    x = torch.randn(length, examples, 3, dtype=torch.float64)
    h, c = (torch.randn(layers * directions, examples, 4, dtype=torch.float64) for _ in range(2))
    before = numbers(lstm)
    y, h_n, c_n, seen = oracle(x.numpy(), h.numpy(), c.numpy(), before, layers, directions, training, last)
    output, (h_last, c_last) = lstm(x, (h, c))
    for got, expected in ((output, y), (h_last, h_n), (c_last, c_n)):
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-9, atol=1e-11)  # sums in another order
    after = numbers(lstm)
    for suffix, moments in seen.items():
        for name, steps in moments.items():
            mean, var, batches = (
                before[f"norm_{name}_{suffix}.{key}"].copy()
                for key in ("running_mean", "running_var", "num_batches_tracked")
            )
            for step, (step_mean, step_var) in enumerate(steps if training else ()):
                row = min(step, last)
                mean[row] = 0.9 * mean[row] + 0.1 * step_mean
                var[row] = 0.9 * var[row] + 0.1 * step_var * examples / (examples - 1)
                batches[row] += 1
            for key, expected in (("running_mean", mean), ("running_var", var), ("num_batches_tracked", batches)):
                np.testing.assert_allclose(after[f"norm_{name}_{suffix}.{key}"], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("training", [True, False])
def test_gradients(training):
    lstm = drawn(max_length=2).train(training)
    names, weights = zip(*lstm.named_parameters(), strict=True)

    def compute(x, h, c, *values):
        # a copy for every call: with statistics that move, evaluation would not be a function
        return torch.func.functional_call(copy.deepcopy(lstm), dict(zip(names, values, strict=True)), (x, (h, c)))[0]

    x = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    h, c = (torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(compute, (x, h, c, *weights), fast_mode=True)


def as_torch(lstm):
    """Return torch's LSTM with the same weights, and let the normalizations of ours change nothing."""
    names = [name for name, _ in lstm.named_parameters() if not name.startswith("norm_")]
    other = nn.LSTM(
        lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.bias, lstm.batch_first, 0.0, lstm.bidirectional,
        dtype=torch.float64,
    )  # fmt: skip
    other.load_state_dict({name: lstm.state_dict()[name] for name in names})
    for norm in lstm.children():
        norm.reset_parameters()
        norm.eps = 0.0
        nn.init.ones_(norm.weight)
    return other.eval()


@pytest.mark.parametrize("batch_first", [True, False])
def test_with_frozen_statistics_it_is_the_lstm_of_torch(batch_first):
    lstm = drawn(num_layers=2, bidirectional=True, batch_first=batch_first, dropout=0.5, max_length=4).eval()
    other = as_torch(lstm)
    x = torch.randn(6, 5, 3, dtype=torch.float64)
    states = tuple(torch.randn(4, 6 if batch_first else 5, 4, dtype=torch.float64) for _ in range(2))
    for given in (None, states):
        torch.testing.assert_close(lstm(x, given), other(x, given), rtol=1e-12, atol=1e-13)
    single, at = x[0], tuple(state[:, 0] for state in states)
    torch.testing.assert_close(lstm(single, at), other(single, at), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(lstm(single)[0], other(single)[0], rtol=1e-12, atol=1e-13)


def test_it_takes_the_weights_of_torchs_lstm_and_starts_as_it_does():
    torch.manual_seed(1)
    lstm = nw.nn.BatchNormLSTM(3, 4, num_layers=2)
    torch.manual_seed(1)
    other = nn.LSTM(3, 4, num_layers=2)
    state = lstm.state_dict()
    assert all(torch.equal(state[name], value) for name, value in other.state_dict().items())
    missing, unexpected = lstm.load_state_dict(other.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("norm_") for name in missing)
    assert all(torch.equal(norm.weight, torch.full_like(norm.weight, 0.1)) for norm in lstm.children())
    lstm.norm_c_l1.weight.data.fill_(7)
    lstm.reset_parameters()
    assert lstm.norm_c_l1.weight.unique().item() == pytest.approx(0.1)


def test_state_and_copies_are_complete():
    lstm = drawn(max_length=3, num_layers=2)
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    lstm(x)
    fresh = nw.nn.BatchNormLSTM(3, 4, 2, max_length=3, dtype=torch.float64)
    fresh.load_state_dict(lstm.state_dict())
    copied = copy.deepcopy(lstm)
    expected = lstm.eval()(x)[0]
    for other in (fresh.eval(), copied.eval()):
        assert torch.equal(other(x)[0], expected)
    copied.train()(x)
    assert torch.equal(lstm(x)[0], expected)


@pytest.mark.parametrize("training", [True, False])
def test_steps_one_by_one_are_all_steps_at_once(training):
    one, all_steps = (
        nw.nn.RecurrentBatchNorm(3, max_length=4, activation="tanh", dtype=torch.float64).train(training)
        for _ in range(2)
    )
    for norm in (one, all_steps):
        norm.running_mean.copy_(torch.arange(12.0).reshape(4, 3))
    x, residual = (torch.randn(6, 5, 3, dtype=torch.float64) for _ in range(2))
    each = [one(x_t, step, added) for step, (x_t, added) in enumerate(zip(x, residual, strict=True))]
    torch.testing.assert_close(all_steps(x, residual=residual), torch.stack(each))
    torch.testing.assert_close(all_steps.state_dict(), one.state_dict())
    torch.testing.assert_close(one(x[2:5], 2), torch.stack([one(x[step], step) for step in (2, 3, 4)]))


def test_a_plain_average_leaves_out_an_empty_batch_and_a_step_that_is_not_finite():
    norm = nw.nn.RecurrentBatchNorm(2, max_length=2, momentum=None, dtype=torch.float64)
    batches = torch.randn(3, 2, 5, 2, dtype=torch.float64)
    spoiled = batches[0].clone()
    spoiled[1, 0, 0] = torch.inf
    for x in (batches[0], batches[1], spoiled, batches[0, :, :0], batches[2]):
        norm(x)
    assert norm.num_batches_tracked.tolist() == [4, 3]
    torch.testing.assert_close(norm.running_mean[1], batches[:, 1].mean((0, 1)))
    torch.testing.assert_close(norm.running_var[1], batches[:, 1].var(1).mean(0))


def test_statistics_can_be_suspended():
    lstm = nw.nn.BatchNormLSTM(3, 4, max_length=2)
    before = numbers(lstm)
    with nw.suspend_statistics(lstm):
        lstm(torch.randn(2, 5, 3))
    after = numbers(lstm)
    assert all((before[name] == after[name]).all() for name in before)
    lstm(torch.randn(2, 5, 3))
    assert lstm.norm_ih_l0.num_batches_tracked.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda lstm: lstm(torch.randn(5, 3)), ShapeError, "a batch of two sequences or more when training"),
        (lambda lstm: lstm(torch.randn(5, 1, 3)), ShapeError, "two examples or more when training"),
        (lambda lstm: lstm(torch.randn(5, 2, 4)), ShapeError, r"expected x of shape \(L, N, 3\)"),
        (lambda lstm: lstm(torch.randn(0, 2, 3)), ShapeError, "at least one step"),
        (lambda lstm: lstm.norm_c_l0(torch.randn(0, 2, 4)), ShapeError, "at least one step"),
        (lambda lstm: lstm(torch.randn(5, 2, 3), (torch.randn(1, 3, 4),) * 2), ShapeError, r"h_0 of shape \(1, 2, 4\)"),
        (lambda lstm: lstm(nn.utils.rnn.pack_sequence([torch.randn(2, 3)])), TypeError, "pad_packed_sequence"),
        (lambda lstm: lstm.norm_c_l0(torch.randn(2, 5)), ShapeError, r"\(N, 4\) or \(T, N, 4\)"),
        (lambda lstm: lstm.norm_c_l0(torch.randn(2, 4), -1), InvalidArgumentError, "step must be 0 or more"),
        (lambda lstm: nw.nn.BatchNormLSTM(3, 4, proj_size=2), InvalidArgumentError, "put a Linear after it"),
        (lambda lstm: nw.nn.BatchNormLSTM(3, 4, max_length=0), InvalidArgumentError, "max_length must be 1 or more"),
    ],
)
def test_what_it_refuses(call, error, words):
    lstm = nw.nn.BatchNormLSTM(3, 4, max_length=2)
    before = numbers(lstm)
    with pytest.raises(error, match=words):
        call(lstm)
    assert all((before[name] == value).all() for name, value in numbers(lstm).items())


def test_repr():
    assert repr(nw.nn.RecurrentBatchNorm(3, 5, bias=False, activation="tanh")) == (
        "RecurrentBatchNorm(3, max_length=5, eps=1e-05, momentum=0.1, gamma=0.1, bias=False, activation='tanh')"
    )
    assert repr(nw.nn.BatchNormLSTM(3, 4, 2, max_length=5)).startswith(
        "BatchNormLSTM(\n  3, 4, num_layers=2, max_length=5, gamma=0.1\n"
    )
