"""The common recursive indicators, for one candle or for many at once, with the same bits on every machine.

A value is a formula over the fixed window that ends at its candle; no value follows from the one before. For many
candles, their windows pass through the formula side by side: step `k` takes the `k`-th element of every window, and a
number is then an array with one element per window. Each formula is written once and uses only `+ - * /`. Each of these
operations is rounded by itself: IEEE 754 allows no choice there, neither for Python's floats nor for NumPy's arrays.
Only a sum of pairs (`_recent`) treats windows in two ways; both add the same numbers in the same order.

TA-Lib has the same functions, but its rounding depends on its version and on the processor's fused multiply-add.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = Any
"""A float, or an array with one float per window."""

Steps = Any
"""The numbers of a series at each step of a window, the input of a formula. A slice of steps is again steps."""

_BLOCK = 16_384
"""Windows processed side by side: few enough for the processor's cache."""


class Recursion(Struct, frozen=True):
    """One function.

    Attributes:
        prepare: Convert the inputs to the series of the formula; shorter ones if a candle needs a predecessor.
        formula: Take the steps of these series and the parameters, and return the outputs.
    """

    prepare: Callable[..., Sequence[Floats]]
    formula: Callable[..., tuple[Number, ...]]


def trailing(function: str, inputs: Sequence[Floats], arguments: Sequence[float], window: int) -> tuple[Floats, ...]:
    """Return each output of a function of `RECURSIONS` at every candle with a complete window.

    Args:
        inputs: Series of equal length, at least `window`, in TA-Lib's order.
        arguments: All parameters, in TA-Lib's order.
        window: Candles per window, more than the function's look-back.

    Returns:
        For each output an array of shape (len(inputs[0]) - window + 1,).
    """
    recursion = RECURSIONS[function]
    series = recursion.prepare(*inputs)
    count = len(inputs[0]) - window + 1
    length = len(series[0]) - count + 1
    parts = [recursion.formula(*steps, *arguments) for steps in _steps(series, length, count)]
    return tuple(np.concatenate(numbers) for numbers in _columns(parts))


def _columns(parts: Sequence[tuple[Number, ...]]) -> Iterator[list[Floats]]:
    return ([np.atleast_1d(number) for number in numbers] for numbers in zip(*parts, strict=True))


def _steps(series: Sequence[Floats], length: int, count: int) -> Iterator[list[Steps]]:
    """Yield the steps of all windows, one block at a time; a single window as Python floats, which are faster."""
    if count == 1:
        yield [one.tolist() for one in series]
        return
    for first in range(0, count, _BLOCK):
        together = min(_BLOCK, count - first)
        yield [_ManyWindows(one[first:], together, range(length)) for one in series]


class _ManyWindows:
    """Some steps of the first `count` windows of a series."""

    def __init__(self, series: Floats, count: int, steps: range) -> None:
        self._series = series
        self._count = count
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, some: slice) -> "_ManyWindows":
        return _ManyWindows(self._series, self._count, self._steps[some])

    def __iter__(self) -> Iterator[Floats]:
        return (self._series[step : step + self._count] for step in self._steps)

    @property
    def window_count(self) -> int:
        return self._count

    def in_order(self) -> Floats:
        """Return the numbers behind these steps; each step's numbers begin one position after the previous step's."""
        return self._series[self._steps.start : self._steps.stop + self._count - 1]

    def changes(self) -> "_ManyWindows":
        return _ManyWindows(np.diff(self.in_order()), self._count, range(len(self) - 1))


def _total(numbers: Iterable[Number]) -> Number:
    """Return the sequential sum, as a number that the caller may change in place."""
    total = 0.0
    for number in numbers:
        total = total + number
    return total


def _average(steps: Steps, period: int, weight: float) -> Number:
    """Return the exponential average at the last step, seeded with the mean of the first `period`.

    It is computed as the last number minus the average's lag. Each change adds to the lag, older changes less. A
    constant series therefore gives the number itself, without rounding errors.
    """
    keep = 1.0 - weight
    begin = steps[:period]
    lag, kept = _recent(_changes(steps[period - 1 :]), keep)
    first_lag = _last(begin) - _recent(begin, 1.0)[0] / period
    return _last(steps) - (keep * lag + kept * first_lag)


def _recent(steps: Steps, keep: float) -> tuple[Number, float]:
    """Return the sum of the steps, each weighted `keep` times the next one, and the weight of all earlier values.

    The last step weighs 1. The sum is made of blocks, newest first, one per power of two in the number of steps. A
    block adds pairs, then pairs of pairs, and so on. Consecutive windows share most of their pairs; with many windows,
    each pair is added once.
    """
    total: Number = 0.0
    weight, power, size, end = 1.0, keep, 1, len(steps)
    pairs = None if isinstance(steps, list) else _Pairs(steps)
    while end:
        if end & size:
            block = _block(steps[end - size : end], keep) if pairs is None else pairs.block(end - size)
            total = total + weight * block
            weight *= power
            end -= size
        if pairs is not None and end:
            pairs.double(power)
        power *= power
        size *= 2
    return total, weight


def _block(steps: list[float], keep: float) -> float:
    """Return such a sum over a power of two of steps."""
    while len(steps) > 1:
        steps = [late + keep * early for early, late in zip(steps[::2], steps[1::2], strict=True)]
        keep *= keep
    return steps[0]


