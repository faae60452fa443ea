"""Numeric tolerance: one limit for float rounding in units, prices and money.

Quantities are float64, and sums of fills, profits and risks round in their last bits: 0.1 + 0.2 is not 0.3. A million
additions lose less than a thousandth of `TOLERANCE`. The smallest step that a venue trades (1e-8 units) is ten times
larger, so the tolerance hides rounding only. Each predicate is false for NaN.
"""

TOLERANCE = 1e-9
"""Relative for limits and sums, absolute for the rest of a position."""

FRACTION_TOLERANCE = 1e-12
"""Absolute, for sums of a few fractions, such as profits of single trades, each far below 1."""


def is_zero(units: float) -> bool:
    """Return whether units are only the rounding error of a sum and not a position."""
    return abs(units) < TOLERANCE


def is_close(one: float, other: float) -> bool:
    """Return whether two sums of units, or two prices, differ by rounding only."""
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other))


def is_at_least(value: float, least: float) -> bool:
    """Return whether a sum reaches `least`, which is not negative."""
    return value >= least * (1 - TOLERANCE)


def is_at_most(value: float, most: float) -> bool:
    """Return whether a sum stays within `most`, which is not negative."""
    return value <= most * (1 + TOLERANCE)


def is_below(value: float, limit: float) -> bool:
    """Return whether a sum is less than `limit`, which is not negative, by more than rounding."""
    return value < limit * (1 - TOLERANCE)
