"""Stop loss and take profit: where they fill, and what they cost."""

import pytest

from tests.unit.trading.orders.matching.books import (
    COSTLY,
    FREE,
    MINUTE_MS,
    bar,
    both_sides,
    entry,
    fills,
    opened,
    settled,
    shown,
    side,
    step,
)
from trading.orders.matching import Book, on_bar
from trading.orders.orders import Leg, OrderState

PROTECTION = {
    "stop_touched_fills_at_the_stop": ((100, 101, 95, 99), Leg.STOP_LOSS, 95, True),
    "stop_passed_inside_fills_at_the_stop": ((100, 101, 90, 99), Leg.STOP_LOSS, 95, True),
    "stop_at_the_open_fills_at_the_open": ((95, 96, 94, 96), Leg.STOP_LOSS, 95, True),
    "stop_gapped_fills_at_the_open": ((92, 97, 91, 96), Leg.STOP_LOSS, 92, True),
    "target_touched_fills_exactly_there": ((100, 110, 99, 109), Leg.TAKE_PROFIT, 110, False),
    "target_passed_inside_fills_exactly_there": ((100, 115, 99, 112), Leg.TAKE_PROFIT, 110, False),
    "target_at_the_open_fills_exactly_there": ((110, 111, 109, 110), Leg.TAKE_PROFIT, 110, False),
    "target_gapped_fills_better_at_the_open": ((113, 114, 112, 113), Leg.TAKE_PROFIT, 113, False),
    "both_touched_the_stop_counts": ((100, 112, 94, 108), Leg.STOP_LOSS, 95, True),
    "stop_gapped_then_target_touched_the_stop_counts": ((94, 111, 93, 110), Leg.STOP_LOSS, 94, True),
    "target_gapped_then_stop_touched_the_target_counts": ((111, 112, 94, 95), Leg.TAKE_PROFIT, 111, False),
}


@both_sides
@pytest.mark.parametrize(("prices", "leg", "price", "costs"), PROTECTION.values(), ids=PROTECTION.keys())
def test_protection(way: int, prices: tuple[float, float, float, float], leg: Leg, price: float, costs: bool) -> None:
    change = step(opened(way), bar(2, way, prices), COSTLY)

    [execution] = change.executions
    assert execution.leg is leg
    assert execution.side is side(-way)
    assert execution.units == 2.0
    assert execution.price == pytest.approx(shown(price, way) - (way * 0.3 if costs else 0.0))
    assert execution.fee == pytest.approx(2.0 * execution.price * 5 / 10_000)
    assert change.book == Book(acted_ms=2 * MINUTE_MS)
    other = "t" if leg is Leg.STOP_LOSS else "s"
    assert settled(change)[-1] == (other, OrderState.CANCELED)


@both_sides
def test_protection_untouched_changes_nothing(way: int) -> None:
    assert on_bar(opened(way), bar(2, way, (100, 109.99, 95.01, 100)), COSTLY) is None


@both_sides
@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        pytest.param((100, 101, 94, 99), [(Leg.ENTRY, 100), (Leg.STOP_LOSS, 95)], id="stop_in_the_rest_of_it"),
        pytest.param((100, 111, 99, 110), [(Leg.ENTRY, 100), (Leg.TAKE_PROFIT, 110)], id="target_in_the_rest_of_it"),
        pytest.param((100, 111, 94, 110), [(Leg.ENTRY, 100), (Leg.STOP_LOSS, 95)], id="both_in_the_rest_of_it"),
        pytest.param((94, 96, 93, 95), [(Leg.ENTRY, 94), (Leg.STOP_LOSS, 94)], id="open_beyond_own_stop"),
        pytest.param((112, 113, 111, 112), [(Leg.ENTRY, 112), (Leg.TAKE_PROFIT, 112)], id="open_beyond_own_target"),
    ],
)
def test_entry_candle_hits_own_protection(
    way: int, prices: tuple[float, float, float, float], expected: list[tuple[Leg, float]]
) -> None:
    change = step(Book(orders=(entry(way),)), bar(1, way, prices))

    assert fills(change) == [(leg, shown(price, way)) for leg, price in expected]
    assert change.book == Book(acted_ms=MINUTE_MS)


@both_sides
def test_entry_open_beyond_own_stop_pays_costs_twice(way: int) -> None:
    change = step(Book(orders=(entry(way),)), bar(1, way, (94, 96, 93, 95)), COSTLY)

    bought, sold = change.executions
    assert way * (sold.price - bought.price) == pytest.approx(-0.6)


@both_sides
def test_candle_older_than_the_entry_cannot_stop_it_out(way: int) -> None:
    book = step(Book(orders=(entry(way, minute=5),)), bar(5, way, (100, 101, 99, 100))).book

    assert on_bar(book, bar(4, way, (90, 91, 80, 90)), FREE) is None
