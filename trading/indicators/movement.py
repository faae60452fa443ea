"""Trailing windows that hold enough movement, and values at candles whose windows have different lengths.

A recursive average forgets by candles. Where prices stand still, all averages fade together, and their ratios and
differences keep the value of the last movement. A window of a fixed number of candles would lose that movement
when its last candle leaves. Such a window is therefore extended to the past until enough of its candles moved. Its
length depends on the candles up to its end alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trading.indicators.recursive import trailing

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_STILL_PART = 8
"""One of this many candles of a window may stand still before the window is extended."""

_MANY = 2**62

_NEAR = 64
"""Candles between two requested ones up to which those between are computed as well: that costs less than a call."""


class Movement:
    """The changes of a series of candles, and the windows that hold enough of them."""

    def __init__(self, has_changed: NDArray[np.bool_]) -> None:
        """Count the changes.

        Args:
            has_changed: Shape (n - 1,): whether each candle but the first differs from the one before it.
        """
        self._counts: Counts = np.concatenate(([0], np.cumsum(has_changed, dtype=np.int64)))

    def lengths(self, ends: Counts, window: int) -> Counts:
        """Return how many candles the window that ends at each place of `ends` should have.

        It is `window`, and more in steps of half a window where too few candles moved. It may be more than there are.
        """
        whole = np.minimum(ends + 1, window)
        if (self._counts[ends] - self._counts[ends + 1 - whole] >= np.minimum(_least_count(window), whole - 1)).all():
            return np.full(len(ends), window)
        lacking, step = np.maximum(self._spans(ends, window) - window, 0), _step(window)
        return window + -(-lacking // step) * step

    def reach(self, end: int, window: int) -> int:
        """Return how many candles up to `end` decide its value; with the next candle, they decide the next value too.

        It is more than `end + 1` where older candles than the first one would count.
        """
        span = int(self._spans(np.array([end]), window)[0])
        if span == _MANY:
            return max(window, 2 * (end + 1))
        return window if span < window else span + _step(window)

    def _spans(self, ends: Counts, window: int) -> Counts:
        """Return the smallest numbers of candles that hold enough changes; more than there are if none does."""
        first = np.searchsorted(self._counts, self._counts[ends] - _least_count(window), side="right") - 1
        return np.where(first < 0, _MANY, ends - first + 1)


def _step(window: int) -> int:
    return max(1, window // 2)


def _least_count(window: int) -> int:
    return window - 1 - (window - 1) // _STILL_PART


def changes(inputs: Sequence[Floats]) -> Movement:
    """Return the movement of candles that stand still where no input differs from the candle before."""
    has_changed = np.zeros(len(inputs[0]) - 1, np.bool_)
    for series in inputs:
        has_changed |= series[1:] != series[:-1]
    return Movement(has_changed)


def at_ends(
    function: str, inputs: Sequence[Floats], arguments: Sequence[float], ends: Counts, lengths: Counts
) -> tuple[Floats, ...]:
    """Return each output of a function of `RECURSIONS` over the windows that end at `ends`, which ascend."""
    count, length = len(ends), int(lengths[0]) if len(lengths) else 0
    if count and int(ends[-1] - ends[0]) == count - 1 and (lengths == length).all():
        first, last = int(ends[0]), int(ends[-1])
        return trailing(function, [one[first - length + 1 : last + 1] for one in inputs], arguments, length)
    found: list[Floats] = []
    for places, length in _runs(ends, lengths):
        first, last = int(ends[places[0]]), int(ends[places[-1]])
        parts = trailing(function, [one[first - length + 1 : last + 1] for one in inputs], arguments, length)
        found = found or [np.empty(len(ends)) for _ in parts]
        for whole, part in zip(found, parts, strict=True):
            whole[places] = part[ends[places] - first]
    return tuple(found)


def _runs(ends: Counts, lengths: Counts) -> Iterator[tuple[Counts, int]]:
    """Yield the places of windows of one length that end near to one another, and that length."""
    order = np.argsort(lengths, kind="stable")
    is_seam = (np.diff(lengths[order]) != 0) | (np.diff(ends[order]) > _NEAR)
    for places in np.split(order, np.flatnonzero(is_seam) + 1):
        if len(places):
            yield places, int(lengths[places[0]])
