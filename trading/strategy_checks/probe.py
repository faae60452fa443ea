"""Call a strategy for its signals, safely, and compare two answers."""

import math
from collections.abc import Mapping

import pandas as pd
from msgspec import Struct, field

from trading.formatting import format_price
from trading.indicators.rows import IndicatorRows
from trading.strategies import Strategy, StrategyFault
from trading.strategies.invocation import signals_of
from trading.strategies.signal import Signal
from trading.tolerance import TOLERANCE

_NAME = "checked"

NOTHING = "nothing"


class Answer(Struct, frozen=True):
    """A strategy's answer for some rows.

    Attributes:
        signals: Signals by open time of their candle.
        unusable: (open time, name, value) of invalid prices and sizes of entries.
        fault: The error that it raised; empty if it answered.
        given: The rows after the call.
    """

    signals: Mapping[int, Signal] = field(default_factory=dict)
    unusable: tuple[tuple[int, str, float], ...] = ()
    fault: str = ""
    given: pd.DataFrame = field(default_factory=pd.DataFrame)


def evaluate(strategy: Strategy, rows: IndicatorRows, *, last: int | None = None) -> Answer:
    """Call `signals` for the last rows, by default all, with a copy of the rows, as the live system does."""
    given = IndicatorRows(rows.columns, rows.open_ms.copy(), rows.values.copy()).frame()
    try:
        signals, builder = signals_of(strategy, given, last=len(rows) if last is None else last, name=_NAME)
    except StrategyFault as fault:
        return Answer(fault="; ".join([fault.fault, *fault.lines]), given=given)
    return Answer(
        {signal.open_ms: signal for signal in signals},
        tuple((int(rows.open_ms[row]), name, value) for row, name, value in builder.unusable()),
        given=given,
    )


def difference(expected: Signal | None, found: Signal | None) -> tuple[str, str, str] | None:
    """Return the first column in which two answers for one candle differ, with both values; None if they agree."""
    if expected is None or found is None or expected.side is not found.side:
        sides = [NOTHING if one is None else one.side.value for one in (expected, found)]
        return None if sides[0] == sides[1] else ("side", sides[0], sides[1])
    for column in ("stop_loss", "take_profit", "size_units"):
        left, right = getattr(expected, column), getattr(found, column)
        if not _is_equal(left, right):
            return column, shown(left), shown(right)
    return None if expected.reason == found.reason else ("reason", repr(expected.reason), repr(found.reason))


def shown(value: object) -> str:
    """Format a value for a message, numbers as prices."""
    return format_price(value) if value is None or isinstance(value, float) else repr(value)


def _is_equal(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=TOLERANCE)
