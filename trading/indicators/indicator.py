"""Indicators: any TA-Lib function over a trailing window of candles.

The value of an indicator at a candle is the last element of the TA-Lib function applied to the `window` candles that
end there. It depends on those candles alone, so one candle and a whole history give the same bits. The functions
of `trading.indicators.recursive` are computed there, for many candles at once; TA-Lib computes all others candle by
candle. Where prices stand still, the window of a recursive function is longer (`trading.indicators.movement`). Ratios
of averages, such as RSI, have windows of their own (`trading.indicators.ratios`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from functools import lru_cache
from itertools import chain
from typing import Any, Literal

import numpy as np
import talib
from msgspec import Struct
from numpy.typing import NDArray
from talib import abstract

from trading.errors import Broken
from trading.indicators.movement import Counts, at_ends, changes
from trading.indicators.ratios import decay_count, is_ratio, ratio, ratio_reach, ratio_reach_count
from trading.indicators.recursive import RECURSIONS, trailing
from trading.indicators.rows import IndicatorRows
from trading.market.candles import CLOSE, COLUMNS, Candles

Floats = NDArray[np.float64]

_FORGETTING_PERIODS = 14
_SLOW_PERIOD = 30
"""For other functions. Wilder's smoothing, the slowest in common use, forgets its seed in ln(1e6) = 13.8 periods.
Path-dependent functions, such as SAR, have a short look-back and still a long memory."""

_RUNNING_TOTALS = frozenset({"AD", "CUMSUM", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD"})

_EXPONENTIAL: Mapping[str, tuple[str, ...]] = {
    "EMA": ("timeperiod",),
    "DEMA": ("timeperiod",) * 2,
    "TEMA": ("timeperiod",) * 3,
    "TRIX": ("timeperiod",) * 3,
    "T3": ("timeperiod",) * 6,
    "MACD": ("slowperiod", "signalperiod"),
    "ADOSC": ("slowperiod",),
}
_WILDER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("RSI", "CMO", "ATR", "NATR", "DX", "PLUS_DI", "MINUS_DI", "PLUS_DM", "MINUS_DM"), ("timeperiod",)),
    **dict.fromkeys(("STOCHRSI", "RMA"), ("timeperiod",)),
    **dict.fromkeys(("ADX", "ADXR"), ("timeperiod",) * 2),
}
"""The smoothings of each recursive function, by the parameter that holds their period."""

_WINDOWED_GROUPS = frozenset(
    {"Math Operators", "Math Transform", "Pattern Recognition", "Price Transform", "Statistic Functions"}
)
_WINDOWED = frozenset(
    {"SMA", "WMA", "TRIMA", "MA", "BBANDS", "MIDPOINT", "MIDPRICE", "MOM", "ROC", "ROCP", "ROCR", "ROCR100", "STOCH"}
    | {"STOCHF", "WILLR", "CCI", "AROON", "AROONOSC", "MFI", "ULTOSC", "BOP", "APO", "PPO", "TRANGE", "DONCHIAN"}
)
"""Functions that look back a fixed number of bars, if their moving averages are simple ones."""

_MEMORYLESS = frozenset(
    {"AVGPRICE", "BOP", "MAX", "MEDPRICE", "MIDPOINT", "MIDPRICE", "MIN", "MOM", "ROC", "ROCP", "ROCR", "ROCR100"}
    | {"TRANGE", "TYPPRICE", "WCLPRICE"}
)
"""Functions that carry no sum between candles: a longer series gives the same bits."""


class NotFinite(Broken):
    """An indicator has no value at a candle; `column` is its name and `value` TA-Lib's result."""

    def __init__(self, open_ms: int, column: str, value: float) -> None:
        super().__init__(f"candle {open_ms}: indicator {column} is {value}, not a finite number")
        self.args = (open_ms, column, value)
        self.open_ms = open_ms
        self.column = column
        self.value = value


