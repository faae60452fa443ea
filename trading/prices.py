"""Prices and sizes in words."""

from decimal import Decimal


def shown(number: float | None) -> str:
    """Return a price or a size for a message, with ten digits: six, which is usual, would round 109234.56."""
    if number is None:
        return "none"
    text = f"{number:.10g}"
    return f"{Decimal(text):f}" if "e" in text else text
