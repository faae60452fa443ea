"""Each fill rule of the paper venue, long and short, and what must hold whatever comes."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import Broken, Rejected
from trading.market.candles import Candles
from trading.orders.matching import (
    Bar,
    Book,
    Change,
    Execution,
    FillTerms,
    Moved,
    Resting,
    at_close,
    move_stop,
    next_change,
    on_bar,
)
from trading.orders.orders import Leg, OrderState, Side, client_order_id, protective_order_id
from trading.structs import replace

MINUTE_MS = 60_000
FREE = FillTerms()
COSTLY = FillTerms(spread=0.4, slippage=0.1, commission_bps=5)  # a taker pays 0.3 beside the fee
LONG, SHORT = pytest.param(1, id="long"), pytest.param(-1, id="short")
both_sides = pytest.mark.parametrize("way", [LONG, SHORT])


def bar(minute: int, way: int, prices: tuple[float, float, float, float]) -> Bar:
    """Make a candle around 100; for a short position it is mirrored, so one table serves both sides."""
    opened, high, low, close = prices if way > 0 else tuple(200 - price for price in prices)
    return Bar(minute * MINUTE_MS, opened, max(high, low), min(high, low), close)


def shown(price: float, way: int) -> float:
    return price if way > 0 else 200 - price


def side(way: int) -> Side:
    return Side.BUY if way > 0 else Side.SELL


def entry(
    way: int, *, units: float = 2.0, minute: int = 1, stop: float | None = 95, target: float | None = 110
) -> Resting:
    return Resting(
        client_order_id("paper", "XAUUSD", f"s{minute}", minute * MINUTE_MS, Leg.ENTRY),
        Leg.ENTRY,
        side(way),
        units,
        100.0,
        minute * MINUTE_MS,
        None if stop is None else shown(stop, way),
        None if target is None else shown(target, way),
    )


def exit_order(way: int, *, units: float = 2.0, minute: int = 2) -> Resting:
    """Make the order that closes a position which goes `way`."""
    return Resting(f"exit-{minute}", Leg.EXIT, side(-way), units, 100.0, minute * MINUTE_MS)


def step(book: Book, candle: Bar, terms: FillTerms = FREE) -> Change:
    change = on_bar(book, candle, terms)
    assert change is not None, "the candle changed nothing"
    return change


def opened(way: int, terms: FillTerms = FREE, **order: float | None) -> Book:
    """Return a book that entered at 100 in minute 1."""
    return step(Book(orders=(entry(way, **order),)), bar(1, way, (100, 101, 99, 100)), terms).book  # type: ignore[arg-type]


def fills(change: Change) -> list[tuple[Leg, float]]:
    return [(execution.leg, execution.price) for execution in change.executions]


def settled(change: Change) -> list[tuple[str, OrderState]]:
    return [(order_id.split("-")[-2], state) for order_id, state, _ in change.settled]


# --- market orders


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


# --- protective orders, as (candle, leg, price shown, whether costs apply); mirrored for short positions

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


# --- candles shown again, and late ones


@both_sides
def test_entry_candle_shown_again_does_nothing(way: int) -> None:
    candle = bar(1, way, (100, 101, 96, 100))
    book = step(Book(orders=(entry(way),)), candle).book

    assert on_bar(book, candle, FREE) is None


@both_sides
def test_candle_older_than_the_entry_cannot_stop_it_out(way: int) -> None:
    book = step(Book(orders=(entry(way, minute=5),)), bar(5, way, (100, 101, 99, 100))).book

    assert on_bar(book, bar(4, way, (90, 91, 80, 90)), FREE) is None


@both_sides
def test_candle_that_stopped_a_position_out_cannot_fill_a_later_order(way: int) -> None:
    candle = bar(2, way, (100, 101, 94, 99))
    book = step(opened(way), candle).book
    book = replace(book, orders=(entry(way, minute=2),))

    assert on_bar(book, candle, FREE) is None
    assert fills(step(book, bar(3, way, (100, 101, 99, 100)))) == [(Leg.ENTRY, 100)]


# --- fills at the close


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


# --- refusals and names


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.2])
def test_fill_at_a_price_that_cannot_be_raises_broken(price: float) -> None:
    with pytest.raises(Broken, match="would fill at"):
        on_bar(Book(orders=(entry(-1),)), Bar(MINUTE_MS, price, price, price, price), COSTLY)


def test_fill_at_a_price_that_cannot_be_tells_symbol_candle_and_what_to_change() -> None:
    terms = FillTerms(spread=1e9, symbol="EURUSD")

    with pytest.raises(Broken) as told:
        on_bar(Book(orders=(entry(-1),)), Bar(MINUTE_MS, 1.0, 1.0, 1.0, 1.0), terms)

    assert str(told.value) == (
        f"EURUSD: order {entry(-1).client_order_id} would fill at -499,999,999.00 in the candle at 1970-01-01 00:01 "
        "UTC: half the spread and the slippage (5e+08) are more than the price: lower venue.spread or venue.slippage"
    )
    with pytest.raises(Broken, match=r"would fill at nan .*: correct the candle"):
        on_bar(Book(orders=(entry(1),)), Bar(MINUTE_MS, math.nan, math.nan, math.nan, math.nan), terms)


@pytest.mark.parametrize("field", ["spread", "slippage", "commission_bps"])
@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_fill_terms_negative_or_nan_are_refused(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        replace(FREE, **{field: bad})  # type: ignore[arg-type]  # the field is one of numbers


def test_protective_order_id_of_an_entry_is_derived_unique_and_short() -> None:
    parent = client_order_id("live", "E-EURUSD-e-", "any", 1_774_360_800_000, Leg.ENTRY)
    stop, target = (protective_order_id(parent, leg) for leg in (Leg.STOP_LOSS, Leg.TAKE_PROFIT))

    assert len({parent, stop, target}) == 3
    assert stop.replace("-s-", "-e-") == target.replace("-t-", "-e-") == parent
    assert max(len(stop), len(target)) <= 32
    assert protective_order_id("mine", Leg.STOP_LOSS) == "mine-s"


# --- properties

prices = st.floats(80, 120).map(lambda price: round(price, 2))
ways = st.sampled_from([1, -1])


class Scripted(NamedTuple):
    """What one minute brings: perhaps an order, then a candle."""

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


# --- stops that are moved


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
def test_move_stop_of_another_entry_or_of_nothing_is_refused(way: int) -> None:
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
