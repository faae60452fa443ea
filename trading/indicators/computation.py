"""Compute indicators: any TA-Lib function over a trailing window of candles.

The value of an indicator at a candle is the last element of the TA-Lib function applied to the `window` candles that
end there. It depends on those candles alone, so one candle and a whole history give the same bits. The functions
of `trading.indicators.recursive` are computed there, for many candles at once; TA-Lib computes all others candle by
candle. Where prices stand still, the window of a recursive function is longer (`trading.indicators.movement`). Ratios
of averages, such as RSI, have windows of their own (`trading.indicators.ratios`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from trading.errors import Broken
from trading.indicators.call_plan import MEMORYLESS, Call, Kind, Plan, plan_of
from trading.indicators.indicator import Indicator
from trading.indicators.movement import Counts, Floats, at_ends, changes
from trading.indicators.ratios import ratio, ratio_reach
from trading.indicators.recursive import trailing
from trading.indicators.rows import IndicatorRows
from trading.indicators.talib_functions import raw_function
from trading.market.candles import CLOSE, Candles


class NotFinite(Broken):
    """An indicator has no value at a candle; `column` is its name and `value` TA-Lib's result."""

    def __init__(self, open_ms: int, column: str, value: float) -> None:
        super().__init__(f"candle {open_ms}: indicator {column} is {value}, not a finite number")
        self.args = (open_ms, column, value)
        self.open_ms = open_ms
        self.column = column
        self.value = value


def compute(candles: Candles, indicators: Mapping[str, Indicator], *, window: int, rows: int) -> IndicatorRows:
    """Compute the indicators at the last `rows` candles that have a whole window.

    Args:
        candles: Checked candles, the newest last. Values are final if there are at least as many as `reach` returns.
        indicators: Indicators by the name of their column.
        window: Number of candles per value, its own candle included, in a market that moves.
        rows: Number of rows requested; fewer are returned where the windows of older candles are incomplete.

    Raises:
        NotFinite: TA-Lib gives no finite number for a candle.
        Broken: The window is too short for an indicator.
    """
    plan = plan_of(tuple(indicators.values()))
    if window < plan.shortest_window:
        raise _too_short(window, indicators)
    count = max(0, min(rows, len(candles) - window + 1))
    first = len(candles) - count
    table = np.empty((count, 1 + len(indicators)))
    table[:, 0] = candles.values[first:, CLOSE]
    if count:
        _fill(table, candles.values, plan, window)
    result = IndicatorRows(tuple(indicators), candles.open_ms[first:], table)
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0].tolist()
        name = ("close", *indicators)[column]
        raise NotFinite(int(result.open_ms[row]), name, float(table[row, column]))
    return result


def reach(candles: Candles, indicators: Mapping[str, Indicator], *, window: int, rows: int) -> int:
    """Return how many of the newest candles decide the values at the last `rows` candles.

    With the next candle, they decide its values too. It is more than there are where older candles would count.
    """
    plan = plan_of(tuple(indicators.values()))
    first = max(0, len(candles) - rows)
    needed = window + len(candles) - first - 1
    if len(candles) <= plan.shortest_window:
        return needed
    series = {column: np.ascontiguousarray(candles.values[:, column]) for column in plan.columns}
    for call in plan.calls:
        inputs = [series[column] for column in call.inputs]
        if call.kind is Kind.RATIO:
            needed = max(needed, ratio_reach(call.function, inputs, call.arguments, first))
        elif call.kind is Kind.RECURSIVE:
            needed = max(needed, changes(inputs).reach(first, window) + len(candles) - 1 - first)
    return needed


def _fill(table: Floats, values: Floats, plan: Plan, window: int) -> None:
    series = {column: np.ascontiguousarray(values[:, column]) for column in plan.columns}
    first = len(values) - len(table)
    for call in plan.calls:
        inputs = [series[column] for column in call.inputs]
        outputs = _OUTPUTS[call.kind](call, inputs, first, window)
        for output, column in call.reads:
            table[:, column] = outputs[output]


def _windowed(call: Call, inputs: Sequence[Floats], first: int, window: int) -> tuple[Floats, ...]:
    needed = [one[first - window + 1 :] for one in inputs]
    if call.is_ours:
        return trailing(call.function, needed, call.arguments, window)
    if call.function in MEMORYLESS:
        return tuple(one[window - 1 :] for one in _call_talib(call, needed))
    return _each_window(call, inputs, np.full(len(inputs[0]) - first, window), first)


def _recursive(call: Call, inputs: Sequence[Floats], first: int, window: int) -> tuple[Floats, ...]:
    ends = np.arange(first, len(inputs[0]), dtype=np.int64)
    lengths = np.minimum(changes(inputs).lengths(ends, window), ends + 1)
    if call.is_ours:
        return at_ends(call.function, inputs, call.arguments, ends, lengths)
    return _each_window(call, inputs, lengths, first)


def _ratios(call: Call, inputs: Sequence[Floats], first: int, _window: int) -> tuple[Floats, ...]:
    return ratio(call.function, inputs, call.arguments, first)


_OUTPUTS = {Kind.WINDOWED: _windowed, Kind.RECURSIVE: _recursive, Kind.RATIO: _ratios}


def _each_window(call: Call, inputs: Sequence[Floats], lengths: Counts, first: int) -> tuple[Floats, ...]:
    """Call TA-Lib for each window, and return the last value of each output."""
    ends = range(first + 1, first + 1 + len(lengths))
    rows = [
        [one[-1] for one in _call_talib(call, [x[end - length : end] for x in inputs])]
        for end, length in zip(ends, lengths.tolist(), strict=True)
    ]
    return tuple(np.array(rows).T)


def _call_talib(call: Call, inputs: Sequence[Floats]) -> tuple[Floats, ...]:
    outputs = raw_function(call.function)(*inputs, *call.arguments)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _too_short(window: int, indicators: Mapping[str, Indicator]) -> Broken:
    needed = {name: one.lookback_count + 1 for name, one in indicators.items()}
    names = [f"{name} = {indicators[name]}" for name, count in needed.items() if count > window]
    least = max(needed.values())
    return Broken(f"a window of {window} candles is too short for {', '.join(names)}; at least {least} are required")
