"""A table of your own: ``houses.csv``, which this script writes, and no code.

normwise compare --data examples/houses.csv --target price --steps 3000

Numbers are features as they are; words, like the district, become a feature for each of them. What comes out: the
three layers of sigmoids stay on a plateau for all 3,000 steps, R² 0, and reach 0.92 with batch normalization.
"""

from pathlib import Path

import numpy as np

DISTRICTS = {"harbor": 1.3, "old town": 1.5, "hill": 1.1, "east": 0.8, "north": 0.9}


def make_table(n=1200, seed=0):
    """Made-up houses; the logarithm of the price is what the features say, with a noise of 10 %."""
    draw = np.random.default_rng(seed)
    area = draw.gamma(9, 12, n).clip(25, 400).round()
    rooms = (area / 25 + draw.normal(0, 0.7, n)).clip(1, 12).round()
    built = draw.integers(1900, 2024, n)
    distance = draw.exponential(2500, n).clip(50, 20000).round()
    district = draw.choice(list(DISTRICTS), n)
    garden = draw.random(n) < 0.4
    worth = 3000 * area**0.9 * np.array([DISTRICTS[each] for each in district])
    worth *= (1 + 0.08 * garden) * 0.97 ** ((2024 - built) / 10) * np.exp(-distance / 12000)
    price = (worth * np.exp(draw.normal(0, 0.1, n)) / 1000).round() * 1000
    return {
        "area": area, "rooms": rooms, "built": built, "meters_to_station": distance, "district": district,
        "garden": np.where(garden, "yes", "no"), "price": price,
    }  # fmt: skip


def as_csv(table):
    rows = zip(*table.values(), strict=True)
    cells = [[f"{cell:.0f}" if isinstance(cell, (float, np.number)) else str(cell) for cell in row] for row in rows]
    return "\n".join(",".join(row) for row in [list(table), *cells]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("houses.csv").write_text(as_csv(make_table()), encoding="utf-8")