class Indicator(Struct, frozen=True):
    """A TA-Lib function, its parameters, and the selected output.

    Attributes:
        function: Name in TA-Lib, such as `EMA`.
        parameters: (name, value) as TA-Lib names them; omitted ones keep TA-Lib's default.
        output: Name of the output in TA-Lib, such as `macdsignal`; None if there is only one.
        price: Candle column for functions that take one price series.

    Raises:
        ValueError: TA-Lib has no such function, parameter or output, or the function has no value over a window.
    """

    function: str
    parameters: tuple[tuple[str, float], ...] = ()
    output: str | None = None
    price: str = "close"

    def __post_init__(self) -> None:
        shape = _shape(self.function)
        unknown = [name for name, _ in self.parameters if name not in shape.defaults]
        if unknown:
            raise ValueError(f"{self.function} has no parameter {unknown[0]!r}; it has: {_listed(shape.defaults)}")
        if self.output not in shape.outputs and not (self.output is None and len(shape.outputs) == 1):
            raise ValueError(f"{self.function} has no output {self.output!r}; it has: {_listed(shape.outputs)}")
        if self.price not in COLUMNS:
            raise ValueError(f"no candle column {self.price!r}; expected: {_listed(COLUMNS)}")

    def __str__(self) -> str:
        values = ", ".join(f"{value:g}" for _, value in self.parameters)
        return f"{self.function}({values})" + (f".{self.output}" if self.output else "")

    @property
    def lookback_count(self) -> int:
        """Number of bars that the function needs before a candle."""
        return _lookback(self.function, self.parameters)

    @property
    def settle_count(self) -> int:
        """Number of bars until the value no longer depends noticeably on the beginning of the window.

        For a function with a fixed look-back that is the look-back plus the bar itself. For a recursive function, the
        weight of its seed is then below one millionth.
        """
        values = {**_shape(self.function).defaults, **dict(self.parameters)}
        if self.function in _EXPONENTIAL:
            decay = sum(decay_count(2 / (values[name] + 1)) for name in _EXPONENTIAL[self.function])
        elif self.function in _WILDER:
            decay = sum(decay_count(1 / values[name]) for name in _WILDER[self.function])
        elif _is_windowed(self.function, values):
            decay = 0
        else:
            decay = _FORGETTING_PERIODS * max(self.lookback_count + 1, _SLOW_PERIOD)
        return self.lookback_count + 1 + decay

    @property
    def reach_count(self) -> int:
        """Number of candles that decide a value while the market moves; in a market that stands still they are more.

        A ratio looks back further than `settle_count` where there are as many candles.
        """
        arguments = tuple({**_shape(self.function).defaults, **dict(self.parameters)}.values())
        if is_ratio(self.function, arguments):
            return max(self.settle_count, ratio_reach_count(self.function, arguments))
        return self.settle_count


def ema(period: int) -> Indicator:
    """Exponential moving average of the close."""
    return Indicator("EMA", (("timeperiod", period),))


def sma(period: int) -> Indicator:
    """Simple moving average of the close."""
    return Indicator("SMA", (("timeperiod", period),))


def rsi(period: int) -> Indicator:
    """Relative strength index of the close, 0..100 (Wilder, 1978)."""
    return Indicator("RSI", (("timeperiod", period),))


def atr(period: int) -> Indicator:
    """Average true range, in quote currency (Wilder, 1978)."""
    return Indicator("ATR", (("timeperiod", period),))


def adx(period: int) -> Indicator:
    """Average directional index, 0..100 (Wilder, 1978)."""
    return Indicator("ADX", (("timeperiod", period),))


def macd(
    fast: int = 12, slow: int = 26, signal: int = 9, *, output: Literal["macd", "signal", "histogram"] = "macd"
) -> Indicator:
    """Moving average convergence/divergence of the close, its signal line, or the histogram between them."""
    name = {"macd": "macd", "signal": "macdsignal", "histogram": "macdhist"}[output]
    return Indicator("MACD", (("fastperiod", fast), ("slowperiod", slow), ("signalperiod", signal)), name)


def bollinger(
    period: int = 20, deviations: float = 2.0, *, output: Literal["upper", "middle", "lower"] = "middle"
) -> Indicator:
    """A Bollinger band of the close, `deviations` standard deviations from its simple moving average."""
    parameters = (("timeperiod", period), ("nbdevup", float(deviations)), ("nbdevdn", float(deviations)))
    return Indicator("BBANDS", parameters, f"{output}band")


def stochastic(fast_k: int = 14, slow_k: int = 3, slow_d: int = 3, *, output: Literal["k", "d"] = "k") -> Indicator:
    """A line of the slow stochastic oscillator, 0..100."""
    parameters = (("fastk_period", fast_k), ("slowk_period", slow_k), ("slowd_period", slow_d))
    return Indicator("STOCH", parameters, f"slow{output}")


