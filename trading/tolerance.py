"""Numeric tolerance: units are added as decimals, and rounding is judged by the size or by the unit step.

Quantities are float64, and sums of float64 round in their last bits: 0.1 + 0.2 is not 0.3, and the parts of 12 million
units can miss their sum by more than the smallest step that a venue trades. A number of units is a decimal, a multiple
of some step. `add_units` therefore adds the decimals that the floats stand for, which is exact up to 15 digits: 10
million units in steps of 1e-8. No tolerance here is absolute, and each predicate is false for NaN.
"""

import math
from collections.abc import Iterable
from decimal import Decimal

TOLERANCE = 1e-9
"""Relative, for prices and for limits of money."""

ROUNDING = 5e-16
"""Relative, for sums of units that this system added: half a step of the largest number with 15 digits."""

FOREIGN_ROUNDING = 1e-12
"""Relative, for sums of units that a venue or a database added in float64: some thousand additions."""

STEP_PART = 1e-3
"""Part of a unit step below which a difference to a venue's number is rounding, as no order can have that size."""

_FIRST_ROUNDED = 2.0**53
"""Whole numbers from here on are rounded, and the sum of two of them is not that of their decimals."""

FRACTION_TOLERANCE = 1e-12
"""For sums of a few profits as fractions of the amount paid, which have no unit: relative to 1."""


def add_units(one: float, other: float) -> float:
    """Return the sum of two numbers of units as decimals: 0.1 + 0.2 is 0.3."""
    total = one + other
    if abs(one) < _FIRST_ROUNDED > abs(other) and one % 1 == 0 == other % 1:
        return total
    return float(Decimal(str(one)) + Decimal(str(other))) if math.isfinite(total) else total


def total_units(units: Iterable[float]) -> float:
    """Return the sum of numbers of units as decimals; 0.0 where only rounding is left of them."""
    total = gross = 0.0
    for one in units:
        gross = max(gross, abs(one))
        total = net_units(total, one, gross=gross)
    return total


def net_units(held: float, signed: float, *, gross: float = 0.0) -> float:
    """Return a position after `signed` more units; 0.0 where only rounding is left of it.

    Args:
        gross: The largest number of units that is known to be part of the sum, positive.
    """
    left = add_units(held, signed)
    return 0.0 if abs(left) <= ROUNDING * max(abs(held), abs(signed), gross) else left


def is_filled(filled: float, units: float) -> bool:
    """Return whether the sum of the fills reaches `units`, which is positive."""
    return filled >= units * (1 - ROUNDING)


def is_overfilled(filled: float, units: float) -> bool:
    """Return whether the sum of the fills is more than `units`, which is positive."""
    return filled > units * (1 + ROUNDING)


def is_same_units(one: float, other: float, *, step: float = 0.0) -> bool:
    """Return whether two numbers of units, one of them a venue's, differ by rounding only.

    Args:
        step: The unit step of the symbol; 0.0 where it is not known.
    """
    return abs(one - other) <= max(STEP_PART * step, FOREIGN_ROUNDING * max(abs(one), abs(other)))


def is_same_price(one: float, other: float) -> bool:
    """Return whether two prices differ by rounding only."""
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


def is_at_least(value: float, least: float) -> bool:
    """Return whether a sum reaches `least`, which is not negative."""
    return value >= least * (1 - TOLERANCE)


def is_at_most(value: float, most: float) -> bool:
    """Return whether a sum stays within `most`, which is not negative."""
    return value <= most * (1 + TOLERANCE)


def is_below(value: float, limit: float) -> bool:
    """Return whether a sum is less than `limit`, which is not negative, by more than rounding."""
    return value < limit * (1 - TOLERANCE)
