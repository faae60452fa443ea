"""Position arithmetic: what fills do, and that no money appears or disappears."""

from decimal import Decimal
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading.orders.orders import Fill, Leg, Side
from trading.portfolio.positions import Position, PositionFold

FLAT = Position("XAUUSD", "ema")
LONG = Position("XAUUSD", "ema", 2.0, 100.0, 7, 0.0, 95.0, 110.0)
SHORT = Position("XAUUSD", "ema", -2.0, 100.0, 7, 0.0, 105.0, 90.0)

_numbers = count(1)


def fill(side: Side, units: float, price: float, fee: float = 0.0, market_ms: int = 60_000) -> Fill:
    number = next(_numbers)
    return Fill(number, f"f{number}", f"o{number}", "XAUUSD", "ema", Leg.ENTRY, side, units, price, fee, market_ms)


fills = st.lists(
    st.builds(
        fill,
        st.sampled_from(Side),
        st.integers(1, 400).map(lambda steps: steps / 8),
        st.floats(1, 5_000),
        st.floats(0, 5),
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("before", "side", "units", "price", "expected"),
    [
        (FLAT, Side.BUY, 2.0, 100.0, (2.0, 100.0, 0.0)),
        (FLAT, Side.SELL, 2.0, 100.0, (-2.0, 100.0, 0.0)),
        (LONG, Side.BUY, 2.0, 110.0, (4.0, 105.0, 0.0)),
        (SHORT, Side.SELL, 6.0, 80.0, (-8.0, 85.0, 0.0)),
        (LONG, Side.SELL, 0.5, 110.0, (1.5, 100.0, 5.0)),
        (LONG, Side.SELL, 2.0, 110.0, (0.0, 0.0, 20.0)),
        (SHORT, Side.BUY, 2.0, 110.0, (0.0, 0.0, -20.0)),
        (LONG, Side.SELL, 3.0, 110.0, (-1.0, 110.0, 20.0)),
        (SHORT, Side.BUY, 5.0, 90.0, (3.0, 90.0, 20.0)),
    ],
)
def test_position_after_a_fill_is_that_of_the_table(
    before: Position, side: Side, units: float, price: float, expected: tuple[float, float, float]
) -> None:
    after = before.after(fill(side, units, price))

    assert (after.units, after.average_price, after.realised) == pytest.approx(expected)


@given(fills)
def test_position_after_any_fills_conserves_cash_plus_worth(script: list[Fill]) -> None:
    position, cash, units, turnover = FLAT, 0.0, 0.0, 1.0
    for one in script:
        position = position.after(one)
        cash -= one.side.sign * one.units * one.price + one.fee
        units += one.side.sign * one.units
        turnover += one.units * one.price

    assert position.units == units
    assert position.realised == pytest.approx(cash + position.units * position.average_price, abs=1e-9 * turnover)


@given(fills, st.floats(1, 5_000))
def test_position_closed_at_any_price_realises_what_was_unrealised(script: list[Fill], price: float) -> None:
    position = FLAT
    for one in script:
        position = position.after(one)
    if not position.is_open:
        assert position.unrealised(price) == 0.0
        return
    side = Side.SELL if position.units > 0 else Side.BUY

    closed = position.after(fill(side, abs(position.units), price))

    assert closed.realised == pytest.approx(position.realised + position.unrealised(price), rel=1e-9, abs=1e-6)
    assert (closed.is_open, closed.average_price, closed.opened_ms) == (False, 0.0, 0)


def test_position_that_opens_remembers_when_until_it_turns() -> None:
    opened = FLAT.after(fill(Side.BUY, 2.0, 100.0, market_ms=1_000))
    added = opened.after(fill(Side.BUY, 2.0, 100.0, market_ms=2_000))
    turned = added.after(fill(Side.SELL, 5.0, 100.0, market_ms=3_000))

    assert [one.opened_ms for one in (opened, added, turned)] == [1_000, 1_000, 3_000]


def test_position_partly_closed_keeps_its_protection_and_a_turned_one_does_not() -> None:
    part = LONG.after(fill(Side.SELL, 1.0, 100.0))
    turned = LONG.after(fill(Side.SELL, 3.0, 100.0))

    assert (part.stop_loss, part.take_profit) == (95.0, 110.0)
    assert (turned.stop_loss, turned.take_profit) == (None, None)


def test_position_closed_by_thirds_leaves_no_dust() -> None:
    position = FLAT.after(fill(Side.BUY, 0.3, 100.0))
    for _ in range(3):
        position = position.after(fill(Side.SELL, 0.1, 100.0))

    assert not position.is_open


@st.composite
def _parts(draw: st.DrawFn, steps: int) -> list[int]:
    """Cut a number of steps into parts, each at least one step."""
    cuts = sorted(draw(st.sets(st.integers(1, steps - 1), max_size=12))) if steps > 1 else []
    return [end - begin for begin, end in zip([0, *cuts], [*cuts, steps], strict=True)]


@st.composite
def _round_trips(draw: st.DrawFn) -> tuple[list[float], list[float], float]:
    """Return the parts of an entry, other parts of its exit, and the step: up to 1e9 units, or 15 digits."""
    exponent = draw(st.integers(-8, 3))
    steps = draw(st.integers(1, 10 ** min(15, 9 - exponent)))
    step = Decimal(1).scaleb(exponent)
    entry, leaving = ([float(part * step) for part in draw(_parts(steps))] for _ in range(2))
    return entry, leaving, float(step)


@given(_round_trips(), st.sampled_from(Side))
@example(([12_000_000.0], [153_779.8, 4_394_967.3, 2_812_162.1, 3_220_769.1, 1_418_321.7], 0.1), Side.BUY)
@example(([0.1, 0.2], [0.3], 0.1), Side.SELL)
@example(([1e-8], [1e-8], 1e-8), Side.BUY)
def test_position_filled_and_closed_in_any_parts_is_flat_at_the_last_and_never_before(
    trip: tuple[list[float], list[float], float], side: Side
) -> None:
    entry, leaving, step = trip
    fold = PositionFold("XAUUSD", "ema")
    for part in entry:
        fold.add(fill(side, part, 100.0))
    for part in leaving[:-1]:
        fold.add(fill(side.opposite, part, 100.0))
        assert abs(fold.position.units) >= step

    assert not fold.add(fill(side.opposite, leaving[-1], 100.0)).is_open


def test_position_closed_in_parts_that_no_decimal_has_is_flat_by_the_size_of_its_order() -> None:
    fold = PositionFold("XAUUSD", "ema")
    fold.add(fill(Side.BUY, 123_456_789.123_456_78, 100.0))
    parts = [123_456_789.123_456_78 / 7] * 7
    for part in parts:
        fold.add(Fill(1, "f", "the-exit", "XAUUSD", "ema", Leg.EXIT, Side.SELL, part, 100.0, 0.0, 60_000))

    assert not fold.position.is_open


def test_position_of_one_smallest_step_is_open() -> None:
    assert FLAT.after(fill(Side.BUY, 1e-8, 100_000.0)).is_open
    rest = FLAT.after(fill(Side.BUY, 20_000.0, 100.0)).after(fill(Side.SELL, 19_999.999_999_99, 100.0))
    assert rest.units == 1e-8
