"""Prices, units, money and market times as text."""

import math

import pytest

from trading.formatting import (
    format_minute,
    format_money,
    format_price,
    format_price_cell,
    format_profit,
    format_second,
    format_time,
    format_units,
    format_units_cell,
)

NOON_MS = 1_772_452_800_000
"""2026-03-02T12:00Z"""


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
def test_number_in_a_message_has_ten_digits_and_no_exponent(number: float | None, text: str) -> None:
    assert format_price(number) == format_units(number) == text


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (NOON_MS, "2026-03-02 12:00 UTC"),
        (NOON_MS + 1_500, "2026-03-02 12:00:01 UTC"),
        (0, "an unknown time"),
        (10**20, "100000000000000000000 ms since the epoch"),
    ],
)
def test_time_in_a_message_has_seconds_where_it_is_between_minutes(at_ms: int, text: str) -> None:
    assert format_time(at_ms) == text


def test_time_in_a_column_has_one_width() -> None:
    assert format_minute(NOON_MS + 1_500) == "2026-03-02 12:00"
    assert format_second(NOON_MS) == "2026-03-02 12:00:00"
    for nothing in (None, 0):
        assert format_minute(nothing) == format_second(nothing) == "-"
        assert format_time(nothing) == "an unknown time"
    assert format_minute(10**20) == "100000000000000000000 ms since the epoch"


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (None, "-"),
        (2651.374, "2,651.37"),
        (99.5, "99.50000"),
        (-0.00012, "-0.00012"),
        (4.2e-7, "0.00000042"),
        (0.0516321, "0.051632"),
        (0.05, "0.05000"),
        (0.0, "0.00000"),
    ],
)
def test_price_in_a_column_keeps_the_digits_that_matter(price: float | None, text: str) -> None:
    assert format_price_cell(price) == text


@pytest.mark.parametrize(("units", "text"), [(None, "-"), (2.0, "2"), (0.00001, "0.00001"), (1234567.5, "1234567.5")])
def test_units_in_a_column_are_exact(units: float | None, text: str) -> None:
    assert format_units_cell(units) == text


@pytest.mark.parametrize(
    ("amount", "money", "profit"),
    [
        (None, "-", "-"),
        (0.0, "0.00", "0.00"),
        (-0.001, "0.00", "0.00"),
        (0.001, "0.00", "0.00"),
        (1234.5, "1,234.50", "+1,234.50"),
        (-12.5, "-12.50", "-12.50"),
    ],
)
def test_amount_of_zero_has_no_sign(amount: float | None, money: str, profit: str) -> None:
    assert (format_money(amount), format_profit(amount)) == (money, profit)


@pytest.mark.parametrize(
    ("decimals", "money", "profit"), [(8, "0.05182220", "+0.05182220"), (2, "0.05", "+0.05"), (0, "0", "0")]
)
def test_amount_has_the_decimals_of_its_currency(decimals: int, money: str, profit: str) -> None:
    assert format_money(0.0518222, decimals) == money
    assert format_profit(0.0518222, decimals) == profit
