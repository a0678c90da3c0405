"""Fixtures of the tests that time something."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def only_new_objects_are_collected() -> Iterator[None]:
    """Each timing collects garbage first, which takes half a second among all objects of all modules of a test run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
