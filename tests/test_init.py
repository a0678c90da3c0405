import importlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import normwise


def test_public_names_are_frozen():
    assert normwise.__all__ == [
        "BatchNorm1d",
        "BatchNorm2d",
        "BatchNorm3d",
        "FrozenBatchNorm",
        "activate",
        "batch_normalize",
        "convert",
        "doctor",
        "errors",
        "estimate_population",
        "examine",
        "explain",
        "export",
        "fold",
        "freeze",
        "lab",
        "linear_output",
        "nn",
        "ops",
        "pooled_statistics",
        "recompute_activations",
        "summary",
        "surgery",
        "suspend_statistics",
        "unfreeze",
        "watch",
    ]


def test_every_public_name_exists_and_is_listed():
    assert all(getattr(normwise, name) is not None for name in normwise.__all__)
    assert set(normwise.__all__) <= set(dir(normwise))


@pytest.mark.parametrize(
    "package", ["bench", "doctor", "figures", "lab", "lab.data", "nn", "ops", "probes", "records", "report", "surgery"]
)
def test_every_package_exports_what_it_has(package):
    module = importlib.import_module(f"normwise.{package}")
    assert len(set(module.__all__)) == len(module.__all__) > 0
    assert all(hasattr(module, name) for name in module.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error_that_lists_those_that_do():
    with pytest.raises(AttributeError, match="has no attribute 'BatchNorm4d'; it has BatchNorm1d"):
        _ = normwise.BatchNorm4d


def test_the_version_is_that_of_the_package():
    assert normwise.__version__ == version("normwise")


def test_the_readme_s_layer_runs():
    import torch

    readme = Path(__file__).parents[1] / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    (code,) = (block for block in blocks if "nn.Sequential" in block)
    names = {}
    exec(code, names)
    y = names["block"](torch.randn(2, 3, 8, 8))
    assert y.shape[1] == 64
    assert y.min() == 0
