"""The paper venue on SQLite and PostgreSQL: its contract, restarts, lost transactions, parallel processes."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues.paper import PaperVenue
from trading.errors import Rejected, Transient
from trading.market.candles import Candles
from trading.orders.matching import FillTerms
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side, client_order_id
from trading.structs import replace
from trading_orchestrator.testing.candle_market import CandleMarket
from trading_orchestrator.testing.candles import OTHER, SYMBOL
from trading_orchestrator.testing.contracts.venue import VenueContract

MINUTE_MS = 60_000
TERMS = FillTerms(spread=0.2, slippage=0.05, commission_bps=2)
START = 10_000.0


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, where="paper")
    yield engine
    engine.dispose()


@pytest.fixture
def venue(engine: Engine) -> PaperVenue:
    return PaperVenue(engine, {SYMBOL: TERMS, OTHER: TERMS}, starting_cash=START)


def candle(minute: int, opened: float, high: float, low: float, close: float) -> Candles:
    return Candles.from_rows([[minute * MINUTE_MS, opened, high, low, close, 1.0]])


def joined(parts: list[Candles]) -> Candles:
    if not parts:
        return Candles.empty()
    return Candles(np.concatenate([p.open_ms for p in parts]), np.concatenate([p.values for p in parts]))


def order(
    minute: int, side: Side = Side.BUY, *, leg: Leg = Leg.ENTRY, symbol: str = SYMBOL, **fields: Any
) -> OrderRequest:
    """Make an order decided at the open of `minute`, at 100."""
    name = client_order_id("paper", symbol, fields.get("strategy", "cross"), minute * MINUTE_MS, leg)
    return replace(OrderRequest(name, symbol, "cross", leg, side, 2.0, 100.0, minute * MINUTE_MS), **fields)


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Note the SQL that an engine runs."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", note)


# --- the contract of every venue


@pytest.mark.parametrize("fill_at", ["next_open", "close"])
class TestPaperVenueContract(VenueContract):
    @pytest.fixture
    def market(self, engine: Engine, fill_at: Literal["next_open", "close"]) -> CandleMarket:
        terms = replace(TERMS, fill_at=fill_at)
        return CandleMarket(PaperVenue(engine, {SYMBOL: terms, OTHER: terms}))


# --- orders


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


# --- candles, however they are shown


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


@dataclass(frozen=True)
class Minute:
    """Orders decided at its open, as (leg, side, units, stop and target distance), and its prices."""

    orders: tuple[tuple[Leg, Side, float, float | None, float | None], ...]
    prices: tuple[float, float, float, float]


distance = st.none() | st.floats(1, 10).map(lambda points: round(points, 2))
one_order = st.tuples(
    st.sampled_from([Leg.ENTRY, Leg.EXIT]),
    st.sampled_from(list(Side)),
    st.floats(0.1, 5).map(lambda units: round(units, 1)),
    distance,
    distance,
)
price = st.floats(90, 110).map(lambda value: round(value, 2))
four_prices = st.tuples(price, price, price, price).map(lambda p: (p[0], max(p), min(p), p[3]))
minutes = st.lists(
    st.builds(Minute, st.just(()) | st.lists(one_order, max_size=2, unique_by=lambda o: o[0]).map(tuple), four_prices),
    min_size=1,
    max_size=15,
)
fresh = count()


def requests(symbol: str, at: int, minute: Minute) -> list[OrderRequest]:
    made = []
    for leg, side, units, risk, reward in minute.orders:
        stop = 100 - side.sign * risk if risk and leg is Leg.ENTRY else None
        target = 100 + side.sign * reward if reward and leg is Leg.ENTRY else None
        made.append(order(at, side, leg=leg, symbol=symbol, units=units, stop_loss=stop, take_profit=target))
    return made


def outcome(venue: PaperVenue, symbol: str) -> tuple[list[tuple[object, ...]], list[tuple[float, float]]]:
    """Return fills and positions without what differs by name: symbol, ids, and the venue's own counting."""
    fills = venue.fills(symbol, after=0)
    told: list[tuple[object, ...]] = [(f.leg, f.side, f.units, f.price, f.fee, f.market_ms) for f in fills]
    return told, [(at.units, at.average_price) for at in venue.positions() if at.symbol == symbol]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=minutes, data=st.data())
