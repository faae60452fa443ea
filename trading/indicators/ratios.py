"""Ratios of averages that fade together: RSI, CMO, DX, DI, and the functions made of them.

Both averages keep the same part of their past at each step, so the past never fades from their ratio while nothing
moves. At a candle that does not move the divisor, the value is the one before. At a candle that moves it, the window is
twice as long as an average needs to settle, and longer where few of its candles move (`trading.indicators.movement`):
what came before then weighs a trillionth of a usual candle, so that it counts for nothing after a price step either.
With a shorter history the averages begin at its first candle, as Wilder's do.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from trading.indicators.movement import Counts, Floats, Movement, at_ends
from trading.indicators.recursive import true_ranges

_SEED_WEIGHT = 1e-6
_WINDOWS = 2
"""Times the candles in which an average forgets all but a millionth of its seed."""

_RSI_WITHOUT_MOVEMENT = 50.0
"""RSI of a history in which the close never changed; TA-Lib returns 0, which strategies take for oversold."""

Parts = tuple[Floats, Floats]
"""The additions of each candle but the first to the dividend and to the divisor."""


class _Ratio(Struct, frozen=True):
    """A ratio of two Wilder sums, times 100.

    Attributes:
        parts: Of TA-Lib's inputs.
        seed_shift: Numbers less than a period that a sum begins with, as in TA-Lib.
        neutral: Value of a history in which nothing moved the divisor.
    """

    parts: Callable[..., Parts]
    seed_shift: int
    neutral: float = 0.0
    is_absolute: bool = False


def _gains(close: Floats) -> Parts:
    change = np.diff(close)
    return np.maximum(change, 0.0), np.abs(change)


def _net_changes(close: Floats) -> Parts:
    change = np.diff(close)
    return change, np.abs(change)


def _directional_moves(high: Floats, low: Floats) -> Parts:
    """Return how far each candle exceeds the one before it: at its high, and at its low; the larger one counts."""
    up, down = np.diff(high), -np.diff(low)
    return np.where((up > down) & (up > 0.0), up, 0.0), np.where((down > up) & (down > 0.0), down, 0.0)


def _directions(high: Floats, low: Floats, _close: Floats) -> Parts:
    up, down = _directional_moves(high, low)
    return up - down, up + down


def _ups(high: Floats, low: Floats, close: Floats) -> Parts:
    return _directional_moves(high, low)[0], true_ranges(high, low, close)


def _downs(high: Floats, low: Floats, close: Floats) -> Parts:
    return _directional_moves(high, low)[1], true_ranges(high, low, close)


_DIRECTION = _Ratio(_directions, seed_shift=1)
_RATIOS: Mapping[str, _Ratio] = {
    "RSI": _Ratio(_gains, seed_shift=0, neutral=_RSI_WITHOUT_MOVEMENT),
    "CMO": _Ratio(_net_changes, seed_shift=0),
    "DX": _Ratio(_directions, seed_shift=1, is_absolute=True),
    "PLUS_DI": _Ratio(_ups, seed_shift=1),
    "MINUS_DI": _Ratio(_downs, seed_shift=1),
}
_MADE_OF = {name: name for name in _RATIOS} | {"ADX": "DX", "ADXR": "DX", "STOCHRSI": "RSI"}


def is_ratio(function: str, arguments: Sequence[float]) -> bool:
    """Return whether a function with these parameters is computed here; others are left to TA-Lib."""
    if function not in _MADE_OF or int(arguments[0]) < 2:
        return False
    return function != "STOCHRSI" or not arguments[3]


def decay_count(weight_of_newest: float) -> int:
    """Return the steps in which an exponential average forgets all but a millionth of its seed."""
    if weight_of_newest >= 1:
        return 0
    return math.ceil(math.log(_SEED_WEIGHT) / math.log1p(-weight_of_newest))


def ratio_reach_count(function: str, arguments: Sequence[float]) -> int:
    """Return the candles that decide a value of a ratio in a market that moves."""
    return _window(int(arguments[0])) + _count_before(function, arguments)


def ratio(function: str, inputs: Sequence[Floats], arguments: Sequence[float], first: int) -> tuple[Floats, ...]:
    """Return each output of a ratio at the candles from place `first` on, oldest first.

    Args:
        inputs: Series of equal length in TA-Lib's order; as much history as there is.
        arguments: All parameters, in TA-Lib's order.
        first: At least the function's look-back.
    """
    period, count = int(arguments[0]), len(inputs[0]) - first
    begin = max(period, first - _count_before(function, arguments))
    values = _values(_RATIOS[_MADE_OF[function]], inputs, period, begin)
    match function:
        case "ADX":
            return (_averages(values, period, count),)
        case "ADXR":
            averages = _averages(values, period, count + period - 1)
            return ((averages[period - 1 :] + averages[:count]) / 2.0,)
        case "STOCHRSI":
            return _stochastic(values, int(arguments[1]), int(arguments[2]), count)
    return (values,)


def trend(inputs: Sequence[Floats], period: int, first: int) -> Parts:
    """Return ADX, and DX with the sign of the direction, at the candles from place `first` on."""
    begin = max(period, first - _count_before("ADX", [period]))
    values = _values(_DIRECTION, inputs, period, begin)
    count = len(inputs[0]) - first
    return _averages(np.abs(values), period, count), values[len(values) - count :]


def ratio_reach(function: str, inputs: Sequence[Floats], arguments: Sequence[float], first: int) -> int:
    """Return how many of the newest candles decide the values from place `first` on, and with the next one its value.

    It is more than there are where older candles would count.
    """
    period, before = int(arguments[0]), _count_before(function, arguments)
    begin = max(first - before, period)
    _, divisor = _RATIOS[_MADE_OF[function]].parts(*inputs)
    end = int(_last_moved(divisor, period)[begin])
    lacking = before - (first - begin)
    return len(inputs[0]) - 1 - end + Movement(divisor > 0.0).reach(end, _window(period)) + max(0, lacking)


def _values(kind: _Ratio, inputs: Sequence[Floats], period: int, first: int) -> Floats:
    """Return the ratio at the candles from place `first` on, which is at least `period`."""
    if first >= len(inputs[0]):
        return np.empty(0)
    part, divisor = kind.parts(*inputs)
    ends = _last_moved(divisor, period)[first:]
    is_new = np.concatenate(([True], np.diff(ends) > 0))
    sums = _sums(part, divisor, period, period - kind.seed_shift, ends[is_new])
    neutral = np.full(len(sums[0]), kind.neutral)
    values: Floats = np.divide(100.0 * sums[0], sums[1], out=neutral, where=sums[1] > 0.0)
    values = np.abs(values) if kind.is_absolute else values
    return values if is_new.all() else values[np.cumsum(is_new) - 1]


def _sums(part: Floats, divisor: Floats, period: int, seed_count: int, ends: Counts) -> tuple[Floats, ...]:
    """Return the Wilder sums of both series at some candles, which ascend; the series begin at the second candle."""
    lengths = Movement(divisor > 0.0).lengths(ends, _window(period))
    is_cut = lengths > ends + 1
    sums = np.empty(len(ends)), np.empty(len(ends))
    if is_cut.any():
        for found, one in zip(sums, (part, divisor), strict=True):
            found[is_cut] = _sums_from_start(one, period, seed_count, ends[is_cut] - 1)
    if not is_cut.all():
        rest = ~is_cut
        parts = at_ends("FADING", [part, divisor], (period, seed_count), ends[rest] - 1, lengths[rest] - 1)
        for found, one in zip(sums, parts, strict=True):
            found[rest] = one
    return sums


def _sums_from_start(series: Floats, period: int, seed_count: int, ends: Counts) -> Floats:
    """Return the Wilder sum from the first number on, at some places."""
    keep, sums = 1.0 - 1.0 / period, [0.0] * seed_count
    numbers = series[: int(ends[-1]) + 1].tolist()
    total = 0.0
    for number in numbers[:seed_count]:
        total += number
    sums[-1] = total
    for number in numbers[seed_count:]:
        total = total * keep + number
        sums.append(total)
    return np.array(sums)[ends]


def _last_moved(divisor: Floats, period: int) -> Counts:
    """Return for each candle the last one up to it that moved the divisor, or the first one that has a value."""
    places = np.where(divisor > 0.0, np.arange(1, len(divisor) + 1), 0)
    return np.maximum(np.maximum.accumulate(np.concatenate(([0], places))), period)


def _averages(values: Floats, period: int, count: int) -> Floats:
    """Return Wilder's average at the last `count` values; it begins at the first one where they are fewer."""
    needed, first = _averaged_count(period), len(values) - count
    early = values[: needed - 1].tolist()
    average, found = sum(early[:period]) / period, []
    for value in early[period:]:
        found.append(average)
        average += (value - average) / period
    found.append(average)
    cut = np.array(found)[first - period + 1 :] if first < needed - 1 else np.empty(0)
    ends = np.arange(max(first, needed - 1), len(values), dtype=np.int64)
    rest = at_ends("RMA", [values], [period], ends, np.full(len(ends), needed)) if len(ends) else (np.empty(0),)
    return np.concatenate((cut, rest[0]))


