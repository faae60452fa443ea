"""A cursor in the future: it begins anew from the ledger where that is possible, and is told where it is not."""

import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.fetching import ended, failures
from trading.events.event import EventType
from trading.lifecycle import DesiredState
from trading.risk.verdict import RiskDecision
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

FUTURE_MS = 7_258_118_400_000
HOUR_MS = 3_600_000
BUY_AT = 12


@pytest.fixture
def desk(databases: Databases) -> Desk:
    desk = Desk(databases, system_config(planned({BUY_AT: "buy"}, stop_distance=5.0)), make_candles(60), shown=10)
    desk.advance()
    return desk


def forge_cursor(desk: Desk, cursor_ms: int = FUTURE_MS) -> None:
    """Move the cursor as anybody can who writes to the store."""
    window = desk.store.window(SYMBOL, 100, until_ms=FUTURE_MS)
    desk.store.seed(SYMBOL, window, timeframe="1m", cursor_ms=cursor_ms, desired=DesiredState.RUNNING)


def test_cursor_in_the_future_starts_again_and_the_next_tick_decides(desk: Desk) -> None:
    desk.play(11)
    forge_cursor(desk)

    lost = ended(desk)
    assert lost.reason is ChainOutcome.RESTARTED
    [failure] = failures(desk)
    assert failure.type is EventType.DATA_FETCH_FAILED
    desk.play(BUY_AT + 3)

    assert desk.store.load(SYMBOL).cursor_ms == at_place(BUY_AT + 2)
    assert [row["open_ms"] for row in desk.ledger.decisions(SYMBOL)] == [at_place(BUY_AT)]


def test_cursor_in_the_future_begins_at_the_fence_and_makes_no_second_order(desk: Desk) -> None:
    desk.play(BUY_AT + 3)
    orders = [row["client_order_id"] for row in desk.ledger.orders(SYMBOL)]
    forge_cursor(desk)

    ended(desk)
    desk.play(BUY_AT + 6)

    assert desk.store.load(SYMBOL).cursor_ms == at_place(BUY_AT + 5)
    assert [row["client_order_id"] for row in desk.ledger.orders(SYMBOL)] == orders


@pytest.mark.parametrize("ahead_ms", [60_000, HOUR_MS])
def test_cursor_that_is_ahead_by_a_delay_of_the_source_is_kept(desk: Desk, ahead_ms: int) -> None:
    cursor_ms = at_place(9) + ahead_ms
    forge_cursor(desk, cursor_ms)

    assert ended(desk).reason is ChainOutcome.NO_NEW_CANDLE
    assert desk.store.load(SYMBOL).cursor_ms == cursor_ms
    assert failures(desk) == []


def test_cursor_in_the_future_is_kept_where_the_fence_is_there_too(desk: Desk) -> None:
    desk.ledger.decide(SYMBOL, "planned", FUTURE_MS, lambda _: RiskDecision("test", "refused"), correlation_id="c")
    forge_cursor(desk)

    assert ended(desk).reason is ChainOutcome.NO_NEW_CANDLE
    assert desk.store.load(SYMBOL).cursor_ms == FUTURE_MS
