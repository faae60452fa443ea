"""Prices and sizes in words."""


def shown(number: float | None) -> str:
    """Return a price or a size for a message, with ten digits: six, which is usual, would round 109234.56."""
    return "none" if number is None else f"{number:.10g}"
