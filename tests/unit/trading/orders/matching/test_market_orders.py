"""Market orders: entries, exits and reversals, at the open or at the close."""

import pytest

from tests.unit.trading.orders.matching.books import (
    COSTLY,
    FREE,
    MINUTE_MS,
    bar,
    both_sides,
    entry,
    exit_order,
    fills,
    opened,
    settled,
    shown,
    side,
    step,
)
from trading.orders.matching import Book, at_close, on_bar
from trading.orders.orders import Leg, OrderState
from trading.structs import replace


@both_sides
def test_entry_first_candle_at_decided_time_fills_at_its_open(way: int) -> None:
    change = step(Book(orders=(entry(way),)), bar(1, way, (100, 101, 99, 100.5)))

    assert fills(change) == [(Leg.ENTRY, 100.0)]
    assert change.book.units == way * 2.0
    assert change.book.average_price == 100.0
    assert change.executions[0].market_ms == MINUTE_MS
    assert [(o.leg, o.price) for o in change.placed] == [
        (Leg.STOP_LOSS, shown(95, way)),
        (Leg.TAKE_PROFIT, shown(110, way)),
    ]


@both_sides
def test_entry_candle_before_decided_time_waits(way: int) -> None:
    assert on_bar(Book(orders=(entry(way, minute=2),)), bar(1, way, (100, 111, 90, 100)), FREE) is None


@both_sides
def test_entry_after_a_gap_in_time_fills_at_first_open_there_is(way: int) -> None:
    change = step(Book(orders=(entry(way, minute=1),)), bar(7, way, (102, 103, 101, 102)))

    assert fills(change) == [(Leg.ENTRY, shown(102, way))]


@both_sides
def test_market_fill_pays_half_the_spread_and_slippage_and_commission(way: int) -> None:
    change = step(Book(orders=(entry(way),)), bar(1, way, (100, 101, 99, 100)), COSTLY)

    [execution] = change.executions
    assert execution.price == pytest.approx(100 + way * 0.3)
    assert execution.fee == pytest.approx(2 * execution.price * 5 / 10_000)


@both_sides
def test_exit_at_open_pays_costs_and_cancels_protection(way: int) -> None:
    book = opened(way)
    book = replace(book, orders=(*book.orders, exit_order(way)))

    change = step(book, bar(2, way, (102, 103, 90, 100)), COSTLY)  # its low is beyond the stop, which is gone by then

    assert fills(change) == [(Leg.EXIT, COSTLY.taken(side(-way), shown(102, way)))]
    assert settled(change) == [
        ("exit", OrderState.FILLED),
        ("s", OrderState.CANCELED),
        ("t", OrderState.CANCELED),
    ]
    assert change.book == Book(acted_ms=2 * MINUTE_MS)


@both_sides
def test_exit_open_beyond_stop_fills_before_the_stop(way: int) -> None:
    book = opened(way)
    book = replace(book, orders=(*book.orders, exit_order(way)))

    assert fills(step(book, bar(2, way, (90, 91, 89, 90)))) == [(Leg.EXIT, shown(90, way))]


@both_sides
def test_exit_larger_than_position_never_flips(way: int) -> None:
    book = opened(way)
    change = step(replace(book, orders=(*book.orders, exit_order(way, units=5))), bar(2, way, (101, 102, 100, 101)))

    assert [execution.units for execution in change.executions] == [2.0]
    assert change.book.units == 0.0


@both_sides
def test_exit_of_a_part_keeps_protection_for_the_rest(way: int) -> None:
    book = opened(way)
    part = step(replace(book, orders=(*book.orders, exit_order(way, units=0.5))), bar(2, way, (101, 102, 100, 101)))
    rest = step(part.book, bar(3, way, (98, 99, 94, 98)))

    assert part.book.units == way * 1.5
    assert part.book.average_price == 100.0
    assert fills(rest) == [(Leg.STOP_LOSS, shown(95, way))]
    assert rest.executions[0].units == 1.5


@both_sides
def test_exit_with_nothing_to_close_is_canceled_and_fills_nothing(way: int) -> None:
    change = step(Book(orders=(exit_order(way),)), bar(2, way, (100, 101, 99, 100)))

    assert change.executions == ()
    assert settled(change) == [("exit", OrderState.CANCELED)]


