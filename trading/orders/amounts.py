"""Amounts of money that grow with the size of an order."""

from msgspec import Struct


class AmountOfUnits(Struct, frozen=True):
    """An amount of money that grows with the size of an order: the highest of some straight lines.

    Attributes:
        lines: Of each line the amount for 0 units, and the amount for each unit, in quote currency; not negative.
    """

    lines: tuple[tuple[float, float], ...]

    def of(self, units: float) -> float:
        return max(fixed + units * slope for fixed, slope in self.lines)

    def most_units(self, amount: float) -> float:
        """Return the largest size whose amount is at most `amount`, 0.0 if there is none; each line must grow."""
        return max(0.0, min((amount - fixed) / slope for fixed, slope in self.lines))


NO_LOSS = AmountOfUnits(((0.0, 0.0),))
"""Of an entry without a stop."""
