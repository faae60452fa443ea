"""A futures account of backtrader, rebuilt: 12,795.00 at the end of 2006.

backtrader's own test holds 1 contract of 10 times the index from each crossing of the close above its average of 15
days to the next one below, with a commission of 2.00 for each contract and side. The prices of its fills are given
here, each as the open of a candle; the last position is valued at the last close. By hand: the closed trades gain
216.71 points, the open one 67.39, so 10,000 + 10 * 284.10 - 23 * 2.00 = 12,795.00.
"""

import itertools
from typing import Any

import pytest

from adapters.backtest.backtest import run_backtest
from tests.fakes import planned, system_config
from trading.backtest.report import statistics_of
from trading.market.candles import Candles
from trading_orchestrator.testing.candles import SYMBOL, at_place

BOUGHT = (3643.35, 3801.03, 3872.37, 3863.57, 3845.32, 3656.43, 3542.65, 3639.65, 3799.86, 3840.20, 4047.63, 4052.55)
SOLD = (3763.95, 3811.85, 3822.35, 3822.57, 3829.82, 3598.58, 3545.92, 3766.80, 3782.15, 3979.73, 4045.05)
LAST_CLOSE = 4119.94
QUIET = 5
"""Candles before the first signal."""


def candles_of_fills() -> Candles:
    """Return one candle for each fill, which opens at its price, after some quiet ones."""
    pairs = itertools.zip_longest(BOUGHT, SOLD)
    opens = [BOUGHT[0]] * QUIET + [price for pair in pairs for price in pair if price is not None]
    closes = [*opens[:-1], LAST_CLOSE]
    bars = zip(opens, closes, strict=True)
    rows = [
        [at_place(place), opened, max(opened, closed), min(opened, closed), closed, 1.0]
        for place, (opened, closed) in enumerate(bars)
    ]
    return Candles.from_rows(rows)


@pytest.mark.parametrize(
    "fees",
    [
        {"commission_per_unit": 0.2},  # one contract is 10 units
        {"commission_per_order": 2.0},
        {"min_commission": 2.0},
        {"commission_per_unit": 0.05, "commission_per_order": 1.5},
        {"commission_per_unit": 0.05, "commission_per_order": 1.0, "min_commission": 2.0},
    ],
)
def test_fees_of_futures_end_at_the_value_of_backtrader(fees: dict[str, float]) -> None:
    candles = candles_of_fills()
    plan = {QUIET - 1 + number: "close" if number % 2 else "buy" for number in range(len(BOUGHT) + len(SOLD))}
    symbol: dict[str, Any] = {
        "venue": {"kind": "paper", **fees},
        "risk": {"sizing": "fixed_units", "units": 10.0, "max_leverage": 5.0},
    }
    account = {"starting_balance": 10_000.0, "max_leverage": 5.0}

    result = run_backtest(system_config(planned(plan), account=account, **symbol), {SYMBOL: candles})

    assert [fill.price for fill in result.fills[::2]] == list(BOUGHT)
    assert [fill.price for fill in result.fills[1::2]] == list(SOLD)
    assert [fill.fee for fill in result.fills] == pytest.approx([2.0] * 23, rel=1e-12)
    assert round(float(result.equity.equity[-1]), 2) == 12_795.00
    assert statistics_of(result).fees == pytest.approx(46.0, rel=1e-12)
