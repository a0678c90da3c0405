"""Reading weights from files."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import normwise as nw
from doctor.misused import Residual, mlp
from normwise.doctor.weights import load_weights
from normwise.doctor.weights_study import _shuffled
from normwise.errors import RequestError
from normwise.lab.settings import Settings


def changed() -> nn.Sequential:
    """A network with other weights and statistics than a new one has."""
    torch.manual_seed(7)
    network = mlp()
    network(torch.randn(8, 16))
    return network


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


SAVED = {
    "weights.safetensors": lambda state, path: save_file(state, path),
    "weights.pt": torch.save,
    "old.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "lightning.ckpt": lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
    "loop.pt": lambda state, path: torch.save({"model_state_dict": state, "optimizer": {"lr": 0.1}}, path),
    "trainer.pt": lambda state, path: torch.save({"model": state, "step": 7}, path),
    "named.pt": lambda state, path: torch.save({"network": state}, path),
    "parallel.pt": lambda state, path: torch.save({f"module.{name}": value for name, value in state.items()}, path),
    "both.pt": lambda state, path: torch.save({f"_orig_mod.module.{name}": v for name, v in state.items()}, path),
}


@pytest.mark.parametrize("name", SAVED)
def test_weights_are_found_in_whatever_people_save(name, tmp_path):
    network, new = changed(), mlp()
    SAVED[name](network.state_dict(), tmp_path / name)
    assert load_weights(new, str(tmp_path / name)) == ()
    assert same(network, new)


def test_missing_buffers_are_named_and_stay_as_they_are(tmp_path):
    network, new = changed(), mlp()
    torch.save(dict(network.named_parameters()), tmp_path / "parameters.pt")
    missing = load_weights(new, tmp_path / "parameters.pt")
    assert missing == tuple(name for name, _ in network.named_buffers())
    assert torch.equal(new[0].weight, network[0].weight)
    assert torch.equal(new[1].running_mean, torch.zeros(32))


def test_a_single_frozen_normalization_is_loaded_too(tmp_path):
    network = nw.freeze(changed()).model
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    assert load_weights(nw.freeze(mlp()).model, tmp_path / "weights.pt") == ()


class Evil:
    def __reduce__(self):
        return (open, ("unpickled", "w"))


def _without(name: str):
    return lambda state, path: torch.save({key: value for key, value in state.items() if key != name}, path)


WRONG = {
    "module.pt": (lambda state, path: torch.save(Residual(), path), "whole network.*torch.save\\(net.state_dict"),
    "evil.pt": (lambda state, path: torch.save({"state_dict": Evil()}, path), "runs code"),
    "text.pt": (lambda state, path: path.write_text("weights"), "cannot be read as weights"),
    "empty.pt": (lambda state, path: path.write_bytes(b""), "cannot be read as weights"),
    "cut.pt": (lambda state, path: _cut(state, path), "cannot be read as weights"),
    "text.safetensors": (lambda state, path: path.write_text("weights"), "cannot be read as safetensors"),
    "numbers.pt": (lambda state, path: torch.save({"epoch": 1, "lr": 0.1}, path), "its keys are epoch, lr"),
    "list.pt": (lambda state, path: torch.save([1, 2], path), "holds a list"),
    "weights.npz": (lambda state, path: path.write_text(""), "no file of weights by its name; allowed: .safetensors"),
    "missing.pt": (_without("0.weight"), "the file lacks 0.weight; give the weights of this network"),
    "other.pt": (lambda state, path: torch.save(Residual().state_dict(), path), "has no stem.weight, .* and 8 more"),
    "shape.pt": (
        lambda state, path: torch.save(state | {"0.weight": torch.zeros(3, 3)}, path),
        "0.weight is \\(3, 3\\) in the file and \\(32, 16\\) in the network",
    ),
    "nothing.pt": (lambda state, path: None, "does not exist"),
    "folder.pt": (lambda state, path: path.mkdir(), "is a folder"),
}


def _cut(state, path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line_and_changes_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save, words = WRONG[name]
    network = mlp()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    save(changed().state_dict(), tmp_path / name)
    with pytest.raises(RequestError, match=words) as raised:
        load_weights(network, tmp_path / name)
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(("count", "size", "sizes"), [(350, 60, {58, 59}), (50, 60, {25}), (1, 60, {1})])
def test_every_example_is_measured_once_in_batches_of_about_the_size(count, size, sizes):
    X, y = torch.randn(count, 3), torch.arange(count)
    batches = list(_shuffled((X, y), Settings(batch_size=size, task="classification", loss="cross_entropy")))
    assert torch.cat([batch.target for batch in batches]).sort().values.tolist() == y.tolist()
    assert {batch.size for batch in batches} == sizes
    assert all(torch.equal(batch.args[0], X[batch.target]) for batch in batches)
