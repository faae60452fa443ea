"""Prices in words."""

import math

import pytest

from trading.prices import shown


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "none"),
        (109234.56, "109234.56"),
        (0.1 + 0.2, "0.3"),
        (2000.0, "2000"),
        (1e-5, "0.00001"),
        (1.25e-8, "0.0000000125"),
        (-3e12, "-3000000000000"),
        (1 / 3, "0.3333333333"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_number_is_told_with_ten_digits_and_without_an_exponent(number: float | None, text: str) -> None:
    assert shown(number) == text
