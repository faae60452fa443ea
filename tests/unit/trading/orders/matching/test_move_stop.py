"""Stops that are moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trading.orders.matching.books import (
    FREE,
    MINUTE_MS,
    bar,
    both_sides,
    entry,
    fills,
    opened,
    shown,
    side,
    step,
)
from trading.errors import Rejected
from trading.market.candles import Candles
from trading.orders.matching import Bar, Book, Execution, Moved, move_stop, next_change, on_bar
from trading.orders.orders import Leg, protective_order_id
from trading.structs import replace


def moved(book: Book, way: int, price: float, *, minute: int = 2) -> Moved:
    found = move_stop(book, entry(way).client_order_id, shown(price, way), minute * MINUTE_MS)
    assert found is not None, "the stop rests there already"
    return found


@both_sides
def test_move_stop_changes_the_price_and_nothing_else(way: int) -> None:
    book = opened(way)
    after = moved(book, way, 98)

    assert {order.leg: order.price for order in after.book.orders} == {
        Leg.STOP_LOSS: shown(98, way),
        Leg.TAKE_PROFIT: shown(110, way),
    }
    assert [replace(order, price=0.0) for order in after.book.orders] == [
        replace(order, price=0.0) for order in book.orders
    ]
    assert after.book == replace(book, orders=after.book.orders, acted_ms=2 * MINUTE_MS)
    assert after.stop in after.book.orders


@both_sides
def test_move_stop_to_where_it_rests_changes_nothing(way: int) -> None:
    assert move_stop(opened(way), entry(way).client_order_id, shown(95, way), 9 * MINUTE_MS) is None


@both_sides
def test_move_stop_is_reached_by_later_candles_only(way: int) -> None:
    book = moved(opened(way), way, 98, minute=2).book
    through = (100.0, 101.0, 97.0, 100.0)

    assert on_bar(book, bar(2, way, through), FREE) is None
    assert fills(step(book, bar(3, way, through))) == [(Leg.STOP_LOSS, shown(98, way))]


@both_sides
def test_move_stop_that_the_next_open_is_beyond_fills_at_that_open(way: int) -> None:
    book = moved(opened(way), way, 99).book
    assert fills(step(book, bar(3, way, (97, 98, 96, 97)))) == [(Leg.STOP_LOSS, shown(97, way))]


@both_sides
def test_move_stop_of_an_entry_without_one_places_it_for_all_units(way: int) -> None:
    after = moved(opened(way, stop=None, target=None), way, 97)

    assert after.stop.client_order_id == protective_order_id(entry(way).client_order_id, Leg.STOP_LOSS)
    assert (after.stop.side, after.stop.units, after.stop.price) == (side(-way), 2.0, shown(97, way))
    assert after.book.orders == (after.stop,)


@both_sides
def test_move_stop_of_another_entry_or_of_nothing_is_rejected(way: int) -> None:
    with pytest.raises(Rejected, match="no open position"):
        move_stop(opened(way), entry(way, minute=7).client_order_id, 98.0, 2 * MINUTE_MS)
    with pytest.raises(Rejected, match="no open position"):
        move_stop(Book(), entry(way).client_order_id, 98.0, 2 * MINUTE_MS)


@settings(max_examples=200, deadline=None)
@given(
    way=st.sampled_from([1, -1]),
    seed=st.integers(0, 100_000),
    moves=st.lists(st.tuples(st.integers(0, 60), st.floats(0.2, 4.0)), max_size=6),
)
def test_moved_stops_with_next_change_fill_as_a_walk_over_every_candle(
    way: int, seed: int, moves: list[tuple[int, float]]
) -> None:
    noise = np.random.default_rng(seed)
    close = 100 + np.cumsum(noise.normal(0, 0.3, 80))
    opened_at = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened_at, close) + 0.1, np.minimum(opened_at, close) - 0.1
    candles = Candles(
        np.arange(2, 82, dtype=np.int64) * MINUTE_MS, np.column_stack((opened_at, high, low, close, close * 0))
    )
    by_place = {at: float(close[at]) - way * distance for at, distance in moves}

    walked, jumped = opened(way), opened(way)
    done: tuple[list[Execution], list[Execution]] = ([], [])
    for at in range(len(candles)):
        one = Bar(int(candles.open_ms[at]), *candles.values[at, :4].tolist())
        change = on_bar(walked, one, FREE)
        if change:
            walked = change.book
            done[0].extend(change.executions)
        if next_change(jumped, candles[: at + 1], at) == at:
            again = on_bar(jumped, one, FREE)
            assert again is not None
            jumped = again.book
            done[1].extend(again.executions)
        if at in by_place and walked.units:
            walked = moved_to(walked, way, by_place[at], one.open_ms)
            jumped = moved_to(jumped, way, by_place[at], one.open_ms)
            assert on_bar(jumped, one, FREE) is None
        if not walked.units:
            assert walked.orders == ()
    assert done[0] == done[1]
    assert walked == jumped


def moved_to(book: Book, way: int, price: float, open_ms: int) -> Book:
    found = move_stop(book, entry(way).client_order_id, price, open_ms)
    return book if found is None else found.book