@both_sides
def test_exit_then_entry_in_the_order_sent_reverses(way: int) -> None:
    book = opened(way)
    book = replace(book, orders=(*book.orders, exit_order(way), entry(-way, minute=2)))

    change = step(book, bar(2, way, (102, 103, 101, 102)))

    assert fills(change) == [(Leg.EXIT, shown(102, way)), (Leg.ENTRY, shown(102, way))]
    assert change.book.units == -way * 2.0
    assert [order.side for order in change.book.orders] == [side(way), side(way)]


@both_sides
def test_entry_against_position_flips_it_and_replaces_protection(way: int) -> None:
    book = opened(way)
    book = replace(book, orders=(*book.orders, entry(-way, units=5, minute=2, target=None)))

    change = step(book, bar(2, way, (102, 103, 94, 102)))  # its low would have hit the old stop

    assert fills(change) == [(Leg.ENTRY, shown(102, way))]
    assert (change.book.units, change.book.average_price) == (-way * 3.0, shown(102, way))
    assert [(order.leg, order.units) for order in change.book.orders] == [(Leg.STOP_LOSS, 3.0)]


@both_sides
def test_entry_against_position_that_only_reduces_keeps_old_protection(way: int) -> None:
    book = opened(way)
    change = step(
        replace(book, orders=(*book.orders, entry(-way, units=0.5, minute=2))), bar(2, way, (101, 102, 100, 101))
    )

    assert (change.book.units, change.book.average_price) == (way * 1.5, 100.0)
    assert change.book.orders == book.orders
    assert change.placed == ()


@both_sides
def test_entry_that_adds_averages_price_and_takes_over_protection(way: int) -> None:
    book = opened(way)
    more = entry(way, units=2, minute=2, stop=98, target=None)

    change = step(replace(book, orders=(*book.orders, more)), bar(2, way, (104, 105, 103, 104)))

    assert (change.book.units, change.book.average_price) == (way * 4.0, shown(102, way))
    assert [(order.leg, order.price, order.units) for order in change.book.orders] == [
        (Leg.STOP_LOSS, shown(98, way), 4.0)
    ]


@both_sides
def test_entry_that_adds_without_protection_leaves_what_rests_for_all_units(way: int) -> None:
    book = opened(way)
    more = entry(way, units=2, minute=2, stop=None, target=None)
    added = step(replace(book, orders=(*book.orders, more)), bar(2, way, (104, 105, 103, 104)))

    change = step(added.book, bar(3, way, (96, 97, 94, 95)))

    assert [(x.leg, x.units) for x in change.executions] == [(Leg.STOP_LOSS, 4.0)]


@both_sides
def test_entry_candle_shown_again_does_nothing(way: int) -> None:
    candle = bar(1, way, (100, 101, 96, 100))
    book = step(Book(orders=(entry(way),)), candle).book

    assert on_bar(book, candle, FREE) is None


@both_sides
def test_candle_that_stopped_a_position_out_cannot_fill_a_later_order(way: int) -> None:
    candle = bar(2, way, (100, 101, 94, 99))
    book = step(opened(way), candle).book
    book = replace(book, orders=(entry(way, minute=2),))

    assert on_bar(book, candle, FREE) is None
    assert fills(step(book, bar(3, way, (100, 101, 99, 100)))) == [(Leg.ENTRY, 100)]


@both_sides
def test_close_mode_fills_at_reference_price_with_costs_in_the_decided_candle(way: int) -> None:
    change = at_close(Book(), entry(way, minute=1), COSTLY)

    [execution] = change.executions
    assert execution.price == pytest.approx(100 + way * 0.3)
    assert execution.market_ms == MINUTE_MS - 1
    assert [order.leg for order in change.book.orders] == [Leg.STOP_LOSS, Leg.TAKE_PROFIT]


@both_sides
def test_close_mode_decided_candle_cannot_hit_protection_and_the_next_can(way: int) -> None:
    book = at_close(Book(), entry(way, minute=1), FREE).book
    plunge = (100.0, 101.0, 90.0, 95.0)

    assert on_bar(book, bar(0, way, plunge), FREE) is None
    assert fills(step(book, bar(1, way, plunge))) == [(Leg.STOP_LOSS, shown(95, way))]


def test_close_mode_exit_when_flat_is_canceled() -> None:
    change = at_close(Book(), exit_order(1), FREE)

    assert change.executions == ()
    assert settled(change) == [("exit", OrderState.CANCELED)]
