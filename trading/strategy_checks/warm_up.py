"""Check the indicator values of a strategy: they must be finite and settled."""

import numpy as np
from numpy.typing import NDArray

from trading.errors import Broken
from trading.indicators import compute
from trading.indicators.rows import IndicatorRows
from trading.market.candles import Candles
from trading.strategies import Strategy
from trading.strategies.invocation import indicators_of
from trading.strategy_checks.findings import CheckName, Report
from trading.strategy_checks.probe import shown
from trading.strategy_checks.synthetic_series import Series
from trading.tolerance import TOLERANCE

_MORE_WINDOWS, _MORE_CANDLES = 3, 200
_SETTLED = 1e-4
"""Fraction of a column's standard deviation by which a value may change with more history."""
_COMPARED = 200
"""Number of candles at the end of a series at which the warm-up is checked."""


def longer_window(window: int) -> int:
    """Return the longer window for checking whether `window` candles were enough."""
    return _MORE_WINDOWS * window + _MORE_CANDLES


def rows_of(strategy: Strategy, series: Series, rows: int, report: Report) -> IndicatorRows | None:
    """Compute the indicators at the last `rows` candles; None after a finding that prevents further checks."""
    indicators, window = indicators_of(strategy), strategy.startup_candle_count
    candles, first_ms = series.candles, int(series.candles.open_ms[0])
    for name, indicator in indicators.items():
        if indicator.lookback_count >= window:
            expected = f"a startup_candle_count of at least {indicator.lookback_count + 1} for {indicator}"
            report.add(CheckName.WARM_UP, series.name, first_ms, name, expected, str(window))
            return None
    try:
        return compute(candles, indicators, window=window, rows=rows)
    except Broken as error:
        open_ms, name = _first_broken(strategy, candles, rows)
        report.add(CheckName.NAN, series.name, open_ms, name, "a finite number", str(error))
        return None


def check_warm_up(strategy: Strategy, series: Series, rows: IndicatorRows, report: Report) -> None:
    """Compare the last values with values computed from more history."""
    longer = longer_window(strategy.startup_candle_count)
    more = compute(series.candles, indicators_of(strategy), window=longer, rows=_COMPARED)
    count = len(more)
    if not count or more.columns != rows.columns:
        return
    least, whole = rows.values[-count:], more.values
    allowed = _SETTLED * rows.values.std(axis=0) + TOLERANCE * np.abs(whole)
    report.tried[CheckName.WARM_UP] += count
    for row, column in np.argwhere(np.abs(least - whole) > allowed).tolist():
        report.add(
            CheckName.WARM_UP,
            series.name,
            int(more.open_ms[row]),
            ("close", *rows.columns)[column],
            f"{shown(whole[row, column])} from {longer} candles",
            f"{shown(least[row, column])} from {strategy.startup_candle_count}",
        )


def check_value_then(strategy: Strategy, series: Series, rows: IndicatorRows, report: Report) -> None:
    """Compare some values with values computed without later candles."""
    window = strategy.startup_candle_count
    for row in np.unique(np.linspace(0, len(rows) - 1, 20, dtype=np.int64)).tolist():
        open_ms = int(rows.open_ms[row])
        then = compute(series.candles.until(open_ms), indicators_of(strategy), window=window, rows=1)
        for name, before, now in _unlike(then, rows, row):
            report.add(CheckName.LOOK_AHEAD, series.name, open_ms, name, before, now)


def _unlike(then: IndicatorRows, rows: IndicatorRows, row: int) -> list[tuple[str, str, str]]:
    """Return (column, value then, value now) where they differ."""
    if then.columns != rows.columns:
        return [("indicators", ", ".join(then.columns), ", ".join(rows.columns))]
    before: NDArray[np.float64] = then.values[-1]
    now: NDArray[np.float64] = rows.values[row]
    is_other = np.abs(before - now) > TOLERANCE * np.maximum(np.abs(before), rows.values.std(axis=0))
    names = ("close", *rows.columns)
    return [(names[at], shown(before[at]), shown(now[at])) for at in np.flatnonzero(is_other).tolist()]


def _first_broken(strategy: Strategy, candles: Candles, rows: int) -> tuple[int, str]:
    """Return the first candle and column without a finite value."""
    window = strategy.startup_candle_count
    for end in range(max(window, len(candles) - rows + 1), len(candles) + 1):
        for name, indicator in indicators_of(strategy).items():
            try:
                compute(candles[end - window : end], {name: indicator}, window=window, rows=1)
            except Broken:
                return int(candles.open_ms[end - 1]), name
    return int(candles.last_open_ms), "indicators"
