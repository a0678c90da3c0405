from __future__ import annotations

import torch
from torch import nn

import normwise as nw
from folds import Calls, chain, double, error, fold, folded, image
from normwise.surgery.folding.affine import Epilogue


def test_masks_and_residuals():
    class Masked(Calls):
        def forward(self, x, mask):
            return self.norm(self.conv(x), residual=x, mask=mask)

    class Residual(Calls):
        def forward(self, x, mask):
            return self.norm(self.conv(x), x)

    mask = torch.rand(4, 8, 8) > 0.5
    for cls, activation, gone in ((Masked, "silu", 0), (Residual, "leaky_relu:0.2", 1)):
        network = double(cls(None, norm=nw.BatchNorm2d(3, activation=activation)))
        surgery = fold(network, example=(image, mask))
        assert error(surgery.model(image, mask), network(image, mask)) <= 1e-12
        assert len(folded(surgery)) == gone


def test_what_stays_of_a_fused_layer_is_called_as_the_layer_was():
    layer = double(nw.BatchNorm2d(3, activation="silu"))
    layer.running_mean.zero_(), layer.running_var.fill_(1 - layer.eps), layer.weight.data.fill_(1)
    layer.bias.data.zero_()
    mask, residual = torch.rand(4, 8, 8) > 0.5, torch.randn_like(image)
    for given in ({}, {"residual": residual}, {"mask": mask}, {"residual": residual, "mask": mask}):
        torch.testing.assert_close(Epilogue("silu")(image, **given), layer(image, **given))


def test_a_large_mean_costs_no_digits_in_what_stays():
    network = chain(nn.ReLU(), nn.BatchNorm2d(64)).float()
    network[1].running_mean.fill_(1e4)
    x = (1e4 + torch.randn(64, 64, 8, 8)).float()
    assert error(fold(network, example=x, tolerance=1e-3).model(x), network.double()(x.double())) <= 1e-6