def _stochastic(values: Floats, fast_k: int, fast_d: int, count: int) -> tuple[Floats, ...]:
    """Return where each of the last `count` values stands in the range of the newest ones, and its average.

    Without a range it is 0, as in TA-Lib.
    """
    needed = values[len(values) - count - fast_d - fast_k + 2 :]
    windows = np.lib.stride_tricks.sliding_window_view(needed, fast_k)
    low, high = windows.min(axis=1), windows.max(axis=1)
    span = high - low
    line: Floats = np.divide(100.0 * (needed[fast_k - 1 :] - low), span, out=np.zeros(len(span)), where=span > 0.0)
    ends = np.arange(fast_d - 1, len(line), dtype=np.int64)
    return line[fast_d - 1 :], *at_ends("SMA", [line], [fast_d], ends, np.full(len(ends), fast_d))


def _window(period: int) -> int:
    return _WINDOWS * (period + 1 + decay_count(1 / period))


def _averaged_count(period: int) -> int:
    """Return how many values of DX an ADX averages."""
    return _WINDOWS * (period + decay_count(1 / period))


def _count_before(function: str, arguments: Sequence[float]) -> int:
    """Return how many values of its ratio a function needs before its own candle."""
    period = int(arguments[0])
    match function:
        case "ADX":
            return _averaged_count(period) - 1
        case "ADXR":
            return _averaged_count(period) + period - 2
        case "STOCHRSI":
            return int(arguments[1]) + int(arguments[2]) - 2
    return 0
