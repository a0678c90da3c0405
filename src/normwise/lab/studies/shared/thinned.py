"""One network with dropout, scaled or averaged over masks, and an ensemble of networks without."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.networks.side_by_side import Networks, fit, he, over_masks

DROPPED = 0.5
"""The share of hidden units dropped, the note's example."""

FEWER = 0.2
"""A second share, at which the kept and the dropped one differ."""

RATE, BATCH, WIDTH = 0.001, 100, 200
"""Adam's learning rate, examples a step and hidden units: ours, as the note names none."""

COUNTS = (1, 2, 5, 10, 30, 100)


def trained(context: Context, data: tuple[Tensor, Tensor], *, count: int, dropped: float, epochs: int) -> Networks:
    """Networks with initial weights of their own."""
    networks = he(count, [data[0].shape[1], WIDTH, WIDTH, 10], context.device)
    optimizer = torch.optim.Adam(networks.parameters, RATE)
    how: dict[str, Any] = {"epochs": epochs, "batch": BATCH, "dropped": dropped, "progress": context.progress}
    fit(networks, data, lambda _: optimizer.step(), **how)
    return networks


def distance(p: Tensor, q: Tensor) -> float:
    """The mean total variation of two sets of distributions: half the sum of |p − q|, from 0 to 1."""
    return (p - q).abs().sum(1).mean().item() / 2


def measured(context: Context, *, examples: int, tests: int, epochs: int, members: int) -> Mapping[str, Any]:
    """Accuracy and distance of each way to the answer, on test data."""
    (x, y), (x_test, y_test) = context.tensors("train", flat=True), context.tensors("test", flat=True)
    data, x_test, y_test = (x[:examples], y[:examples]), x_test[:tests], y_test[:tests]

    def right(p: Tensor) -> float:
        return (p.argmax(1) == y_test).float().mean().item()

    found: dict[str, Any] = {"counts": list(COUNTS)}
    for name, dropped in (("half", DROPPED), ("fifth", FEWER)):
        network = trained(context, data, count=1, dropped=dropped, epochs=epochs)
        masks = over_masks(network, x_test, dropped, list(COUNTS))
        limit = masks[max(COUNTS)]
        with torch.no_grad():
            kept, wrong = (network.outputs(x_test, scale=share)[0].softmax(1) for share in (1 - dropped, dropped))
        found[name] = {
            "kept": right(kept), "kept_distance": distance(kept, limit), "dropped_distance": distance(wrong, limit),
            "masks": [right(p) for p in masks.values()], "one_mask_distance": distance(masks[1], limit),
            "mask_distances": [distance(p, kept) for p in masks.values()],
        }  # fmt: skip
    ensemble = trained(context, data, count=members, dropped=0.0, epochs=epochs)
    with torch.no_grad():
        each = ensemble.outputs(x_test).softmax(2)
    found["single"] = fmean(right(p) for p in each)
    found["members"] = [count for count in COUNTS if count < members] + [members]
    found["ensemble"] = [found["single"], *(right(each[:count].mean(0)) for count in found["members"][1:])]
    return found
