"""The size of an entry as a part of the account's equity, at a price that may be known only when it fills."""

from msgspec import Struct

from trading.orders.amounts import AmountOfUnits
from trading.rounding import round_down


class EquitySize(Struct, frozen=True):
    """The part of the equity that an entry invests, and the bounds of its size.

    Attributes:
        fraction: Part of the equity that the value of the entry and its fee may reach; 1.0 for all of it.
        equity: Equity of the account without the position that the same decision closes, in quote currency.
        exit_profit: Profit of that exit at the decision price, after costs, in quote currency; 0.0 without an exit. The
            equity to invest is the sum of both, at the fill with the profit that the exit has made.
        unit_step: Sizes are rounded down to a whole multiple of this step, in units.
        min_units: Smallest size that is traded, in units.
        max_units: Largest size, in units; None for no limit.
        max_value: Largest value with the fee, in quote currency; None where only the equity limits it.
    """

    fraction: float
    equity: float
    exit_profit: float = 0.0
    unit_step: float = 1e-8
    min_units: float = 0.0
    max_units: float | None = None
    max_value: float | None = None

    def value(self, exit_profit: float | None = None) -> float:
        """Return the value that the entry and its fee may reach, in quote currency.

        Args:
            exit_profit: Profit that the exit of the same decision has made, after costs; None if it is not known.
        """
        equity = self.equity + (self.exit_profit if exit_profit is None else exit_profit)
        value = self.fraction * max(0.0, equity)
        return value if self.max_value is None else min(value, self.max_value)

    def units(self, entry_value: AmountOfUnits, exit_profit: float | None = None) -> float:
        """Return the size, 0.0 where it is below the smallest one that is traded.

        Args:
            entry_value: Value and fee of the entry at its price.
            exit_profit: As for `value`.
        """
        units = entry_value.most_units(self.value(exit_profit))
        units = round_down(units if self.max_units is None else min(units, self.max_units), self.unit_step)
        return units if units >= self.min_units else 0.0
