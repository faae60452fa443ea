"""One tolerance: rounding passes, anything larger does not, and NaN never does."""

import math

import pytest

from trading.tolerance import TOLERANCE, is_at_least, is_at_most, is_below, is_close, is_zero


def test_sum_that_differs_by_rounding_is_the_same_as_the_whole() -> None:
    total = sum([0.1] * 3)

    assert total != 0.3
    assert is_close(total, 0.3)
    assert is_at_least(total, 0.3)
    assert is_at_most(total, 0.3)
    assert not is_below(total, 0.3)
    assert is_zero(total - 0.3)


@pytest.mark.parametrize("whole", [1e-3, 1.0, 50_000.0])
def test_sum_that_differs_by_more_than_rounding_is_another_one(whole: float) -> None:
    more, less = whole * (1 + 3 * TOLERANCE), whole * (1 - 3 * TOLERANCE)

    assert not is_at_most(more, whole)
    assert not is_at_least(less, whole)
    assert is_below(less, whole)
    assert is_close(whole, whole + 3e-9) is (whole > 3)


def test_smallest_step_of_a_venue_is_no_rounding() -> None:
    assert not is_zero(1e-8)
    assert not is_zero(-1e-8)


def test_nan_is_within_no_limit() -> None:
    assert not is_zero(math.nan)
    assert not is_close(math.nan, math.nan)
    for check in (is_at_least, is_at_most, is_below):
        assert not check(math.nan, 1.0)
        assert not check(1.0, math.nan)
