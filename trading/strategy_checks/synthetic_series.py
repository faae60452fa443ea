"""Synthetic candles for strategy checks, generated from a seed, in market types that reveal faults."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.market.candles import Candles

Floats = NDArray[np.float64]

_START_MS = 1_767_571_200_000  # Monday, 5 January 2026, 00:00 UTC
_BAR_MS = 60_000
_PRICE = 2_000.0
_TICK_DECIMALS = 2
_MOVE = 8e-4  # standard deviation of a bar's logarithmic return
_LONGEST_HOLE_BARS = 60
_WEEKEND_BARS = 2_880
_LONGEST_FLAT_BARS = 600


class Series(Struct, frozen=True, eq=False):
    """Candles with a name for messages."""

    name: str
    candles: Candles


class _Path(Struct, frozen=True):
    """Logarithmic returns, jumps and wick lengths of the bars, and the grid slots that have a bar."""

    moves: Floats
    jumps: Floats
    wick: Floats
    slots: NDArray[np.int64]


def made_up(count: int, seeds: Iterable[int]) -> list[Series]:
    """Generate a series of `count` one-minute candles for each market type and seed."""
    return [
        Series(f"{kind} {seed}", _candles(make(np.random.default_rng([number, seed]), count)))
        for seed in seeds
        for number, (kind, make) in enumerate(_MAKERS.items())
    ]


def _trend(noise: np.random.Generator, count: int) -> _Path:
    """Alternate upward and downward trends."""
    drift = np.where(np.arange(count) // 90 % 2, -0.3, 0.3)
    return _plain(noise, _MOVE * (drift + noise.standard_normal(count)))


def _range(noise: np.random.Generator, count: int) -> _Path:
    """Return to the mean again and again."""
    recall = 0.9 ** np.arange(60)
    levels = np.convolve(_MOVE * noise.standard_normal(count), recall)[:count]
    return _plain(noise, np.diff(levels, prepend=0.0))


def _gaps(noise: np.random.Generator, count: int) -> _Path:
    """Leave out minutes and weekends, with price jumps after some of them."""
    path = _plain(noise, _MOVE * noise.standard_normal(count))
    steps = np.ones(count, np.int64)
    holes = noise.random(count) < 1 / 60
    steps[holes] = noise.integers(2, _LONGEST_HOLE_BARS, int(holes.sum()))
    steps[400::400] = _WEEKEND_BARS
    is_jump = (steps > 1) & (noise.random(count) < 0.5)
    jumps = np.where(is_jump, _MOVE * 8 * noise.standard_normal(count), 0.0)
    return _Path(path.moves, jumps, path.wick, np.cumsum(steps))


def _flat(noise: np.random.Generator, count: int) -> _Path:
    """Simulate a thin market and closed hours: stretches without trades have four equal prices and no volume.

    The stretches are of 1 to 600 bars, so that some are longer than the windows of most indicators.
    """
    path = _plain(noise, _MOVE * noise.standard_normal(count))
    is_busy = np.ones(count)
    end = 0
    while end < count:
        begin = end + int(noise.integers(20, 160))
        end = begin + int(np.exp(noise.uniform(0.0, np.log(_LONGEST_FLAT_BARS))))
        is_busy[begin:end] = 0.0
    return _Path(path.moves * is_busy, path.jumps, path.wick * is_busy, path.slots)


def _plain(noise: np.random.Generator, moves: Floats) -> _Path:
    count = len(moves)
    wick = _MOVE * np.abs(noise.standard_normal((2, count))) * 0.5
    return _Path(moves, np.zeros(count), wick, np.arange(count, dtype=np.int64))


_MAKERS: Mapping[str, Callable[[np.random.Generator, int], _Path]] = {
    "trend": _trend,
    "range": _range,
    "gaps": _gaps,
    "flat": _flat,
}
KINDS = tuple(_MAKERS)


def _candles(path: _Path) -> Candles:
    ends = np.cumsum(path.moves + path.jumps)
    begins = ends - path.moves
    logs = (begins, np.maximum(begins, ends) + path.wick[0], np.minimum(begins, ends) - path.wick[1], ends)
    prices = np.round(_PRICE * np.exp(np.column_stack(logs)), _TICK_DECIMALS)
    volume = np.where(prices[:, 1] > prices[:, 2], 10.0 + np.round(path.slots % 17), 0.0)
    return Candles(_START_MS + path.slots * _BAR_MS, np.column_stack((prices, volume)))
