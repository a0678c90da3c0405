"""A regression with two targets, from features in units as different as pascals and fractions.

normwise compare --model examples/regression.py:make_model --data examples/regression.py:make_data --targets standard \
    --steps 1500 --arm "raw: inputs=raw" --arm bn --arm "minmax: inputs=minmax" --arm "standard: inputs=standard"

What comes out: scaled features give an R² of 0.98. Raw ones give 0, because the pressure in Pa saturates every unit.
Batch normalization scales what the units receive, in which the pressure hides the temperature: R² is 0.87 for the
density, 0 for the speed of sound. Raw targets, the default for data of your own, make a mean error of 330 m/s at the
start: without ``--targets standard`` little is learned.
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
