"""Format prices, units, money and market times: exact in messages, aligned in the columns of tables and reports."""

from datetime import UTC, datetime
from decimal import Decimal

NONE = "-"
"""Text of a cell without a value."""

_MINUTE_MS = 60_000
_SMALL = 100
"""Prices below this get five decimals in a column, others two."""
_TINY = 0.1
"""Prices below this get five digits after their zeros: 4.2e-7 is 0.00000042."""
MONEY_DECIMALS = 2
"""Decimals of money where no currency is known."""


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters and, if it was longer, its length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def format_price(price: float | None) -> str:
    """Format a price for a message with ten digits; the usual six would round 109234.56."""
    if price is None:
        return "none"
    text = f"{price:.10g}"
    return f"{Decimal(text):f}" if "e" in text else text


def format_units(units: float | None) -> str:
    """Format a number of units for a message with ten digits."""
    return format_price(units)


def format_exit(exit_code: int) -> str:
    """Format the end of a process: its exit code, or the signal behind a negative one."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def format_time(at_ms: int | None) -> str:
    """Format milliseconds since the epoch as date and time, UTC; a number that is no valid date stays a number.

    None and 0 are no times: stores and messages hold 0 where nothing has happened yet.
    """
    if not at_ms:
        return "an unknown time"
    if at_ms % _MINUTE_MS == 0:
        return _format(at_ms, "%Y-%m-%d %H:%M UTC")
    return _format(at_ms, "%Y-%m-%d %H:%M:%S UTC")


def format_minute(at_ms: int | None) -> str:
    """Format a market time, UTC, to the minute, for a column; None and 0 are no times."""
    return _format(at_ms, "%Y-%m-%d %H:%M") if at_ms else NONE


def format_second(at_ms: int | None) -> str:
    """Format a time, UTC, to the second, for a column; None and 0 are no times."""
    return _format(at_ms, "%Y-%m-%d %H:%M:%S") if at_ms else NONE


def format_price_cell(price: float | None) -> str:
    """Format a price in quote currency for a column; small prices keep more digits."""
    if price is None:
        return NONE
    if 0 < abs(price) < _TINY:
        return max(f"{price:.5f}", f"{Decimal(f'{price:.5g}'):f}", key=len)
    return f"{price:,.2f}" if abs(price) >= _SMALL else f"{price:,.5f}"


def format_units_cell(units: float | None) -> str:
    """Format a number of units for a column."""
    return NONE if units is None else format_units(units)


def format_money(amount: float | None, decimals: int = MONEY_DECIMALS) -> str:
    """Format an amount of money with the decimals of its currency."""
    return NONE if amount is None else _without_sign_of_zero(f"{amount:,.{decimals}f}")


def format_profit(amount: float | None, decimals: int = MONEY_DECIMALS) -> str:
    """Format an amount of money with the decimals of its currency and its sign; zero has no sign."""
    return NONE if amount is None else _without_sign_of_zero(f"{amount:+,.{decimals}f}")


def _without_sign_of_zero(text: str) -> str:
    return text.lstrip("+-") if not text.strip("+-0.") else text


def _format(at_ms: int, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(pattern)
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms since the epoch"
