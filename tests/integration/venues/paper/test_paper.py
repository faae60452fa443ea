"""The paper venue: the contract of every venue, orders, cash and candles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.venues.paper import PaperVenue
from tests.integration.venues.paper.paper_terms import MINUTE_MS, START, TERMS, candle, order
from trading.errors import Rejected
from trading.orders.equity_size import EquitySize
from trading.orders.orders import Leg, OrderState, Side
from trading.structs import replace
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue import VenueContract


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Note the SQL that an engine runs."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("fill_at", ["next_open", "close"])
class TestPaperVenueContract(VenueContract):
    @pytest.fixture
    def market(self, engine: Engine, fill_at: Literal["next_open", "close"]) -> CandleMarket:
        terms = replace(TERMS, fill_at=fill_at)
        return CandleMarket(PaperVenue(engine, {SYMBOL: terms, OTHER: terms}))


@pytest.mark.parametrize(
    ("side", "prices", "rule"),
    [
        (Side.BUY, {"stop_loss": 101.0}, "stop_loss"),
        (Side.BUY, {"stop_loss": 100.0}, "stop_loss"),
        (Side.SELL, {"stop_loss": 99.0}, "stop_loss"),
        (Side.BUY, {"take_profit": 99.0}, "take_profit"),
        (Side.SELL, {"take_profit": 100.0}, "take_profit"),
        (Side.BUY, {"stop_loss": float("nan")}, "stop_loss"),
        (Side.BUY, {"take_profit": float("nan")}, "take_profit"),
        (Side.BUY, {"reference_price": float("nan")}, "reference_price"),
        (Side.BUY, {"leg": Leg.STOP_LOSS}, "leg"),
    ],
)
def test_submit_prices_that_make_no_sense_raise_rejected(
    venue: PaperVenue, side: Side, prices: dict[str, Any], rule: str
) -> None:
    with pytest.raises(Rejected) as caught:
        venue.submit(order(1, side, **prices))

    assert caught.value.rule == rule
    assert venue.find(order(1).client_order_id) is None


def test_sync_unknown_symbol_raises_rejected(venue: PaperVenue) -> None:
    with pytest.raises(Rejected, match="NOSUCH"):
        venue.sync("NOSUCH", candle(1, 100, 101, 99, 100))


def test_protective_orders_can_be_found_and_canceled_by_their_ids(venue: PaperVenue) -> None:
    entry = order(1, stop_loss=95.0, take_profit=110.0)
    venue.submit(entry)
    venue.sync(SYMBOL, candle(1, 100, 101, 99, 100))
    stop, target = (entry.client_order_id.replace("-e-", code) for code in ("-s-", "-t-"))
    found = venue.find(stop)
    assert found is not None
    assert found.state is OrderState.ACCEPTED

    assert venue.cancel(stop).state is OrderState.CANCELED
    venue.sync(SYMBOL, candle(2, 100, 111, 90, 100))

    assert [fill.client_order_id for fill in venue.fills(SYMBOL, after=0)] == [entry.client_order_id, target]


def test_close_mode_fills_at_once_and_submitted_again_fills_nothing(engine: Engine) -> None:
    venue = PaperVenue(engine, {SYMBOL: replace(TERMS, fill_at="close")})

    told = venue.submit(order(5, stop_loss=95.0))
    assert venue.submit(order(5, stop_loss=95.0)) == told

    [fill] = venue.fills(SYMBOL, after=0)
    assert (told.state, told.filled_units) == (OrderState.FILLED, 2.0)
    assert fill.price == pytest.approx(100.15)
    assert fill.market_ms == 5 * MINUTE_MS - 1
    assert venue.sync(SYMBOL, candle(4, 100, 101, 90, 100)) == fill.sequence  # the candle it was decided on
    assert venue.sync(SYMBOL, candle(5, 100, 101, 90, 100)) > fill.sequence


def test_cash_and_balance_follow_fills_and_fees(venue: PaperVenue) -> None:
    assert (venue.cash(), venue.balance()) == (START, START)
    venue.submit(order(1))
    venue.sync(SYMBOL, candle(1, 100, 101, 99, 100))
    bought_at, fee = 100.15, 2 * 100.15 * 0.0002
    assert venue.cash() == pytest.approx(START - 2 * bought_at - fee)
    assert venue.balance() == pytest.approx(START - fee)

    venue.submit(order(2, Side.SELL, leg=Leg.EXIT))
    venue.sync(SYMBOL, candle(2, 110, 111, 109, 110))

    sold_at = 109.85
    expected = START + 2 * (sold_at - bought_at) - fee - 2 * sold_at * 0.0002
    assert venue.cash() == pytest.approx(expected)
    assert venue.balance() == pytest.approx(expected)


def test_sync_position_untouched_is_one_read_and_no_write(engine: Engine, venue: PaperVenue) -> None:
    venue.submit(order(1, stop_loss=95.0, take_profit=110.0))
    newest = venue.sync(SYMBOL, candle(1, 100, 101, 99, 100))

    with statements(engine) as seen:
        assert venue.sync(SYMBOL, candle(2, 100, 101, 99, 100)) == newest

    work = [sql for sql in seen if not sql.startswith("BEGIN")]
    assert len(work) == 1
    assert work[0].startswith("SELECT")
    assert "BEGIN IMMEDIATE" not in seen


def test_sync_old_candle_shown_late_cannot_stop_out_a_later_position(venue: PaperVenue) -> None:
    plunge = candle(2, 100, 101, 80, 100)
    venue.submit(order(5, stop_loss=95.0))
    newest = venue.sync(SYMBOL, candle(5, 100, 101, 99, 100))

    assert venue.sync(SYMBOL, plunge) == newest
    assert [at.units for at in venue.positions()] == [2.0]


def test_sync_candle_that_stopped_out_shown_again_cannot_fill_the_next_entry(venue: PaperVenue) -> None:
    venue.submit(order(1, stop_loss=95.0))
    plunge = candle(2, 100, 101, 90, 96)
    venue.sync(SYMBOL, candle(1, 100, 101, 99, 100))
    newest = venue.sync(SYMBOL, plunge)
    venue.submit(order(2))

    assert venue.sync(SYMBOL, plunge) == newest
    assert venue.sync(SYMBOL, candle(3, 97, 98, 96, 97)) > newest


SIZE = EquitySize(1.0, 1_000.0, exit_profit=0.1 + 0.2, unit_step=1.0, max_value=999.0)


def test_entry_sized_at_its_fill_keeps_its_size_in_the_books(engine: Engine, venue: PaperVenue) -> None:
    venue.submit(order(1, at_fill=SIZE))
    again = PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS}, starting_cash=START)

    again.sync(SYMBOL, candle(1, 90, 91, 89, 90))

    (fill,) = venue.fills(SYMBOL, after=0)
    assert (fill.units, fill.price) == (11.0, 90.15)  # 999 / (90.15 * 1.0002) = 11.08
    found = venue.find(order(1).client_order_id)
    assert found is not None
    assert (found.state, found.filled_units) == (OrderState.FILLED, 11.0)


def test_books_of_a_version_that_sized_nothing_at_the_fill_are_used_on(engine: Engine, venue: PaperVenue) -> None:
    venue.submit(order(1))
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE paper_orders DROP COLUMN at_fill"))
    engine.dispose()

    again = PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS}, starting_cash=START)
    again.submit(order(1, strategy="other", at_fill=SIZE))
    again.sync(SYMBOL, candle(1, 100, 101, 99, 100))

    assert [(fill.strategy, fill.units) for fill in again.fills(SYMBOL, after=0)] == [("cross", 2.0), ("other", 9.0)]