def test_sync_one_by_one_batched_repeated_and_restarted_give_the_same(
    engine: Engine, script: list[Minute], data: st.DataObject
) -> None:
    single, batched, repeated = (f"S{next(fresh)}" for _ in range(3))
    terms = dict.fromkeys((single, batched, repeated), TERMS)
    venue = PaperVenue(engine, terms)
    cash_before = venue.cash()
    shown: list[Candles] = []
    waiting: list[Candles] = []
    for at, minute in enumerate(script):
        bar = candle(at, *minute.prices)
        if minute.orders:
            venue.sync(batched, joined(waiting))  # an order goes out only after what came before it was shown
            waiting = []
        for symbol in terms:
            for request in requests(symbol, at, minute):
                venue.submit(request)
        venue.sync(single, bar)
        waiting.append(bar)
        again = data.draw(st.integers(0, len(shown)), label="shown again from")
        venue.sync(repeated, joined(shown[again:]))
        if data.draw(st.booleans(), label="restarted"):
            venue = PaperVenue(engine, terms)
        for request in requests(repeated, at, minute):
            venue.submit(request)
        venue.sync(repeated, joined([*shown[again:], bar]))
        venue.sync(repeated, bar)
        shown.append(bar)
    venue.sync(batched, joined(waiting))

    expected = outcome(venue, single)
    assert outcome(venue, batched) == expected
    assert outcome(venue, repeated) == expected
    fills = [fill for symbol in terms for fill in venue.fills(symbol, after=0)]
    assert venue.cash() - cash_before == pytest.approx(sum(map(cash_of, fills)), abs=1e-6)
    held = sum(at.units for at in venue.positions() if at.symbol in terms)
    assert held == pytest.approx(sum(fill.side.sign * fill.units for fill in fills), abs=1e-6)


def cash_of(fill: Fill) -> float:
    return -fill.side.sign * fill.units * fill.price - fill.fee


# --- what fails half-way


class PowerCutError(Exception):
    """Ends a transaction as a kill does."""


def test_sync_cut_off_at_any_statement_leaves_all_or_nothing(engine: Engine, venue: PaperVenue) -> None:
    """Candle 1 fills the entry and hits its stop: two fills, three orders and a book that belong together."""
    entry = order(1, stop_loss=95.0, take_profit=110.0)
    bar = candle(1, 100, 101, 94, 96)
    venue.submit(entry)
    for survived in count():
        left = iter(range(survived))

        def cut(*_rest: object, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise PowerCutError

        sa.event.listen(engine, "after_cursor_execute", cut)
        try:
            venue.sync(SYMBOL, bar)
        except PowerCutError:
            assert list(venue_after_cut(engine, cut).fills(SYMBOL, after=0)) == []
            assert list(venue.positions()) == []
        else:
            sa.event.remove(engine, "after_cursor_execute", cut)
            break

    assert survived > 5
    fills = venue.fills(SYMBOL, after=0)
    assert [(fill.sequence, fill.leg) for fill in fills] == [(1, Leg.ENTRY), (2, Leg.STOP_LOSS)]
    assert [fill.price for fill in fills] == pytest.approx([100.15, 94.85])


def venue_after_cut(engine: Engine, cut: Any) -> PaperVenue:
    sa.event.remove(engine, "after_cursor_execute", cut)
    return PaperVenue(engine, {SYMBOL: TERMS})


def test_database_that_does_not_answer_raises_transient_of_the_venue() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: whoever connects is refused
        port = taken.getsockname()[1]
        engine = create_engine(f"postgresql://nobody@127.0.0.1:{port}/nothing", where="paper")
        with pytest.raises(Transient) as caught:
            PaperVenue(engine, {SYMBOL: TERMS})

    assert caught.value.where == "paper"


# --- several processes

ROUNDS = 15


def trade(url: str, symbol: str) -> int:
    """Open and stop out a position on `symbol`, `ROUNDS` times; returns the newest sequence."""
    engine = create_engine(url, where="paper")
    venue = PaperVenue(engine, {symbol: TERMS})
    newest = 0
    for at in range(1, 2 * ROUNDS, 2):
        venue.submit(order(at, symbol=symbol, stop_loss=95.0))
        venue.sync(symbol, candle(at, 100, 101, 99, 100))
        newest = venue.sync(symbol, candle(at + 1, 100, 101, 94, 96))
    engine.dispose()
    return newest


@pytest.mark.long
def test_parallel_processes_lose_and_double_nothing(database_url: str, engine: Engine) -> None:
    """Four processes begin on a database without tables: three symbols, and two processes on one of them."""
    symbols = ["A", "B", "C"]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        newest = list(pool.map(trade, [database_url] * 4, [*symbols, "A"]))

    venue = PaperVenue(engine, dict.fromkeys(symbols, TERMS))
    fills = [fill for symbol in symbols for fill in venue.fills(symbol, after=0)]
    assert sorted(fill.sequence for fill in fills) == list(range(1, len(fills) + 1))
    assert max(newest) == len(fills)
    assert len({fill.client_order_id for fill in fills}) == len(fills)
    per_symbol = Counter((fill.symbol, fill.leg) for fill in fills)
    assert {per_symbol[symbol, Leg.ENTRY] for symbol in ("B", "C")} == {ROUNDS}
    assert {per_symbol[symbol, Leg.STOP_LOSS] for symbol in ("B", "C")} == {ROUNDS}
    for symbol in symbols:
        signed = sum(fill.side.sign * fill.units for fill in fills if fill.symbol == symbol)
        held = sum(at.units for at in venue.positions() if at.symbol == symbol)
        assert held == pytest.approx(signed)
        assert per_symbol[symbol, Leg.ENTRY] <= ROUNDS
    assert venue.cash() == pytest.approx(sum(map(cash_of, fills)))
