"""Entries that invest a part of the equity: their units follow from the price of the fill, after the exit before it.

Each number is computed by hand in the comments: equity, divided by the price, rounded down to whole units.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.orders.matching.books import MINUTE_MS
from trading.orders.equity_size import EquitySize
from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, Change, Resting, on_bar
from trading.orders.orders import Leg, OrderState, Side

ALL = EquitySize(1.0, 10_000.0, unit_step=1.0)
FREE = FillTerms(sizes_at_fill=True)


def entry(size: EquitySize, side: Side = Side.BUY) -> Resting:
    return Resting("in", Leg.ENTRY, side, 100.0, 100.0, MINUTE_MS, at_fill=size)


def filled(book: Book, opened: float, terms: FillTerms = FREE) -> Change:
    """Return the change by a candle that opens at a price."""
    change = on_bar(book, Bar(MINUTE_MS, opened, opened + 1, opened - 1, opened), terms)
    assert change is not None
    return change


@pytest.mark.parametrize(
    ("size", "opened", "units"),
    [
        (ALL, 100.0, 100.0),  # 10,000 / 100
        (ALL, 99.0, 101.0),  # 101.01
        (ALL, 103.0, 97.0),  # 97.09
        (EquitySize(0.5, 10_000.0, unit_step=1.0), 99.0, 50.0),  # 5,000 / 99 = 50.505
        (EquitySize(0.5, 10_000.0, unit_step=0.01), 99.0, 50.5),
        (EquitySize(2.0, 10_000.0, unit_step=1.0), 99.0, 202.0),  # 20,000 / 99 = 202.02
        (EquitySize(1.0, 10_000.0, unit_step=1.0, max_units=100.0), 99.0, 100.0),
        (EquitySize(1.0, 10_000.0, unit_step=1.0, max_value=9_000.0), 99.0, 90.0),  # 90.9
    ],
)
def test_entry_gets_its_units_at_the_price_of_its_fill(size: EquitySize, opened: float, units: float) -> None:
    change = filled(Book(orders=(entry(size),)), opened)

    assert [one.units for one in change.executions] == [units]
    assert change.settled == (("in", OrderState.FILLED, units),)


@pytest.mark.parametrize("side", list(Side))
def test_entry_after_an_exit_invests_the_profit_that_the_exit_made(side: Side) -> None:
    # long or short 80 units from 100; the exit at 110 makes +800 or -800, whatever was expected of it
    held = -side.sign * 80.0
    size = EquitySize(1.0, 10_000.0, exit_profit=123.0, unit_step=1.0)
    leave = Resting("out", Leg.EXIT, side, 80.0, 100.0, MINUTE_MS)

    change = filled(Book(held, 100.0, orders=(leave, entry(size, side))), 110.0)

    equity = 10_000 + held * 10
    assert [one.units for one in change.executions] == [80.0, equity // 110]
    assert change.book.units == side.sign * (equity // 110)


def test_entry_without_its_exit_in_the_same_moment_invests_the_expected_profit() -> None:
    change = filled(Book(orders=(entry(EquitySize(1.0, 10_000.0, exit_profit=-900.0, unit_step=1.0)),)), 100.0)

    assert change.book.units == 91.0


def test_costs_of_exit_and_entry_are_paid_from_the_equity() -> None:
    # Short 50 from 100, bought back at 100 + 0.5 with a fee of 50 * 0.1 + 1 = 6: 10,000 - 25 - 6 = 9,969.
    # A unit costs 100.5 + 0.1, and the order 1: 9,968 / 100.6 = 99.08.
    terms = FillTerms(spread=0.6, slippage=0.2, commission_per_unit=0.1, commission_per_order=1.0, sizes_at_fill=True)
    leave = Resting("out", Leg.EXIT, Side.BUY, 50.0, 100.0, MINUTE_MS)

    change = filled(Book(-50.0, 100.0, orders=(leave, entry(ALL))), 100.0, terms)

    assert [one.fee for one in change.executions] == pytest.approx([6.0, 10.9])
    assert change.book.units == 99.0


@pytest.mark.parametrize(
    ("size", "opened"),
    [
        (EquitySize(1.0, 99.0, unit_step=1.0), 100.0),
        (EquitySize(1.0, 10_000.0, unit_step=1.0, min_units=101.0), 100.0),
        (EquitySize(1.0, -5.0), 100.0),
        (EquitySize(1.0, 100.0, exit_profit=-100.0), 100.0),
    ],
)
def test_entry_that_the_equity_does_not_pay_for_ends_without_a_fill(size: EquitySize, opened: float) -> None:
    change = filled(Book(orders=(entry(size),)), opened)

    assert change.executions == ()
    assert change.settled == (("in", OrderState.CANCELED, 0.0),)
    assert (change.book.units, change.book.orders) == (0.0, ())


def test_entry_at_a_price_below_zero_ends_without_a_fill() -> None:
    change = filled(Book(orders=(entry(ALL),)), -5.0, FillTerms(allow_non_positive=True, sizes_at_fill=True))

    assert change.settled == (("in", OrderState.CANCELED, 0.0),)


@given(
    st.builds(
        FillTerms,
        spread=st.floats(0, 2),
        slippage=st.floats(0, 1),
        commission_bps=st.floats(0, 50),
        commission_per_unit=st.floats(0, 1),
        commission_per_order=st.floats(0, 20),
        min_commission=st.floats(0, 20),
    ),
    st.floats(0.1, 1.0),
    st.floats(0, 1e6),
    st.floats(5.0, 1e4),
    st.sampled_from(list(Side)),
    st.sampled_from([1e-8, 0.01, 1.0]),
)
def test_value_and_fee_of_an_entry_stay_within_its_part_of_the_equity(
    terms: FillTerms, fraction: float, equity: float, price: float, side: Side, step: float
) -> None:
    units = terms.units_of(EquitySize(fraction, equity, unit_step=step), side, price)

    taken = terms.taken(side, price)
    assert units * max(price, taken) + terms.fee(units, taken) <= fraction * equity * (1 + 1e-9) or units == 0
    one_more = units + step
    assert one_more * max(price, taken) + terms.fee(one_more, taken) > fraction * equity * (1 - 1e-9)
