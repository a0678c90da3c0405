"""What is tested here is which calls become one; tests/surgery/test_convert.py lets our kernels compute."""

import pytest


@pytest.fixture(autouse=True)
def by_torch(without_kernels) -> None:
    """Compile no kernels."""
