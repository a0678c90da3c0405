"""A regression with two targets, from features in units as different as pascals and fractions.

normwise compare --model examples/regression.py:make_model --data examples/regression.py:make_data --targets standard \
    --lr 0.05 --steps 1500 --arm "raw: inputs=raw" --arm bn --arm "minmax: inputs=minmax" \
    --arm "standard: inputs=standard"
"""

import torch
from torch import nn


def make_data():
    """Moist air: pressure in Pa, temperature in K and relative humidity give density in kg/m³ and sound in m/s."""
    torch.manual_seed(0)
    n = 2400
    pressure, kelvin, humidity = 5e4 + 6e4 * torch.rand(n), 250 + 70 * torch.rand(n), torch.rand(n)
    saturated = 610.94 * (17.625 * (kelvin - 273.15) / (kelvin - 30.11)).exp()
    vapor = humidity * saturated / pressure
    density = pressure / (287.05 * kelvin) * (1 - 0.378 * vapor)
    sound = 20.05 * (kelvin * (1 + 0.32 * vapor)).sqrt()
    X = torch.stack([pressure, kelvin, humidity], dim=1)
    y = torch.stack([density + 0.02 * torch.randn(n), sound + 2 * torch.randn(n)], dim=1)
    return (X[:2000], y[:2000]), (X[2000:], y[2000:])


def make_model():
    return nn.Sequential(
        nn.Linear(3, 32), nn.Tanh(),
        nn.Linear(32, 32), nn.Tanh(),
        nn.Linear(32, 2),
    )  # fmt: skip
