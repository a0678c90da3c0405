"""What each unit of the last hidden layer receives while the network of figure 1 (a) trains."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from normwise.lab import batches, networks
from normwise.lab.evaluate import evaluating
from normwise.lab.reproduction.context import Context
from normwise.lab.settings import Settings
from normwise.lab.studies.figure_1a import OURS, PAPER

PERCENTS = (15, 50, 85)
EXAMPLES = 1000
"""Test images over which percentiles are taken; the paper does not say its own."""


def inputs(context: Context, norm: str, steps: int, every: int) -> Mapping[str, Any]:
    """Train as figure 1 (a) does; percentiles of what each unit's last sigmoid receives, every so many steps.

    They are those of evaluation, with BN's running averages; ``p50_in_training`` has the sample's own statistics.
    """
    settings = Settings(**PAPER, **OURS, norm=norm, outputs=10, seed=context.seed)
    source = batches.opened(context.data, settings, context.device)
    network = networks.build(settings, source.sample("train", 32)[0]).network.to(context.device)
    sample = torch.cat([batch.args[0] for batch in source.sample("test", EXAMPLES)])
    before = _before(network, "activation3")
    optimizer = torch.optim.SGD(network.parameters(), lr=OURS["lr"])
    at, found, in_training = [], [], []
    for step in range(1, steps + 1):
        batch = source.next()
        optimizer.zero_grad()
        loss = F.cross_entropy(batch.through(network), batch.target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % every == 0:
            at.append(step)
            with evaluating(network):
                found.append(np.percentile(before(sample).cpu().numpy(), PERCENTS, axis=0).round(4))
                own = deepcopy(before).train()(sample)  # a copy: its running averages are moved
                in_training.append(np.median(own.cpu().numpy(), axis=0).round(4).tolist())
            context.progress(step / steps)
    return {
        "steps": at,
        "p50_in_training": in_training,
        **{f"p{percent}": [row[place].tolist() for row in found] for place, percent in enumerate(PERCENTS)},
    }


def _before(network: nn.Module, name: str) -> nn.Sequential:
    """The part of a chain of layers that computes what the layer of this name receives."""
    return nn.Sequential(*(layer for _, layer in takewhile(lambda each: each[0] != name, network.named_children())))
