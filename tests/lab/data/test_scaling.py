from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from normwise.errors import RequestError
from normwise.lab.data import Scaling, scaling

# One rounding to float32 of values near 1 is 6e-8; the rest is float64.
CLOSE = {"rtol": 2e-7, "atol": 2e-7}


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.integers(0, 256, (50, 3, 7, 5)) * np.array([1.0, 0.5, 0.1]).reshape(3, 1, 1)).astype(np.uint8)


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, [1.0, 100.0, 1e-3, 1.0], (60, 4))


def test_raw_is_the_identity(images):
    scaled = Scaling.fit("raw", images).apply(images)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, images)


@pytest.mark.parametrize(("dtype", "becomes"), [("i4", "i8"), ("i8", "i8"), ("u1", "f4"), ("i2", "f4"), ("f8", "f4")])
def test_raw_keeps_the_integers_that_embeddings_take(dtype, becomes):
    tokens = np.arange(6).reshape(3, 2).astype(dtype)
    scaled = Scaling.fit("raw", tokens).apply(tokens)
    assert scaled.dtype == becomes
    np.testing.assert_array_equal(scaled, tokens)
    assert Scaling.fit("minmax", tokens).apply(tokens).dtype == np.float32


class Unread(np.ndarray):
    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError


def test_raw_floats_are_neither_read_nor_copied():
    X = np.zeros((4, 3, 2), np.float32).view(Unread)
    fitted = Scaling.fit("raw", X)
    assert fitted.shift.shape == (3, 1)
    assert np.shares_memory(fitted.apply(X), X)


def test_binary_is_one_above_half_of_the_training_range():
    train = np.array([[[0], [10]], [[255], [20]]], np.uint8)
    fitted = Scaling.fit("binary", train)
    test = np.array([[[127], [15]], [[128], [16]], [[255], [0]]], np.uint8)
    assert fitted.apply(test)[:, :, 0].tolist() == [[0, 0], [1, 1], [1, 0]]
    assert fitted.apply(test).dtype == np.float32


@pytest.mark.parametrize("how", ["raw", "minmax", "standard", "binary"])
@pytest.mark.parametrize("shape", [(30,), (30, 4), (30, 4, 5), (30, 4, 2, 2, 2)])
def test_any_number_of_axes(how, shape):
    X = np.random.default_rng(0).normal(3.0, 2.0, shape)
    fitted = Scaling.fit(how, X)
    axes = (0, *range(2, X.ndim))
    low, high = X.min(axis=axes, keepdims=True), X.max(axis=axes, keepdims=True)
    expected = {
        "raw": X,
        "minmax": (X - low) / (high - low),
        "standard": (X - X.mean(axis=axes, keepdims=True)) / X.std(axis=axes, keepdims=True),
        "binary": (low + high) / 2 < X,
    }[how]
    assert fitted.shift.shape == fitted.factor.shape == (shape[1:2] + (1,) * (X.ndim - 2))
    np.testing.assert_allclose(fitted.apply(X), expected, rtol=1e-6, atol=1e-6)


def test_minmax_maps_each_channel_of_images_onto_the_unit_interval(images):
    fitted = Scaling.fit("minmax", images)
    assert fitted.shift.shape == fitted.factor.shape == (3, 1, 1)
    scaled = fitted.apply(images)
    np.testing.assert_array_equal(scaled.min(axis=(0, 2, 3)), 0)
    np.testing.assert_allclose(scaled.max(axis=(0, 2, 3)), 1, **CLOSE)


def test_standard_agrees_with_whole_float64_arrays(images):
    exact = images.astype(np.float64)
    mean, std = exact.mean(axis=(0, 2, 3), keepdims=True), exact.std(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(Scaling.fit("standard", images).apply(images), (exact - mean) / std, **CLOSE)


@pytest.mark.parametrize(("how", "name"), [("minmax", "MinMaxScaler"), ("standard", "StandardScaler")])
def test_tables_agree_with_scikit_learn(how, name, table):
    from sklearn import preprocessing

    train, test = table[:40], table[40:]
    oracle = getattr(preprocessing, name)().fit(train)
    fitted = Scaling.fit(how, train)
    assert fitted.shift.shape == (4,)
    np.testing.assert_allclose(fitted.apply(test), oracle.transform(test), rtol=2e-7, atol=1e-6)


def test_results_do_not_depend_on_the_chunks(monkeypatch, images):
    """The last chunk is a short one: 50 examples by 3."""
    whole = Scaling.fit("standard", images)
    applied = whole.apply(images)
    monkeypatch.setattr(scaling, "CHUNK", 3 * images[0].size)
    chunked = Scaling.fit("standard", images)
    # Only the order of float64 additions differs.
    np.testing.assert_allclose(chunked.shift, whole.shift, rtol=1e-13)
    np.testing.assert_allclose(chunked.factor, whole.factor, rtol=1e-13)
    np.testing.assert_array_equal(whole.apply(images), applied)


@pytest.mark.parametrize("how", ["minmax", "standard"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e20, -7.3e-5])
def test_a_constant_feature_becomes_zero(how, value, table):
    """0.1 is not exact, so its mean over many rows is off by rounding, and so would a division by the deviation be."""
    table[:, 2] = value
    scaled = Scaling.fit(how, table).apply(table)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled[:, 2] / max(abs(value), 1), 0, atol=1e-12)


def test_a_constant_feature_is_not_stretched_in_new_data(table):
    table[:, 2] = 5.0
    fitted = Scaling.fit("standard", table)
    np.testing.assert_allclose(fitted.apply(np.full((1, 4), 7.0))[0, 2], 2.0)


def test_a_vanishing_spread_counts_as_constant(table):
    table[:, 2] = np.linspace(0, 1e-300, len(table))
    assert Scaling.fit("standard", table).factor[2] == 1


def test_a_large_offset_keeps_its_digits():
    """Such as time stamps in seconds: in float32 all of these would be the same number."""
    table = 1.7e9 + np.arange(10.0)[:, None]
    np.testing.assert_allclose(Scaling.fit("minmax", table).apply(table)[:, 0], np.arange(10) / 9, **CLOSE)


def test_fit_looks_at_the_training_part_only(table):
    fitted = Scaling.fit("minmax", table[:10])
    assert fitted.apply(table).max() > 1


def test_memory_stays_near_the_result():
    """No float64 copy: the result is 4 bytes a value, a float64 copy would be 8 more."""
    images = np.zeros((2000, 3, 32, 32), np.uint8)
    images[::2] = 9
    tracemalloc.start()
    try:
        Scaling.fit("standard", images).apply(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * 4 * images.size


def test_an_unknown_scaling_is_refused(table):
    with pytest.raises(RequestError, match="unknown inputs 'min-max'; did you mean 'minmax'"):
        Scaling.fit("min-max", table)
