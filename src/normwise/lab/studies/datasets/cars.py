"""Made-up used cars, whose two features differ in scale by 10⁴: the example of note 002."""

from __future__ import annotations

import numpy as np

MILES, YEARS = 200_000.0, 20.0
"""The largest mileage and the largest age; the features are uniform from 0 on."""

Part = tuple[np.ndarray, np.ndarray]


def price(miles: np.ndarray, years: np.ndarray) -> np.ndarray:
    """A price in thousands of dollars, 30·exp(−miles/150,000)·exp(−years/10): ours, so that both features matter."""
    return np.asarray(30 * np.exp(-miles / 150_000) * np.exp(-years / 10))


def cars() -> tuple[Part, Part, Part]:
    """2,000 cars to train with, 500 to validate and 500 to test: (miles, years) and a price with noise of 0.5."""
    rng = np.random.default_rng(0)
    features = rng.uniform(0, (MILES, YEARS), (3000, 2))
    prices = price(*features.T) + 0.5 * rng.standard_normal(3000)
    X, y = features.astype(np.float32), prices.astype(np.float32)
    return (X[:2000], y[:2000]), (X[2000:2500], y[2000:2500]), (X[2500:], y[2500:])
