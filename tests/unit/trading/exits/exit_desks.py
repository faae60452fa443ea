"""Desks with exit rules in a rising market, and what they show."""

import re
from typing import Any

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.strategies.exits import WILFUL
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, Candles
from trading_orchestrator.testing.candles import SYMBOL, make_candles

SHOWN = 10
WARM = 50
"""Candles after which the indicators of `Wilful` are whole."""
BUY, SELL, CLOSE_IT = "buy", "sell", "close"
AT_CLOSE = {"kind": "paper", "fill_at": "close"}
TRAILING = {"trailing_stop": {"distance": 1.0}}
RISING = 0.5
"""By how much the market of `rising` closes higher at each candle."""


def rising(count: int = 40, *, step: float = RISING) -> Candles:
    """Return candles that close `step` higher each, with wicks that reach no stop of 1.0."""
    series = make_candles(count)
    series.values[:, CLOSE] = 100.0 + step * (series.open_ms - series.open_ms[0]) / 60_000
    series.values[:, OPEN] = series.values[:, CLOSE] - step
    series.values[:, HIGH] = series.values[:, [OPEN, CLOSE]].max(axis=1) + 0.1
    series.values[:, LOW] = series.values[:, [OPEN, CLOSE]].min(axis=1) - 0.1
    return series


def make_desk(
    databases: Databases, plan: dict[int, str], series: Candles | None = None, *, stop: float = 2.0, **options: Any
) -> Desk:
    terms: dict[str, Any] = {"venue": AT_CLOSE, "exits": TRAILING} | options
    config = system_config(planned(plan, stop_distance=stop), **terms)
    desk = Desk(databases, config, rising() if series is None else series, shown=SHOWN)
    desk.advance()
    return desk


def resting(desk: Desk) -> list[float | None]:
    return [order.price for order in desk.paper.open_orders(SYMBOL)]


def legs(desk: Desk) -> list[str]:
    return [fill.leg.value for fill in desk.paper.fills(SYMBOL, after=0)]


def stops_moved(desk: Desk) -> list[tuple[str, ...]]:
    found = (re.match(r"stop (\S+) -> (\S+): ", text) for text in desk.journal.values())
    return [match.groups() for match in found if match]


WILFUL_PARAMS = {"name": WILFUL, "params": {"fast": 2, "slow": 4, "atr_period": 3, "stop_atr": 1.5, "target_atr": 0.0}}
