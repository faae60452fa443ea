"""The costs of fills, as known before an order is sent."""

import math
from typing import Literal

from msgspec import Struct

from trading.orders.orders import Side


class FillTerms(Struct, frozen=True):
    """Costs of a fill, and the time at which a market order fills.

    Attributes:
        fill_at: `next_open`: at the open of the first candle that opens at or after `decided_ms`. `close`: at once, at
            the close of the decided candle. Its market time is then `decided_ms - 1`, the last millisecond of that
            candle, because an order does not contain its candle's open time.
        spread: Full distance from bid to ask, in quote currency; market and stop fills pay half of it.
        slippage: Additional cost of market and stop fills, in quote currency.
        commission_bps: Fee of every fill, in 1/10,000 of its value.
        symbol: Symbol of the fills, for error messages; empty if unknown.
        allow_non_positive: A fill may have a price that is zero or negative.
    """

    fill_at: Literal["next_open", "close"] = "next_open"
    spread: float = 0.0
    slippage: float = 0.0
    commission_bps: float = 0.0
    symbol: str = ""
    allow_non_positive: bool = False

    def __post_init__(self) -> None:
        if not (self.spread >= 0 and self.slippage >= 0 and self.commission_bps >= 0):
            raise ValueError(f"spread, slippage and commission_bps must not be negative: {self}")

    def taken(self, side: Side, price: float) -> float:
        """Return the price at which a market or stop order fills when the candle shows `price`."""
        return price + side.sign * (self.spread / 2 + self.slippage)

    def fee(self, units: float, price: float) -> float:
        return units * abs(price) * self.commission_bps / 10_000

    def is_possible(self, price: float) -> bool:
        """Return whether a fill may have this price."""
        return math.isfinite(price) and (price > 0 or self.allow_non_positive)

    @property
    def price_cost(self) -> float:
        """Spread and slippage of an entry and a stop fill together, per unit, in quote currency."""
        return self.spread + 2 * self.slippage

    def round_trip(self, entry_price: float, exit_price: float) -> float:
        """Return all known costs of an entry and a stop fill, per unit, in quote currency."""
        return self.price_cost + self.fee(1.0, abs(entry_price)) + self.fee(1.0, abs(exit_price))
