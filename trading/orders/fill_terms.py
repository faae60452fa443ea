"""The costs of fills, as known before an order is sent."""

import math
from typing import Literal

from msgspec import Struct

from trading.orders.amounts import AmountOfUnits
from trading.orders.equity_size import EquitySize
from trading.orders.orders import Side


class FillTerms(Struct, frozen=True):
    """Costs of a fill, and the time at which a market order fills.

    Attributes:
        fill_at: `next_open`: at the open of the first candle that opens at or after `decided_ms`. `close`: at once, at
            the close of the decided candle. Its market time is then `decided_ms - 1`, the last millisecond of that
            candle, because an order does not contain its candle's open time.
        spread: Full distance from bid to ask, in quote currency; market and stop fills pay half of it.
        slippage: Additional cost of market and stop fills, in quote currency.
        commission_bps: Part of the fee, in 1/10,000 of the value of a fill.
        commission_per_unit: Part of the fee for each unit, in quote currency.
        commission_per_order: Part of the fee for each order, in quote currency.
        min_commission: Least fee of an order, in quote currency.
        sizes_at_fill: The venue computes the size of an entry by `OrderRequest.at_fill`, at the price of its fill.
        symbol: Symbol of the fills, for error messages; empty if unknown.
        allow_non_positive: A fill may have a price that is zero or negative.
    """

    fill_at: Literal["next_open", "close"] = "next_open"
    spread: float = 0.0
    slippage: float = 0.0
    commission_bps: float = 0.0
    symbol: str = ""
    allow_non_positive: bool = False
    commission_per_unit: float = 0.0
    commission_per_order: float = 0.0
    min_commission: float = 0.0
    sizes_at_fill: bool = False

    def __post_init__(self) -> None:
        if not (self.spread >= 0 and self.slippage >= 0 and all(one >= 0 for one in self._commissions)):
            raise ValueError(f"spread, slippage and commissions must not be negative: {self}")

    def taken(self, side: Side, price: float) -> float:
        """Return the price at which a market or stop order fills when the candle shows `price`."""
        return price + side.sign * (self.spread / 2 + self.slippage)

    def fee(self, units: float, price: float) -> float:
        """Return the fee of an order that fills at once, in quote currency."""
        variable = units * self.commission_per_unit + units * abs(price) * self.commission_bps / 10_000
        return max(self.min_commission, self.commission_per_order + variable)

    def is_possible(self, price: float) -> bool:
        """Return whether a fill may have this price."""
        return math.isfinite(price) and (price > 0 or self.allow_non_positive)

    @property
    def price_cost(self) -> float:
        """Spread and slippage of an entry and a stop fill together, per unit, in quote currency."""
        return self.spread + 2 * self.slippage

    @property
    def has_commission(self) -> bool:
        return any(self._commissions)

    def stopped_loss(self, entry_price: float, stop_loss: float) -> AmountOfUnits:
        """Return the loss of an entry that a stop ends, with all known costs."""
        distance = abs(entry_price - stop_loss)
        lines = [
            (entry_fee + exit_fee, distance + (self.price_cost + entry_slope + exit_slope))
            for entry_fee, entry_slope in self._fee_lines(entry_price)
            for exit_fee, exit_slope in self._fee_lines(stop_loss)
        ]
        return AmountOfUnits(tuple(lines))

    def units_of(self, size: EquitySize, side: Side, price: float, exit_profit: float | None = None) -> float:
        """Return the units of an entry that invests a part of the equity, when the candle shows `price`.

        They are 0.0 where the price is not positive, or where they are below the smallest size that is traded.

        Args:
            exit_profit: Profit that the exit of the same decision has made, after costs; None if it is not known.
        """
        taken = self.taken(side, price)
        if not (math.isfinite(price) and min(price, taken) > 0):
            return 0.0
        worth = max(price, taken)  # limits compare the value at the price shown
        value = AmountOfUnits(tuple((fee, worth + slope) for fee, slope in self._fee_lines(taken)))
        return size.units(value, exit_profit)

    def exit_profit(self, units: float, average_price: float, price: float) -> float:
        """Return the profit of closing a position by a market order, after costs, when the candle shows `price`.

        Args:
            units: Of the position; positive when long, negative when short.
        """
        taken = self.taken(Side.SELL if units > 0 else Side.BUY, price)
        return units * (taken - average_price) - self.fee(abs(units), taken)

    def _fee_lines(self, price: float) -> tuple[tuple[float, float], ...]:
        """Return the fee of an order at a price, as `AmountOfUnits.lines`."""
        line = self.commission_per_order, self.commission_per_unit + abs(price) * self.commission_bps / 10_000
        return (line, (self.min_commission, 0.0)) if self.min_commission else (line,)

    @property
    def _commissions(self) -> tuple[float, ...]:
        return self.commission_bps, self.commission_per_unit, self.commission_per_order, self.min_commission
