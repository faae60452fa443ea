"""Candles for tests, and the two symbols that each contract suite trades."""

import numpy as np
import pandas as pd

from trading.market.candles import Candles

SYMBOL, OTHER = "XAUUSD", "BTCUSD"
START_MS = int(pd.Timestamp("2026-03-02T00:00Z").timestamp() * 1000)
MINUTE_MS = 60_000


def make_candles(count: int, *, seed: int = 5, price: float = 100.0) -> Candles:
    """Return one-minute candles of a random walk from `price`, from `START_MS` on; equal for equal arguments."""
    steps = np.random.default_rng(seed).normal(0.0, 0.4, count)
    close = np.round(price + np.cumsum(steps), 2)
    opens = np.concatenate(([price], close[:-1]))
    high, low = np.maximum(opens, close) + 0.05, np.minimum(opens, close) - 0.05
    values = np.column_stack((opens, high, low, close, np.full(count, 10.0)))
    return Candles(START_MS + np.arange(count, dtype=np.int64) * MINUTE_MS, values)


def place_of(open_ms: int) -> int:
    """Return the index of a candle of `make_candles`, by its open time."""
    return (open_ms - START_MS) // MINUTE_MS


def at_place(place: int) -> int:
    """Return the open time of the candle of `make_candles` at an index, milliseconds since the epoch, UTC."""
    return START_MS + place * MINUTE_MS
