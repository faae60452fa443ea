"""Simulated market without end: with the same seed, every process gets the same candles."""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from adapters import clock
from adapters.sources.playback import PlayedSource
from adapters.sources.playback_clock import AnchorStore, Speed
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe

_BLOCK_BARS = 1_440
_BLOCKS_KEPT = 16
_CLOSED_BLOCKS = 30  # a market closed for so many blocks in a row has ended
_YEAR_MS = 365 * 86_400_000
_DAY_MS = 86_400_000

_MEMORY_BLOCKS = 128
_RECALL = 0.97 ** np.arange(_MEMORY_BLOCKS)  # of a block's move, 3 % is taken back in each later block
_BLOCK_ZERO = 1 << 40  # seeds may not be negative, block numbers may

_REGIME_BARS = (60, 240)  # shortest, longest
_TREND = 0.35  # drift per bar, in standard deviations of a bar
_QUIET = 0.7  # noise around a trend or within a range
_WILD = 2.2  # noise of a volatile period
_RANGE_RECALL = 0.93 ** np.arange(60)
_MOMENTUM = np.array([0.92, 0.32, 0.16, 0.08])  # a move continues a little
_JUMP_CHANCE = 1 / 2_000
_CLOSED_MOVE = 0.2  # how much a closed market moves, against an open one


class SimulatedSource(PlayedSource):
    """Plays simulated candles with trends, ranges, volatile periods, jumps, session breaks and history."""

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        *,
        seed: int,
        start_ms: int,
        start_price: float,
        speed: Speed = "max",
        annual_volatility: float = 0.5,
        tick_size: float = 0.01,
        mean_volume_units: float = 100.0,
        is_open: Callable[[int], bool] | None = None,
        now_ms: Callable[[], int] = clock.now_ms,
        anchors: AnchorStore | None = None,
        step: int = 1,
    ) -> None:
        """Create a source; candles are generated on demand.

        Args:
            symbol: Symbol of the candles; each symbol has its own.
            timeframe: Such as "1m".
            seed: Not negative; the same arguments always give the same candles.
            start_ms: Start of playback, milliseconds since the epoch, UTC; moved back to the timeframe's grid.
            start_price: Price at the start, in quote currency. Prices always return to its neighbourhood.
            speed: "max", or market seconds per wall second.
            annual_volatility: Standard deviation of a year's log return, as a fraction, from which that of a bar
                follows with the square root of time (a year of 365 days).
            tick_size: Prices are multiples of it, in quote currency.
            mean_volume_units: Volume of an ordinary candle.
            is_open: Whether the market is open at a time in milliseconds; None is always open. There is no candle where
                it was closed at the candle's open.
            now_ms: The wall clock, milliseconds since the epoch.
            anchors: Store of the market's start for numeric speeds; None keeps it in this object.
            step: Candles released per call at speed "max".

        Raises:
            ValueError: An argument is invalid.
        """
        series = SimulatedCandles(
            symbol,
            timeframe=timeframe,
            seed=seed,
            start_ms=start_ms,
            start_price=start_price,
            annual_volatility=annual_volatility,
            tick_size=tick_size,
            mean_volume_units=mean_volume_units,
            is_open=is_open,
        )
        grid = Timeframe.parse(timeframe)
        super().__init__(
            series,
            timeframe=timeframe,
            speed=speed,
            step=step,
            now_ms=now_ms,
            anchors=anchors,
            phase_ms=series.start_ms % grid.grid_ms,
        )
        self.symbol = symbol
        self.seed = seed

    def __repr__(self) -> str:
        return f"<SimulatedSource {self.symbol} seed={self.seed}>"


