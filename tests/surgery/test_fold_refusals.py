from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from folds import chain, conv, fold, image
from normwise.errors import InvalidArgumentError, SurgeryError


def broken(network):
    network[1].running_var[1] = torch.nan
    return network


def remembering(network, kind=lambda values: values[0]):
    network[0].last = kind([network(image)])
    return network


REFUSED = {
    "none": (lambda: chain(conv(), nn.LayerNorm(8)), r"found none \(normalizations in the network: LayerNorm × 1\)"),
    "of batches": (lambda: chain(conv(), nn.BatchNorm2d(3, track_running_stats=False)), "no running statistics"),
    "another shape": (lambda: chain(nn.Linear(3, 3), nn.BatchNorm1d(3)), r"example of shape \(4, 3, 8, 8\)"),
    "compiled": (lambda: torch.compile(chain(conv(), nn.BatchNorm2d(3))), "compiled or scripted"),
    "not finite": (lambda: broken(chain(conv(), nn.BatchNorm2d(3))), "its statistics, weight or bias are not finite"),
    "parallel": (
        lambda: nn.DataParallel(chain(conv(), nn.BatchNorm2d(3))),
        r"a DataParallel.*give model\.module",
    ),
    "parallel inside": (
        lambda: nn.Sequential(nn.DataParallel(chain(conv(), nn.BatchNorm2d(3)))),
        r"cannot fold 0: .* put 0\.module in the place of 0",
    ),
    "a value with a history": (lambda: remembering(chain(conv(), nn.BatchNorm2d(3))), r"0\.last .* detach it"),
    "values with a history": (lambda: remembering(chain(conv(), nn.BatchNorm2d(3)), list), r"cannot copy .*detach"),
    "no values": (lambda: chain(conv(), nn.BatchNorm2d(3)).to("meta"), "0.weight is on the meta device"),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(3, 1), nn.LazyBatchNorm2d()), "run the network once"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(SurgeryError, match=message):
        fold(make(), example=image)


SURGERIES = {
    "fold": lambda model: nw.fold(model, example=image),
    "convert": lambda model: nw.convert(model, "normwise"),
    "export": lambda model: nw.export(model, "model.pt2", image),
    "summary": nw.summary,
    "estimate_population": lambda model: nw.estimate_population(model, [image]),
    "freeze": nw.freeze,
    "unfreeze": nw.unfreeze,
}


@pytest.mark.parametrize("surgery", SURGERIES)
@pytest.mark.parametrize(("given", "said"), [("x", "got str"), (nn.Linear, "got the class Linear; make one")])
def test_what_is_no_network_is_refused_by_every_surgery(surgery, given, said):
    with pytest.raises(InvalidArgumentError, match=rf"model must be an nn\.Module, {said}"):
        SURGERIES[surgery](given)
