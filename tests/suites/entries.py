"""The BatchNorm entries of the suites that torch ships.

Importing those suites turns hypothesis down to ten examples and locks ``torch.backends``; both are put back, so that
the other tests of the session are those that run without this file.
"""

from __future__ import annotations

import functools

import hypothesis
import torch

import normwise as nw

hypothesis.settings.register_profile("before", hypothesis.settings())
frozen = torch.backends.flags_frozen()
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

hypothesis.settings.load_profile("before")
torch.backends.__allow_nonbracketed_mutation_flag = not frozen

MODULES = [info for info in module_db if info.module_cls.__name__ in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")]
OPERATORS = {
    info.name: info for info in op_db if info.name in ("nn.functional.batch_norm", "native_batch_norm") and info.dtypes
}


def ours(info):
    """Our class for torch's."""
    return getattr(nw, info.module_cls.__name__)


def module_inputs(info, dtype=torch.float32, training=True):
    return info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)


def each_module_input(info, dtype):
    """(ModuleInput, training) for both modes; of what is printed, the last line names the one that failed."""
    for training in (True, False):
        for given in module_inputs(info, dtype, training):
            print(info.module_cls.__name__, "training" if training else "evaluation", given.desc)
            yield given, training


def module_errors(info):
    return info.module_error_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=True, training=True)


@functools.cache
def samples(name, dtype=torch.float32, requires_grad=False):
    """The SampleInputs, not to be written to; making them inspects the whole stack, which takes long under pytest."""
    return list(OPERATORS[name].sample_inputs("cpu", dtype, requires_grad=requires_grad))