def highest(period: int) -> Indicator:
    """Highest high of the last `period` candles, this one included: the upper Donchian channel."""
    return Indicator("MAX", (("timeperiod", period),), price="high")


def lowest(period: int) -> Indicator:
    """Lowest low of the last `period` candles, this one included: the lower Donchian channel."""
    return Indicator("MIN", (("timeperiod", period),), price="low")


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
    plan = _plan(tuple(indicators.values()))
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
    plan = _plan(tuple(indicators.values()))
    first = max(0, len(candles) - rows)
    needed = window + len(candles) - first - 1
    if len(candles) <= plan.shortest_window:
        return needed
    series = {column: np.ascontiguousarray(candles.values[:, column]) for column in plan.columns}
    for call in plan.calls:
        inputs = [series[column] for column in call.inputs]
        if call.kind is _Kind.RATIO:
            needed = max(needed, ratio_reach(call.function, inputs, call.arguments, first))
        elif call.kind is _Kind.RECURSIVE:
            needed = max(needed, changes(inputs).reach(first, window) + len(candles) - 1 - first)
    return needed


class _Kind(Enum):
    """How the values of a call depend on the candles.

    Attributes:
        WINDOWED: On a fixed number of candles.
        RECURSIVE: On all before, the older the less; the window is extended where prices stand still.
        RATIO: On the ratio of such averages.
    """

    WINDOWED = auto()
    RECURSIVE = auto()
    RATIO = auto()


class _Call(Struct, frozen=True):
    """One function call, shared by the indicators that read its outputs.

    Attributes:
        inputs: Candle columns.
        reads: (index of the output, column of the table) for each indicator.
        is_ours: It is one of `RECURSIONS`; TA-Lib computes the others.
    """

    function: str
    inputs: tuple[int, ...]
    arguments: tuple[float, ...]
    reads: tuple[tuple[int, int], ...]
    kind: _Kind
    is_ours: bool


class _Plan(Struct, frozen=True):
    """The calls that compute a set of indicators; `columns` are the candle columns that they read."""

    calls: tuple[_Call, ...]
    columns: frozenset[int]
    shortest_window: int


def _fill(table: Floats, values: Floats, plan: _Plan, window: int) -> None:
    series = {column: np.ascontiguousarray(values[:, column]) for column in plan.columns}
    first = len(values) - len(table)
    for call in plan.calls:
        inputs = [series[column] for column in call.inputs]
        outputs = _OUTPUTS[call.kind](call, inputs, first, window)
        for output, column in call.reads:
            table[:, column] = outputs[output]


def _windowed(call: _Call, inputs: Sequence[Floats], first: int, window: int) -> tuple[Floats, ...]:
    needed = [one[first - window + 1 :] for one in inputs]
    if call.is_ours:
        return trailing(call.function, needed, call.arguments, window)
    if call.function in _MEMORYLESS:
        return tuple(one[window - 1 :] for one in _call_talib(call, needed))
    return _each_window(call, inputs, np.full(len(inputs[0]) - first, window), first)


def _recursive(call: _Call, inputs: Sequence[Floats], first: int, window: int) -> tuple[Floats, ...]:
    ends = np.arange(first, len(inputs[0]), dtype=np.int64)
    lengths = np.minimum(changes(inputs).lengths(ends, window), ends + 1)
    if call.is_ours:
        return at_ends(call.function, inputs, call.arguments, ends, lengths)
    return _each_window(call, inputs, lengths, first)


def _ratios(call: _Call, inputs: Sequence[Floats], first: int, _window: int) -> tuple[Floats, ...]:
    return ratio(call.function, inputs, call.arguments, first)


_OUTPUTS = {_Kind.WINDOWED: _windowed, _Kind.RECURSIVE: _recursive, _Kind.RATIO: _ratios}


def _each_window(call: _Call, inputs: Sequence[Floats], lengths: Counts, first: int) -> tuple[Floats, ...]:
    """Call TA-Lib for each window, and return the last value of each output."""
    ends = range(first + 1, first + 1 + len(lengths))
    rows = [
        [one[-1] for one in _call_talib(call, [x[end - length : end] for x in inputs])]
        for end, length in zip(ends, lengths.tolist(), strict=True)
    ]
    return tuple(np.array(rows).T)


def _call_talib(call: _Call, inputs: Sequence[Floats]) -> tuple[Floats, ...]:
    outputs = raw_function(call.function)(*inputs, *call.arguments)
    return outputs if isinstance(outputs, tuple) else (outputs,)


