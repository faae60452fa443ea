"""Call a strategy and validate its answers: the code behind it is the user's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from trading.errors import Broken
from trading.indicators import Indicator
from trading.market.candles import COLUMNS
from trading.strategies.errors import answered, at_candle, brief, from_candle, is_its_own, raised
from trading.strategies.signal import Signal
from trading.strategies.signal_builder import SignalBuilder, UnusableSignals
from trading.strategies.strategy import Strategy

RESERVED = ("open_ms", *COLUMNS)
"""Names of the candle's own values in each row, not allowed as indicator names."""

_ALLOWED = f"a mapping of column names to Indicator; the names {', '.join(RESERVED)} are reserved"


def made(kind: type[Strategy], params: Mapping[str, Any]) -> Strategy:
    """Create a strategy and check that its indicators can be computed.

    Raises:
        pydantic.ValidationError: A parameter is unknown or out of bounds.
        StrategyFault: Its code raised, or its indicators are invalid.
    """
    with _reporting(kind, "parameters", kind, but=ValidationError):
        strategy = kind.model_validate(params)
    least = _least_count(strategy)
    method = getattr(kind, "startup_candle_count", None)
    with _reporting(strategy, "startup_candle_count", method):
        found: object = strategy.startup_candle_count
    if isinstance(found, bool) or not isinstance(found, Integral) or found < least:
        allowed = f"a whole number, at least {least}, the look-back of its indicators"
        raise answered(strategy, "startup_candle_count", brief(found), allowed, method)
    return strategy


def _least_count(strategy: Strategy) -> int:
    """Return the smallest number of candles from which TA-Lib computes all values."""
    least = 1
    for name, indicator in indicators_of(strategy).items():
        with _reporting(strategy, f"indicators, {name}", strategy.indicators):
            count = indicator.settle_count
        if count < 1:
            allowed = "an indicator that looks back on at least one candle"
            raise answered(strategy, "indicators", f"{name} = {indicator}", allowed, strategy.indicators)
        least = max(least, indicator.lookback_count + 1)
    return least


def indicators_of(strategy: Strategy) -> Mapping[str, Indicator]:
    """Return the indicators that a strategy needs, by the name of their column.

    Raises:
        StrategyFault: Its code raised, they are invalid, or one has a reserved name.
    """
    method = strategy.indicators
    with _reporting(strategy, "indicators", method):
        found: object = method()
    fault = "" if isinstance(found, Mapping) else brief(found)
    for name, indicator in found.items() if isinstance(found, Mapping) else ():
        if not isinstance(name, str) or not name:
            fault = f"{brief(name)} as the name of a column"
        elif name in RESERVED:
            fault = f"an indicator named {name!r}"
        elif not isinstance(indicator, Indicator):
            fault = f"{brief(indicator)} for {name!r}"
    if fault:
        raise answered(strategy, "indicators", fault, _ALLOWED, method)
    return found  # type: ignore[return-value]  # checked above


def signals_of(strategy: Strategy, rows: pd.DataFrame, *, last: int, name: str) -> tuple[list[Signal], SignalBuilder]:
    """Request the signals of the last rows, oldest first, and return them with the whole answer.

    Args:
        rows: The strategy's input, at least one row.
        name: Name of the strategy on its symbol.

    Raises:
        StrategyFault: Its code raised, or its answer is invalid.
    """
    method, open_ms, names = strategy.signals, rows.index, rows.columns  # read before the strategy can change them
    close = rows["close"].to_numpy(copy=True)
    try:
        answer: object = method(rows)
        if isinstance(answer, SignalBuilder):
            if rows.index is not open_ms and not rows.index.equals(open_ms):
                raise Broken("signals changed the index of its rows; change a copy instead, rows.copy()")
            if "close" not in rows.columns or not np.array_equal(rows["close"].to_numpy(), close):
                raise Broken("signals changed the column close of its rows; change a copy instead, rows.copy()")
            signals = answer.last(last, rows=rows, strategy=name)
            if len(signals) > last:
                raise Broken(f"found {len(signals):,} signals; expected at most one for each of {last:,} candles")
            return signals, answer
    except (Exception, SystemExit) as error:
        if not is_its_own(error):
            raise
        place = f"signals {_at(error, open_ms, last)}"
        raise raised(strategy, place, error, method, ("open_ms (the index)", *names)) from error
    place = f"signals {_at(None, open_ms, last)}"
    raise answered(strategy, place, brief(answer), "a SignalBuilder(len(rows))", method)


def _at(error: BaseException | None, open_ms: pd.Index, last: int) -> str:
    """Return the candle of an error, or the first candle to be decided."""
    if isinstance(error, UnusableSignals) and error.row < len(open_ms):
        return at_candle(int(open_ms[error.row]))
    return from_candle(int(open_ms[max(0, len(open_ms) - last)]))


@contextmanager
def _reporting(strategy: object, place: str, method: object, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Convert errors of a strategy's code to a StrategyFault, except those of type `but`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if not is_its_own(error) or isinstance(error, but):
            raise
        raise raised(strategy, place, error, method) from error
