"""The paper venue: batches, restarts, interrupted statements and parallel processes change no books."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.venues.paper import PaperVenue
from tests.integration.venues.paper.paper_terms import TERMS, candle, order
from trading.errors import Transient
from trading.market.candles import Candles
from trading.orders.orders import Fill, Leg, OrderRequest, Side
from trading_orchestrator.testing.candles import SYMBOL


def joined(parts: list[Candles]) -> Candles:
    if not parts:
        return Candles.empty()
    return Candles(np.concatenate([p.open_ms for p in parts]), np.concatenate([p.values for p in parts]))


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
    booked: list[tuple[object, ...]] = [(f.leg, f.side, f.units, f.price, f.fee, f.market_ms) for f in fills]
    return booked, [(at.units, at.average_price) for at in venue.positions() if at.symbol == symbol]


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
