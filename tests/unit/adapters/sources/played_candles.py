"""Candles with breaks, and sources that play them, for the tests of the file source."""

import numpy as np

from trading.market.candles import Candles

START_MS = 1_750_000_020_000
BAR_MS = 60_000


def make_candles(slots: list[int]) -> Candles:
    """Return candles of one minute that all differ, in the given slots after the start."""
    noise = np.random.default_rng(7)
    edges = 100.0 + noise.integers(-50, 50, (len(slots), 2)) / 10
    wicks = noise.integers(1, 20, (len(slots), 2)) / 10
    high, low = edges.max(axis=1) + wicks[:, 0], edges.min(axis=1) - wicks[:, 1]
    volume = noise.integers(1, 1_000, len(slots)) / 10
    values = np.column_stack((edges[:, 0], high, low, edges[:, 1], volume))
    return Candles(START_MS + np.array(slots, np.int64) * BAR_MS, values)


CANDLES = make_candles([*range(40), *range(45, 70), 71, 72, *range(80, 120)])
