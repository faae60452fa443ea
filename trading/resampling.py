"""Longer candles made of shorter ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.candles import CLOSE, HIGH, LOW, OPEN, VOLUME, Candles, timeframe_ms


@dataclass(frozen=True, slots=True)
class Resampled:
    """What came of it.

    Attributes:
        candles: The longer candles.
        left_out: Open times of those that were not made, because candles of theirs are missing.
        unused: How many of the shorter candles would have been in them.
        partial: Open times of those that were made although candles of theirs are missing.
    """

    candles: Candles
    left_out: NDArray[np.int64]
    unused: int
    partial: NDArray[np.int64]


def resample(
    candles: Candles,
    *,
    timeframe: str,
    to: str,
    keep_partial: bool = False,
    is_open: Callable[[int], bool] | None = None,
) -> Resampled:
    """Make longer candles: the first open, the highest high, the lowest low, the last close, the sum of the volumes.

    A longer candle begins at a whole multiple of its timeframe since the epoch, UTC. Where there is no shorter candle
    there is no longer one: a gap stays a gap.

    Args:
        candles: Checked ones.
        timeframe: Theirs, such as `1m`.
        to: The longer one, a whole multiple of it, such as `5m`.
        keep_partial: Also make a longer candle of which shorter ones are missing.
        is_open: Whether the market is open at a time in milliseconds: while it is not, no candle is missing. None is
            always open.

    Raises:
        ValueError: `to` is not a multiple of `timeframe`, or not longer.
    """
    length_ms, whole_ms = timeframe_ms(timeframe), timeframe_ms(to)
    if whole_ms % length_ms or whole_ms <= length_ms:
        raise ValueError(f"timeframe {to!r}: allowed is a whole multiple of {timeframe!r}, two or more of it")
    begin_ms = candles.open_ms // whole_ms * whole_ms
    opens, first, counts = np.unique(begin_ms, return_index=True, return_counts=True)
    whole = _merged(candles, opens, first)
    lacking = counts < whole_ms // length_ms
    if is_open is not None:
        for place in np.flatnonzero(lacking).tolist():
            there = set(candles.open_ms[first[place] : first[place] + counts[place]].tolist())
            slots = range(int(opens[place]), int(opens[place]) + whole_ms, length_ms)
            lacking[place] = any(at not in there and is_open(at) for at in slots)
    if keep_partial:
        return Resampled(whole, opens[:0], 0, opens[lacking])
    kept = Candles(opens[~lacking], whole.values[~lacking])
    return Resampled(kept, opens[lacking], int(counts[lacking].sum()), opens[:0])


def _merged(candles: Candles, opens: NDArray[np.int64], first: NDArray[np.intp]) -> Candles:
    if not len(opens):
        return Candles.empty()
    values = np.empty((len(opens), 5))
    last = np.append(first[1:], len(candles)) - 1
    values[:, OPEN] = candles.values[first, OPEN]
    values[:, HIGH] = np.maximum.reduceat(candles.values[:, HIGH], first)
    values[:, LOW] = np.minimum.reduceat(candles.values[:, LOW], first)
    values[:, CLOSE] = candles.values[last, CLOSE]
    values[:, VOLUME] = np.add.reduceat(candles.values[:, VOLUME], first)
    return Candles(opens, values)
