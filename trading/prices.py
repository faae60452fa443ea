"""Prices in words."""


def shown(price: float | None) -> str:
    """Return a price for a message, with ten digits."""
    return "none" if price is None else f"{price:.10g}"