class _Pairs:
    """The sums of all blocks of one size in many windows."""

    def __init__(self, steps: _ManyWindows) -> None:
        self._sums = steps.in_order()
        self._size = 1
        self._count = steps.window_count

    def block(self, first: int) -> Floats:
        """Return the sum of the block that begins at step `first`, one for each window."""
        return self._sums[first : first + self._count]

    def double(self, keep: float) -> None:
        """Add each block, weighted `keep`, to the one after it."""
        earlier = keep * self._sums[: -self._size]
        self._sums = np.add(self._sums[self._size :], earlier, out=earlier)
        self._size *= 2


def _changes(steps: Steps) -> Steps:
    """Return the change at each step except the first."""
    return [late - early for early, late in pairwise(steps)] if isinstance(steps, list) else steps.changes()


def _last(steps: Steps) -> Number:
    return next(iter(steps[-1:]))


def _averages(steps: Steps, period: int, weight: float, origin: Number) -> Iterator[Number]:
    """Yield the exponential average, as its distance from `origin`, from the first complete step on.

    An array is reused and changed in place. With the last number as origin, a constant series gives exactly zero.
    """
    value = _total(number - origin for number in steps[:period]) / period
    yield value
    for number in steps[period:]:
        value += (number - origin - value) * weight
        yield value


def _ema(close: Steps, period: float) -> tuple[Number, ...]:
    return (_average(close, int(period), 2.0 / (period + 1.0)),)


def _sma(close: Steps, period: float) -> tuple[Number, ...]:
    count, last = int(period), _last(close)
    # of the distances from the last number, so that equal numbers give that number without a rounding error
    return (last + _total(number - last for number in close[len(close) - count :]) / count,)


def _macd(close: Steps, fast: float, slow: float, signal: float) -> tuple[Number, ...]:
    quick, late = int(min(fast, slow)), int(max(fast, slow))
    last = _last(close)
    later = _averages(close, late, 2.0 / (late + 1.0), last)
    earlier = _averages(close[late - quick :], quick, 2.0 / (quick + 1.0), last)  # both begin at the same step
    lines = (one - other for one, other in zip(earlier, later, strict=True))
    total = 0.0
    for line in islice(lines, int(signal)):
        total = total + line
    average = total / signal
    for line in lines:
        average += (line - average) * (2.0 / (signal + 1.0))
    return line, average, line - average


def _mean(series: Steps, period: float) -> tuple[Number, ...]:
    count = int(period)
    return (_recent(series[len(series) - count :], 1.0)[0] / count,)


def _spread(steps: Steps, period: float) -> tuple[Number, Number]:
    """Return the mean and the variance of the last numbers; of equal numbers, exactly that number and zero."""
    count, last = int(period), _last(steps)
    numbers = steps[len(steps) - count :]
    offset = _total(number - last for number in numbers) / count
    distances = (number - last - offset for number in numbers)
    return last + offset, _total(distance * distance for distance in distances) / count


def _bollinger(close: Steps, period: float, above: float, below: float, _average: float) -> tuple[Number, ...]:
    mean, variance = _spread(close, period)
    deviation = np.sqrt(variance)  # rounded as IEEE 754 demands, like the operators
    return mean + above * deviation, mean, mean - below * deviation


def _deviation(series: Steps, period: float, factor: float) -> tuple[Number, ...]:
    return (factor * np.sqrt(_spread(series, period)[1]),)


def _variance(series: Steps, period: float, _factor: float) -> tuple[Number, ...]:
    return (_spread(series, period)[1],)


def _fading(part: Steps, whole: Steps, period: float, seed_count: float) -> tuple[Number, ...]:
    count, keep = int(seed_count), 1.0 - 1.0 / period
    sums = []
    for steps in (part, whole):
        total, kept = _recent(steps[count:], keep)
        sums.append(total + kept * _total(steps[:count]))
    return tuple(sums)


def _wilder(series: Steps, period: float) -> tuple[Number, ...]:
    return (_average(series, int(period), 1.0 / period),)


def true_ranges(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the true range of each candle but the first."""
    before = close[:-1]
    spans = high[1:] - low[1:], np.abs(high[1:] - before), np.abs(low[1:] - before)
    ranges: Floats = np.maximum(np.maximum(*spans[:2]), spans[2])
    return ranges


def _unchanged(*series: Floats) -> Sequence[Floats]:
    return series


RECURSIONS: Mapping[str, Recursion] = {
    "ATR": Recursion(lambda *prices: (true_ranges(*prices),), _wilder),
    "BBANDS": Recursion(_unchanged, _bollinger),
    "EMA": Recursion(_unchanged, _ema),
    "FADING": Recursion(_unchanged, _fading),
    "MACD": Recursion(_unchanged, _macd),
    "MEAN": Recursion(_unchanged, _mean),
    "RMA": Recursion(_unchanged, _wilder),
    "SMA": Recursion(_unchanged, _sma),
    "STDDEV": Recursion(_unchanged, _deviation),
    "VAR": Recursion(_unchanged, _variance),
}
"""The functions implemented here, by their TA-Lib names, and some that TA-Lib does not have.

`BBANDS` is the one around a simple average. `FADING` are two Wilder sums: of the first numbers, as many as the second
parameter says; then each step keeps `1 - 1 / period` of them and adds a number. `RMA` is Wilder's average of a series.
`MEAN` is `SMA` for many steps: it is quicker, and rounds equal numbers.
"""