@lru_cache(maxsize=256)
def _plan(indicators: tuple[Indicator, ...]) -> _Plan:
    groups: dict[tuple[str, tuple[tuple[str, float], ...], str], list[tuple[int, int]]] = {}
    for column, one in enumerate(indicators, start=1):
        output = _shape(one.function).outputs.index(one.output) if one.output else 0
        groups.setdefault((one.function, one.parameters, one.price), []).append((output, column))
    calls = tuple(_call(*key, tuple(reads)) for key, reads in groups.items())
    columns = frozenset(column for call in calls for column in call.inputs)
    return _Plan(calls, columns, max((one.lookback_count for one in indicators), default=0) + 1)


def _call(
    function: str, parameters: tuple[tuple[str, float], ...], price: str, reads: tuple[tuple[int, int], ...]
) -> _Call:
    shape = _shape(function)
    inputs = tuple(COLUMNS.index(name or price) for name in shape.inputs)
    arguments = tuple({**shape.defaults, **dict(parameters)}.values())
    kind = _kind(function, arguments)
    is_ours = function in RECURSIONS and (function != "BBANDS" or kind is _Kind.WINDOWED)
    return _Call(function, inputs, arguments, reads, kind, is_ours)


def _kind(function: str, arguments: tuple[float, ...]) -> _Kind:
    if is_ratio(function, arguments):
        return _Kind.RATIO
    is_windowed = function in _MEMORYLESS or _is_windowed(
        function, dict(zip(_shape(function).defaults, arguments, strict=True))
    )
    return _Kind.WINDOWED if is_windowed else _Kind.RECURSIVE


@lru_cache(maxsize=256)
def raw_function(name: str) -> Callable[..., Any]:
    """Return TA-Lib's function without its pandas and polars wrapper, which doubles the time on arrays."""
    function = getattr(talib, name)
    return getattr(function, "__wrapped__", function)  # type: ignore[no-any-return]  # TA-Lib ships no types


class _Shape(Struct, frozen=True):
    """Inputs (None is the price series), parameters with defaults, and outputs of a TA-Lib function."""

    inputs: tuple[str | None, ...]
    defaults: Mapping[str, float]
    outputs: tuple[str, ...]
    group: str
    is_unstable: bool


@lru_cache(maxsize=256)
def _shape(function: str) -> _Shape:
    if function not in _names():
        raise ValueError(f"TA-Lib has no function {function!r}; talib.get_functions() lists the available ones")
    if function in _RUNNING_TOTALS:
        raise ValueError(f"{function} is a running total: it has no value over a trailing window")
    about = _abstract(function).info
    named = about["input_names"]
    inputs = chain.from_iterable([name] if isinstance(name, str) else name for name in named.values())
    columns = tuple(None if "price" in named and named["price"] == name else name for name in inputs)
    strange = [name for name in columns if name is not None and name not in COLUMNS]
    if strange:
        raise ValueError(f"{function} needs the series {strange[0]!r}, which candles do not have")
    is_unstable = any("unstable" in flag for flag in about["function_flags"] or ())
    return _Shape(columns, dict(about["parameters"]), tuple(about["output_names"]), about["group"], is_unstable)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(talib.get_functions())  # type: ignore[no-untyped-call]  # TA-Lib ships no types


def _abstract(function: str, **parameters: float) -> Any:
    return abstract.Function(function, **parameters)  # type: ignore[attr-defined]  # made in the extension


@lru_cache(maxsize=1024)
def _lookback(function: str, parameters: tuple[tuple[str, float], ...]) -> int:
    return int(_abstract(function, **dict(parameters)).lookback)


def _too_short(window: int, indicators: Mapping[str, Indicator]) -> Broken:
    needed = {name: one.lookback_count + 1 for name, one in indicators.items()}
    names = [f"{name} = {indicators[name]}" for name, count in needed.items() if count > window]
    least = max(needed.values())
    return Broken(f"a window of {window} candles is too short for {_listed(names)}; at least {least} are required")


def _is_windowed(function: str, values: Mapping[str, float]) -> bool:
    if any(name.endswith("matype") and value for name, value in values.items()):
        return False
    shape = _shape(function)
    return function in _WINDOWED or (shape.group in _WINDOWED_GROUPS and not shape.is_unstable)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"
