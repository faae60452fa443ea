"""Fees of an order, by its units, by its value and for itself, with a minimum; and sizes with them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.orders.amounts import AmountOfUnits
from trading.orders.fill_terms import FillTerms

FEES = ("commission_bps", "commission_per_unit", "commission_per_order", "min_commission")


@pytest.mark.parametrize(
    ("terms", "units", "fee"),
    [
        (FillTerms(), 100.0, 0.0),
        (FillTerms(commission_bps=10), 100.0, 5.0),
        (FillTerms(commission_per_unit=0.005), 100.0, 0.5),
        (FillTerms(commission_per_order=4.95), 100.0, 4.95),
        (FillTerms(commission_per_unit=0.005, min_commission=1.0), 100.0, 1.0),
        (FillTerms(commission_per_unit=0.005, min_commission=1.0), 300.0, 1.5),
        (FillTerms(commission_bps=10, commission_per_unit=0.005, commission_per_order=2.0), 100.0, 7.5),
        (FillTerms(commission_bps=10, commission_per_order=2.0, min_commission=8.0), 100.0, 8.0),
    ],
)
def test_fee_of_an_order_is_the_sum_of_its_parts_and_at_least_the_minimum(
    terms: FillTerms, units: float, fee: float
) -> None:
    assert terms.fee(units, 50.0) == pytest.approx(fee, rel=1e-15)
    assert terms.fee(units, -50.0) == terms.fee(units, 50.0)
    assert terms.has_commission == (fee > 0)


@pytest.mark.parametrize("field", FEES)
@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_fee_that_is_negative_or_nan_is_rejected(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        FillTerms(**{field: bad})  # type: ignore[arg-type]  # the field is one of numbers


@given(
    st.builds(FillTerms, spread=st.just(0.2), slippage=st.just(0.05), **{name: st.floats(0, 20) for name in FEES}),
    st.floats(0.01, 1e4),
    st.floats(0.001, 0.5),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_loss_at_the_stop_is_that_of_two_fills_and_bounds_the_size(
    terms: FillTerms, price: float, distance: float, units: float, budget: float
) -> None:
    stop = price * (1 - distance)
    loss = terms.stopped_loss(price, stop)

    two_fills = units * (price - stop + terms.price_cost) + terms.fee(units, price) + terms.fee(units, stop)
    assert loss.of(units) == pytest.approx(two_fills, rel=1e-9)

    most = loss.most_units(budget)
    assert loss.of(most) <= budget * (1 + 1e-9) or most == 0.0
    assert loss.of(most * 1.001 + 0.001) > budget


def test_amount_below_the_fixed_part_buys_nothing() -> None:
    assert AmountOfUnits(((5.0, 1.0),)).most_units(4.99) == 0.0
    assert AmountOfUnits(((5.0, 1.0),)).most_units(7.0) == 2.0
    assert AmountOfUnits(((0.0, 2.0), (5.0, 1.0))).most_units(8.0) == 3.0
