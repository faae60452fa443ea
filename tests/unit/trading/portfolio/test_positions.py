"""Position arithmetic: what fills do, and that no money appears or disappears."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.orders.orders import Fill, Leg, Side
from trading.portfolio.positions import Position

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
