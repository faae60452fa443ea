"""Entries that invest all of the equity, candle by candle on SQL and in a backtest; the numbers are computed by hand.

1,000 in the account and whole units: bought at 99, that is 10 (10.10). The position is closed at 110 with a profit of
110, and the same decision sells 1,110 / 110 = 10 units there (10.09). They are bought back at 105: 1,160.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.fakes import Databases, Desk, planned, system_config
from trading.events.event import EventType
from trading.market.candles import Candles
from trading.orders.orders import OrderState
from trading_orchestrator.testing.candles import SYMBOL, at_place

OPENS = (100.0, 100.0, 100.0, 99.0, 100.0, 110.0, 100.0, 105.0, 100.0, 100.0)
"""Each candle closes at 100."""
REVERSAL = {2: "buy", 4: "sell", 6: "close"}


def tape(opens: tuple[float, ...] = OPENS) -> Candles:
    bars = [(opened, max(opened, 100.0), min(opened, 100.0), 100.0, 1.0) for opened in opens]
    return Candles.from_rows([[at_place(place), *bar] for place, bar in enumerate(bars)])


def all_in(plan: Mapping[int, str], *, balance: float = 1_000.0, **symbol: Any) -> SystemConfig:
    risk = {"sizing": "equity_fraction", "equity_fraction": 1.0, "unit_step": 1.0, **symbol.pop("risk", {})}
    return system_config(planned(plan), account={"starting_balance": balance}, risk=risk, **symbol)


def played(databases: Databases, config: SystemConfig, candles: Candles, *, restarts: bool = False) -> Desk:
    """Return a desk that has decided all candles but the last, in new processes where `restarts`."""
    desk = Desk(databases, config, candles, shown=0)
    for until in range(1, len(candles)):
        desk.play(until)
        if restarts:
            desk.restart()
    return desk


@pytest.mark.parametrize("batch", [1, 100])
def test_reversal_invests_the_equity_after_the_exit_at_the_open_where_both_fill(batch: int) -> None:
    result = run_backtest(all_in(REVERSAL), {SYMBOL: tape()}, batch=batch)

    assert [(fill.side, fill.units, fill.price) for fill in result.fills] == [
        ("buy", 10.0, 99.0),
        ("sell", 10.0, 110.0),
        ("sell", 10.0, 110.0),
        ("buy", 10.0, 105.0),
    ]
    assert result.equity.equity[-1] == 1_160.0
    assert [(one.units, one.filled_units) for one in result.orders] == [(10.0, 10.0)] * 4


@pytest.mark.parametrize("restarts", [False, True])
def test_process_that_starts_anew_at_each_candle_gives_the_same_fills(databases: Databases, *, restarts: bool) -> None:
    config = all_in(REVERSAL, venue={"kind": "paper", "slippage": 0.3, "min_commission": 2.5})

    desk = played(databases, config, tape(), restarts=restarts)

    result = run_backtest(config, {SYMBOL: tape()[: len(OPENS) - 1]})
    assert list(desk.paper.fills(SYMBOL, after=0)) == list(result.fills)
    assert len(result.fills) == 4
    assert desk.orders() == sorted((one.client_order_id, one.leg.value, one.state.value) for one in result.orders)
    assert {state for *_, state in desk.orders()} == {"filled"}


def test_entry_that_its_fill_price_makes_too_small_is_canceled_and_the_next_one_is_sent(databases: Databases) -> None:
    # 105 buys 1 unit at 100, none at the open of 110, and 1 at that of 101
    opens = (100.0, 100.0, 100.0, 110.0, 100.0, 100.0, 101.0, 100.0, 100.0, 100.0)
    config = all_in({2: "buy", 5: "buy"}, balance=105.0)

    desk = played(databases, config, tape(opens))
    result = run_backtest(config, {SYMBOL: tape(opens)})

    assert sorted(state for *_, state in desk.orders()) == ["canceled", "filled"]
    assert [one.state for one in result.orders] == [OrderState.CANCELED, OrderState.FILLED]
    assert [(fill.units, fill.price) for fill in result.fills] == [(1.0, 101.0)]
    (event,) = desk.events_of(EventType.ORDER_CANCELLED)
    assert event.details["client_order_id"] == result.orders[0].client_order_id


def test_decision_says_which_part_of_the_equity_it_invests() -> None:
    first, second, _ = run_backtest(all_in(REVERSAL), {SYMBOL: tape()}).decisions

    assert first.reason == (
        "buy 10 units at 100, 100 % of the equity 1000.00, the fill price decides the units, risk 1000.00: planned"
    )
    assert second.reason == (
        "close 10 units at 100, +10.00 before fees: planned; then sell 10 units at 100, 100 % of the equity 1010.00 "
        "after the exit, the fill price decides the units, risk 1010.00: planned"
    )
