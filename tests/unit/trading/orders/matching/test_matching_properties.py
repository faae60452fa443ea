"""Any sequence of orders and candles: properties of the book."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trading.orders.matching.books import COSTLY, FREE, MINUTE_MS, bar, entry, exit_order, side
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, Execution, Resting, next_change, on_bar
from trading.orders.orders import Leg
from trading.structs import replace

ways = st.sampled_from([1, -1])
prices = st.floats(80, 120).map(lambda price: round(price, 2))


class Scripted(NamedTuple):
    """The events of one minute: an order or none, then a candle."""

    order: tuple[Leg, int, float, float | None, float | None] | None
    prices: tuple[float, float, float, float]


script = st.lists(
    st.builds(
        Scripted,
        st.none()
        | st.tuples(
            st.sampled_from([Leg.ENTRY, Leg.EXIT]),
            ways,
            st.floats(0.1, 5).map(lambda units: round(units, 1)),
            st.none() | st.floats(1, 15),
            st.none() | st.floats(1, 15),
        ),
        st.tuples(prices, prices, prices, prices).map(lambda p: (p[0], max(p), min(p), p[3])),
    ),
    max_size=25,
)


@given(script, st.sampled_from([FREE, COSTLY]))
def test_any_script_conserves_units_and_cash_and_settles_each_order_once(
    lines: list[Scripted], terms: FillTerms
) -> None:
    book = Book()
    executions: list[Execution] = []
    ended: list[str] = []
    sent: list[str] = []
    for minute, line in enumerate(lines):
        if line.order:
            leg, way, units, risk, reward = line.order
            stop = 100 - risk if risk else None
            target = 100 + reward if reward else None
            order = replace(entry(way, units=units, minute=minute, stop=stop, target=target), leg=leg)
            sent.append(order.client_order_id)
            book = replace(book, orders=(*book.orders, order))
        change = on_bar(book, bar(minute, 1, line.prices), terms)
        if change:
            book = change.book
            executions += change.executions
            sent += [order.client_order_id for order in change.placed]
            ended += [order_id for order_id, _, _ in change.settled]

    signed = [x.side.sign * x.units for x in executions]
    assert book.units == pytest.approx(sum(signed), abs=1e-6)
    assert sorted(sent) == sorted([*ended, *(order.client_order_id for order in book.orders)])
    cash = -sum(units * x.price for units, x in zip(signed, executions, strict=True))
    held, average, realised = 0.0, 0.0, 0.0
    for units, x in zip(signed, executions, strict=True):  # profit of each closed part, counted the long way
        closed = min(abs(units), abs(held)) if held * units < 0 else 0.0
        realised += math.copysign(closed, held) * (x.price - average)
        opening = abs(units) - closed
        if opening > 1e-9:
            base = abs(held) - closed
            average = (base * average + opening * x.price) / (base + opening) if base > 1e-9 else x.price
        held += units
    assert cash + book.units * book.average_price == pytest.approx(realised, abs=1e-6)


@given(script)
def test_any_script_leaves_protection_only_on_an_open_position_and_on_its_other_side(lines: list[Scripted]) -> None:
    book = Book()
    for minute, line in enumerate(lines):
        if line.order:
            leg, way, units, risk, reward = line.order
            stop = 100 - risk if risk else None
            target = 100 + reward if reward else None
            order = replace(entry(way, units=units, minute=minute, stop=stop, target=target), leg=leg)
            book = replace(book, orders=(*book.orders, order))
        change = on_bar(book, bar(minute, 1, line.prices), FREE)
        book = change.book if change else book
        resting = [order for order in book.orders if not order.is_market]
        assert len({order.leg for order in resting}) == len(resting)
        assert all(order.side.sign * book.units < 0 for order in resting)


@settings(max_examples=200, deadline=None)
@given(
    way=st.sampled_from([1, -1]),
    seed=st.integers(0, 100_000),
    stop=st.sampled_from([None, 0.5, 3.0]),
    target=st.sampled_from([None, 0.5, 3.0]),
    waits=st.booleans(),
    first=st.integers(0, 4),
)
def test_next_change_passes_over_no_candle_that_changes_the_book(
    way: int, seed: int, stop: float | None, target: float | None, waits: bool, first: int
) -> None:
    noise = np.random.default_rng(seed)
    close = 100 + np.cumsum(noise.normal(0, 0.4, 1_100))
    opened = np.concatenate(([100.0], close[:-1])) + noise.normal(0, 0.1, 1_100)
    high, low = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    candles = Candles(
        np.arange(2, 1_102, dtype=np.int64) * MINUTE_MS, np.column_stack((opened, high, low, close, close * 0))
    )
    book = opened_book(way, None if stop is None else 100 - way * stop, None if target is None else 100 + way * target)
    if waits:
        book = replace(book, orders=(*book.orders, exit_order(way, minute=int(noise.integers(2, 900)))))

    place = next_change(book, candles, first)

    changes = [
        at
        for at in range(first, len(candles))
        if on_bar(book, Bar(int(candles.open_ms[at]), *candles.values[at, :4].tolist()), FREE)
    ]
    assert place == (changes[0] if changes else len(candles))


def opened_book(way: int, stop: float | None, target: float | None) -> Book:
    """Return a book that holds 2 units since minute 1, with what protects them."""
    prices = ((Leg.STOP_LOSS, stop), (Leg.TAKE_PROFIT, target))
    orders = tuple(
        Resting(f"{leg}-1", leg, side(-way), 2.0, price, MINUTE_MS) for leg, price in prices if price is not None
    )
    return Book(2.0 * way, 100.0, MINUTE_MS, orders)