class SimulatedCandles:
    """A series without ends, generated in blocks of 1,440 bars.

    The log price at a block's edge is a weighted sum of the random moves of the 128 blocks before it. It can therefore
    be computed for any block alone, and stays near its start. Within a block, a path of regimes connects the edges.
    """

    def __init__(
        self,
        symbol: str,
        *,
        timeframe: str,
        seed: int,
        start_ms: int,
        start_price: float,
        annual_volatility: float,
        tick_size: float,
        mean_volume_units: float,
        is_open: Callable[[int], bool] | None,
    ) -> None:
        """Arguments as for `SimulatedSource`."""
        for name, value in (
            ("start_price", start_price),
            ("annual_volatility", annual_volatility),
            ("tick_size", tick_size),
            ("mean_volume_units", mean_volume_units),
        ):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} {value!r}: expected a number above 0")
        if seed < 0:
            raise ValueError(f"seed {seed}: expected 0 or more")
        self._grid = Timeframe.parse(timeframe)
        self._first_slot = self._grid.slot(start_ms)
        self.start_ms = self._grid.opens_ms(self._first_slot)
        self._entropy = [seed, int.from_bytes(blake2b(symbol.encode(), digest_size=8).digest(), "big")]
        self._start_price = start_price
        self._bar_sd = annual_volatility * math.sqrt(self._grid.length_ms / _YEAR_MS)
        self._tick_size = tick_size
        self._decimals = max(0, -int(Decimal(str(tick_size)).normalize().as_tuple().exponent))
        self._mean_volume_units = mean_volume_units
        self._is_open = is_open
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._make_block)
        self._move = lru_cache(maxsize=4 * _MEMORY_BLOCKS)(self._make_move)

    def after(self, open_ms: int, count: int) -> Candles:
        block = self._block_at(open_ms)
        found = self._block(block).after(open_ms)[:count]
        empty = 0
        while len(found) < count and empty < _CLOSED_BLOCKS:
            block += 1
            later = self._block(block)[: count - len(found)]
            empty = 0 if len(later) else empty + 1
            found = found.then(later)
        return found

    def until(self, open_ms: int, count: int) -> Candles:
        block = self._block_at(open_ms)
        found = _last(self._block(block).until(open_ms), count)
        empty = 0
        while len(found) < count and empty < _CLOSED_BLOCKS:
            block -= 1
            earlier = _last(self._block(block), count - len(found))
            empty = 0 if len(earlier) else empty + 1
            found = earlier.then(found)
        return found

    def _block_at(self, open_ms: int) -> int:
        return (self._grid.slot(open_ms) - self._first_slot) // _BLOCK_BARS

    def _make_block(self, block: int) -> Candles:
        noise = self._noise(block, stream=1)
        slots_ms = self._slots_ms(block)
        is_open = self._open_mask(slots_ms)
        moves = _regimes(noise) * np.where(is_open, 1.0, _CLOSED_MOVE)
        begin, end = self._edge(block) - self._edge(0), self._edge(block + 1) - self._edge(0)
        returns = moves * self._bar_sd
        returns += (end - begin - returns.sum()) / _BLOCK_BARS
        path = begin + np.concatenate(([0.0], np.cumsum(returns)))
        path[-1] = end  # the next block begins at exactly this price
        prices = self._prices(path, moves, noise)
        volume = self._volume(slots_ms, moves, noise)
        values = np.column_stack((prices, volume))[is_open]
        open_ms = slots_ms[is_open]
        open_ms.flags.writeable = values.flags.writeable = False
        return Candles(open_ms, values)

    def _slots_ms(self, block: int) -> NDArray[np.int64]:
        places = np.arange(_BLOCK_BARS) + block * _BLOCK_BARS
        if self._grid.is_fixed:
            return self.start_ms + places * self._grid.length_ms
        return np.array([self._grid.opens_ms(self._first_slot + place) for place in places.tolist()], np.int64)

    def _edge(self, block: int) -> float:
        """Return the log price at the start of a block, without a constant."""
        moves = [self._move(block - 1 - age) for age in range(_MEMORY_BLOCKS)]
        return float(_RECALL @ moves) * self._bar_sd * math.sqrt(_BLOCK_BARS)

    def _make_move(self, block: int) -> float:
        return float(self._noise(block, stream=0).standard_normal())

    def _noise(self, block: int, *, stream: int) -> np.random.Generator:
        seeds = np.random.SeedSequence([*self._entropy, block + _BLOCK_ZERO, stream])
        return np.random.Generator(np.random.Philox(seeds))

    def _open_mask(self, slots_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self._is_open is None:
            return np.ones(len(slots_ms), np.bool_)
        return np.fromiter(map(self._is_open, slots_ms.tolist()), np.bool_, len(slots_ms))

    def _prices(
        self, path: NDArray[np.float64], moves: NDArray[np.float64], noise: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return open, high, low, close, shape (bars, 4), for log prices at the edges of the bars."""
        wicks = np.abs(noise.standard_normal((2, _BLOCK_BARS))) * (0.2 + 0.4 * np.abs(moves)) * self._bar_sd
        begin, end = path[:-1], path[1:]
        highs, lows = np.maximum(begin, end) + wicks[0], np.minimum(begin, end) - wicks[1]
        exact = self._start_price * np.exp(np.column_stack((begin, highs, lows, end)))
        ticks = np.maximum(np.rint(exact / self._tick_size), 1.0)
        return np.asarray(np.round(ticks * self._tick_size, self._decimals))

    def _volume(
        self, slots_ms: NDArray[np.int64], moves: NDArray[np.float64], noise: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return units per bar: more in the afternoon (UTC) than at night, and more in large moves."""
        of_day = 1.0 - 0.6 * np.cos(2 * np.pi * (slots_ms % _DAY_MS / _DAY_MS - 1 / 12))
        chance = noise.lognormal(-0.08, 0.4, len(slots_ms))
        busy = 0.5 + 0.6 * np.abs(moves)
        return np.asarray(np.round(self._mean_volume_units * of_day * chance * busy, 3))


def _last(candles: Candles, count: int) -> Candles:
    return candles[max(len(candles) - count, 0) :]


def _regimes(noise: np.random.Generator) -> NDArray[np.float64]:
    """Return the moves of a block, in standard deviations of a bar: trends, ranges and volatile periods, with jumps."""
    pieces: list[NDArray[np.float64]] = []
    bars = 0
    while bars < _BLOCK_BARS:
        length = int(noise.integers(*_REGIME_BARS))
        pieces.append(_regime(noise, int(noise.integers(5)), length))
        bars += length
    moves = np.concatenate(pieces)[:_BLOCK_BARS]
    jumps = np.flatnonzero(noise.random(_BLOCK_BARS) < _JUMP_CHANCE)
    moves[jumps] += noise.uniform(5.0, 12.0, len(jumps)) * np.where(noise.random(len(jumps)) < 0.5, -1.0, 1.0)
    return moves


def _regime(noise: np.random.Generator, kind: int, length: int) -> NDArray[np.float64]:
    """Return moves of one regime: 0 and 1 trend up, 2 and 3 trend down, else volatile or in a range."""
    moves: NDArray[np.float64] = np.convolve(noise.standard_normal(length), _MOMENTUM)[:length]
    if kind < 4:
        return _QUIET * moves + (_TREND if kind < 2 else -_TREND)
    if noise.random() < 0.5:
        return _WILD * moves
    levels: NDArray[np.float64] = np.convolve(_QUIET * moves, _RANGE_RECALL)[:length]
    return np.diff(levels, prepend=0.0)
