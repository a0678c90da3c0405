"""The doctor as a callback of Lightning finds what it finds in a plain loop."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

lightning = pytest.importorskip("lightning.pytorch")

from normwise.doctor.watch import watch  # noqa: E402
from normwise.errors import InvalidArgumentError  # noqa: E402
from normwise.integrations.lightning import DoctorCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers, loggers and what it deprecates

EPOCHS = 4


class Module(lightning.LightningModule):
    """Its own forward is called, or the network's in it."""

    def __init__(self, net, *, inner):
        super().__init__()
        self.net, self.inner = net, inner

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x) if self.inner else self(x), y)

    def validation_step(self, batch, batch_idx):
        self.log("loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


def deep(width=8, depth=12):
    layers = [each for _ in range(depth) for each in (nn.Linear(width, width), nn.BatchNorm1d(width), nn.Sigmoid())]
    return nn.Sequential(nn.Linear(6, width), nn.Sigmoid(), *layers, nn.Linear(width, 3))


@pytest.fixture
def loader():
    X = torch.randn(640, 6)
    return DataLoader(TensorDataset(X, X[:, :3].argmax(1)), batch_size=32)


def fitted(module, loader, *callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, callbacks=list(callbacks), enable_model_summary=False, **quiet, **options
    )
    trainer.fit(module, loader, loader)
    return trainer


def plain(module, loader):
    optimizer = module.configure_optimizers()
    with watch(module, optimizer) as seen:
        for _ in range(EPOCHS):
            for X, y in loader:
                loss = F.cross_entropy(module(X), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                seen.step(loss, y)
    return seen


@pytest.mark.parametrize("inner", [False, True])
def test_findings_are_those_of_a_plain_loop_and_training_is_the_same(loader, inner):
    module = Module(deep(), inner=inner)
    alone, own = copy.deepcopy(module), copy.deepcopy(module)
    doctor = DoctorCallback()
    fitted(module, loader, doctor)
    seen = plain(own, loader)
    ours, theirs = (each.diagnosis.evidence.trainings[0].watched for each in (doctor, seen))
    assert ours.losses == theirs.losses
    assert ours.observations == theirs.observations
    assert ours == theirs
    assert [(each.rule, each.where) for each in doctor.findings] == [(each.rule, each.where) for each in seen.findings]
    fitted(alone, loader)
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), alone.state_dict().values(), strict=True)
    )


def test_a_step_is_an_update_also_where_gradients_accumulate(loader):
    doctor = DoctorCallback()
    fitted(Module(deep(), inner=False), loader, doctor, accumulate_grad_batches=4, gradient_clip_val=0.1)
    found = doctor.diagnosis.evidence.trainings[0].watched
    assert found.steps == EPOCHS * 20 / 4
    assert found.losses[0] == pytest.approx(1.1, abs=0.4)
    assert found.constant == pytest.approx(1.1, abs=0.1)
    assert not found.kept_gradients
    assert all(row.update > 0 for row in found.observations[0].weights)


def test_an_exception_leaves_nothing_behind(loader, tmp_path):
    class Broken(Module):
        def training_step(self, batch, batch_idx):
            self(batch[0])
            raise RuntimeError("broken")

    module, doctor = Broken(deep(), inner=False), DoctorCallback(report=tmp_path / "page.html")
    with pytest.raises(InvalidArgumentError, match="nothing was trained yet"):
        _ = doctor.findings
    with pytest.raises(RuntimeError, match="broken"):
        fitted(module, loader, doctor)
    assert not module._forward_pre_hooks
    assert not torch.overrides._get_current_function_mode_stack()
    fitted(Module(deep(), inner=False), loader, doctor)
    assert (tmp_path / "page.html").exists()
