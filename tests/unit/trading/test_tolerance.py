"""Units add up as decimals, and every tolerance is relative: rounding passes, a step never does, and NaN never does."""

import math
from decimal import Decimal
from functools import reduce
from operator import add

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading.tolerance import (
    TOLERANCE,
    add_units,
    is_at_least,
    is_at_most,
    is_below,
    is_filled,
    is_overfilled,
    is_same_price,
    is_same_units,
    net_units,
    total_units,
)

steps = st.integers(-8, 3).map(lambda exponent: float(Decimal(1).scaleb(exponent)))
"""1e-8 to 1e3, as a venue writes them."""


@given(steps, st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-(10**15) + 1, 10**15 - 1))
@example(1_000.0, 763, -140_737_488_354_329)  # whole numbers that a float64 rounds
def test_sum_of_multiples_of_a_step_is_the_float_of_the_exact_sum(step: float, one: int, other: int) -> None:
    exact = Decimal(str(step))
    left, right = float(one * exact), float(other * exact)

    if abs(one + other) < 10**15:
        assert add_units(left, right) == float((one + other) * exact)
        assert (net_units(left, right) == 0.0) is (one + other == 0)


def test_sum_of_parts_of_twelve_millions_is_their_decimal_sum() -> None:
    parts = [153_779.8, 4_394_967.3, 2_812_162.1, 3_220_769.1, 1_418_321.7]

    assert reduce(add, parts) != 12_000_000.0
    assert total_units(parts) == 12_000_000.0
    assert total_units([12_000_000.0, *(-part for part in reversed(parts))]) == 0.0


def test_sum_of_opposite_positions_of_any_order_is_nothing() -> None:
    assert total_units([0.3, -0.1, -0.2]) == 0.0
    assert total_units([-0.1, 0.3, -0.2]) == 0.0


def test_sum_that_is_not_finite_stays_so() -> None:
    assert add_units(math.inf, 0.1) == math.inf
    assert math.isnan(add_units(math.nan, 0.1))
    assert math.isnan(net_units(math.inf, -math.inf))


@given(steps, st.integers(1, 10**15 - 1))
def test_one_step_more_or_less_is_never_rounding(step: float, count: int) -> None:
    exact = Decimal(str(step))
    units, more, less = (float((count + by) * exact) for by in (0, 1, -1))

    assert is_filled(units, units)
    assert not is_overfilled(units, units)
    assert not is_filled(less, units)
    assert is_overfilled(more, units)


@pytest.mark.parametrize("units", [1e-8, 1.0, 12_000_000.0])
def test_number_of_a_venue_is_the_same_but_for_rounding(units: float) -> None:
    assert is_same_units(units, units * (1 + 2e-15))
    assert not is_same_units(units, units * (1 + 1e-9))
    assert not is_same_units(units, 0.0)


def test_number_of_a_venue_is_the_same_within_a_thousandth_of_the_step() -> None:
    rest_of_millions = 0.1 + 1.9e-9

    assert not is_same_units(rest_of_millions, 0.1)
    assert is_same_units(rest_of_millions, 0.1, step=0.1)
    assert is_same_units(1.9e-9, 0.0, step=0.1)
    assert not is_same_units(1e-8, 0.0, step=1e-8)
    assert not is_same_units(100.0, 101.0, step=1.0)


def test_prices_are_the_same_by_their_own_size() -> None:
    assert is_same_price(109_234.56, 109_234.56 + 1e-10)
    assert not is_same_price(109_234.56, 109_234.57)
    assert not is_same_price(4.2e-7, 4.21e-7)  # one tick of a small price


@pytest.mark.parametrize("whole", [1e-12, 1e-3, 1.0, 50_000.0])
def test_sum_that_differs_by_more_than_rounding_is_another_one(whole: float) -> None:
    more, less = whole * (1 + 3 * TOLERANCE), whole * (1 - 3 * TOLERANCE)

    assert is_at_least(whole * 0.1 * 3 / 0.3, whole)
    assert not is_at_most(more, whole)
    assert not is_at_least(less, whole)
    assert is_below(less, whole)


def test_nan_is_within_no_limit() -> None:
    assert not is_same_units(math.nan, math.nan)
    assert not is_same_price(math.nan, math.nan)
    for check in (is_at_least, is_at_most, is_below, is_filled, is_overfilled):
        assert not check(math.nan, 1.0)
        assert not check(1.0, math.nan)
