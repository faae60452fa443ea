"""The common recursive indicators, for one candle or for many at once, with the same bits on every machine.

A value is a formula over the fixed window that ends at its candle; no value follows from the one before. For many
candles, their windows pass through the formula side by side: step `k` takes the `k`-th element of every window, and a
number is then an array with one element per window. Each formula is written once and uses only `+ - * /`. Each of these
operations is rounded by itself: IEEE 754 allows no choice there, neither for Python's floats nor for NumPy's arrays.
Only a sum of pairs (`_block`) treats windows in two ways; both add the same numbers in the same order.

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

_ZERO = 1e-14
"""Below this a divisor counts as zero, as in TA-Lib."""


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

    The last step weighs 1. The sum is made of blocks, newest first, one per power of two in the number of steps.
    """
    total: Number = 0.0
    weight, power, size, end = 1.0, keep, 1, len(steps)
    while end:
        if end & size:
            total = total + weight * _block(steps[end - size : end], keep)
            weight *= power
            end -= size
        power *= power
        size *= 2
    return total, weight


def _block(steps: Steps, keep: float) -> Number:
    """Return such a sum over a power of two of steps, by adding pairs, then pairs of pairs, and so on.

    Consecutive windows share most of their pairs; with many windows, each pair is added once.
    """
    if isinstance(steps, list):
        while len(steps) > 1:
            steps = [late + keep * early for early, late in zip(steps[::2], steps[1::2], strict=True)]
            keep *= keep
        return steps[0]
    sums, size = steps.in_order(), 1
    while size < len(steps):
        earlier = keep * sums[:-size]
        sums = np.add(sums[size:], earlier, out=earlier)
        keep *= keep
        size *= 2
    return sums


def _changes(steps: Steps) -> Steps:
    """Return the change at each step except the first."""
    return [late - early for early, late in pairwise(steps)] if isinstance(steps, list) else steps.changes()


def _last(steps: Steps) -> Number:
    return next(iter(steps[-1:]))


def _averages(steps: Steps, period: int, weight: float) -> Iterator[Number]:
    """Yield the exponential average from the first complete step on; an array is reused and changed in place."""
    value = _total(steps[:period]) / period
    yield value
    for number in steps[period:]:
        value += (number - value) * weight
        yield value


def _ratio(part: Number, whole: Number) -> Number:
    """Divide the part by the whole; zero if the whole is zero."""
    if isinstance(whole, float):
        return part / whole if abs(whole) >= _ZERO else 0.0
    return np.divide(part, whole, out=np.zeros(len(whole)), where=np.abs(whole) >= _ZERO)


def _ema(close: Steps, period: float) -> tuple[Number, ...]:
    return (_average(close, int(period), 2.0 / (period + 1.0)),)


def _sma(close: Steps, period: float) -> tuple[Number, ...]:
    count = int(period)
    return (_total(close[len(close) - count :]) / count,)


def _macd(close: Steps, fast: float, slow: float, signal: float) -> tuple[Number, ...]:
    quick, late = int(min(fast, slow)), int(max(fast, slow))
    later = _averages(close, late, 2.0 / (late + 1.0))
    earlier = _averages(close[late - quick :], quick, 2.0 / (quick + 1.0))  # both have values from the same step on
    lines = (one - other for one, other in zip(earlier, later, strict=True))
    total = 0.0
    for line in islice(lines, int(signal)):
        total = total + line
    average = total / signal
    for line in lines:
        average += (line - average) * (2.0 / (signal + 1.0))
    return line, average, line - average


def _rsi(gains: Steps, losses: Steps, period: float) -> tuple[Number, ...]:
    gain, loss = (_average(steps, int(period), 1.0 / period) for steps in (gains, losses))
    return (100.0 * _ratio(gain, gain + loss),)


def _atr(ranges: Steps, period: float) -> tuple[Number, ...]:
    return (_average(ranges, int(period), 1.0 / period),)


def _gains_and_losses(close: Floats) -> Sequence[Floats]:
    change = np.diff(close)
    return np.maximum(change, 0.0), np.maximum(-change, 0.0)


def _true_ranges(high: Floats, low: Floats, close: Floats) -> Sequence[Floats]:
    before = close[:-1]
    spans = high[1:] - low[1:], np.abs(high[1:] - before), np.abs(low[1:] - before)
    return (np.maximum(np.maximum(*spans[:2]), spans[2]),)


def _as_it_is(series: Floats) -> Sequence[Floats]:
    return (series,)


RECURSIONS: Mapping[str, Recursion] = {
    "ATR": Recursion(_true_ranges, _atr),
    "EMA": Recursion(_as_it_is, _ema),
    "MACD": Recursion(_as_it_is, _macd),
    "RSI": Recursion(_gains_and_losses, _rsi),
    "SMA": Recursion(_as_it_is, _sma),
}
"""The functions implemented here, by their TA-Lib names."""
