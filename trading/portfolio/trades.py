"""Closed trades: the result of a position from flat to flat."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from trading.orders.orders import Fill, Leg, Side
from trading.tolerance import net_units


class ClosedTrade(Struct, frozen=True):
    """A position that was opened and closed.

    Attributes:
        side: Side of its entry.
        leg: Leg of the fill that closed it.
        closed_ms: Market time of that fill: the open time of its candle, milliseconds since the epoch, UTC.
        profit: Realised profit after fees, in quote currency.
        cost: Value of the closed units at their entry prices, in quote currency.
    """

    symbol: str
    strategy: str
    side: Side
    leg: Leg
    closed_ms: int
    profit: float
    cost: float

    @property
    def profit_ratio(self) -> float:
        """Profit as a fraction of the cost, 0.01 for 1 %."""
        return self.profit / self.cost if self.cost > 0 else 0.0

    @property
    def is_stopped(self) -> bool:
        return self.leg is Leg.STOP_LOSS


TradesSince = Callable[[int, str | None], Sequence[ClosedTrade]]
"""Take a market time in ms and a symbol (None for all); return the trades closed after it, in order of closing."""


def no_trades(since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
    """Return no trades, for a snapshot that was not read from a ledger."""
    return ()


def in_order(trades: list[ClosedTrade]) -> list[ClosedTrade]:
    """Sort trades by closing time, identically for every ledger."""
    return sorted(trades, key=lambda one: (one.closed_ms, one.symbol, one.strategy))


class TradeFold:
    """Build trades from the fills of one strategy on one symbol, in sequence order.

    Args:
        units: Units held before the first fill; their cost follows from the profit that their exits realise.
    """

    def __init__(self, units: float = 0.0) -> None:
        self._units = units
        self._largest = abs(units)
        self._profit = self._cost = 0.0

    def add(self, fill: Fill, realised: float) -> ClosedTrade | None:
        """Add a fill with the profit it realised, and return the trade that it closed.

        A fill that reverses the position closes a trade and opens the next; its fee counts for the closed one.
        """
        signed, held = fill.side.sign * fill.units, self._units
        self._profit += realised
        self._units = net_units(held, signed, gross=self._largest)
        self._largest = max(self._largest, abs(self._units)) if self._units * held > 0 else abs(self._units)
        if held * signed >= 0:
            return None
        closed = min(abs(signed), abs(held))
        gained = realised + fill.fee
        self._cost += closed * fill.price - (gained if held > 0 else -gained)
        if self._units * held > 0:
            return None
        side = Side.BUY if held > 0 else Side.SELL
        trade = ClosedTrade(fill.symbol, fill.strategy, side, fill.leg, fill.market_ms, self._profit, self._cost)
        self._profit = self._cost = 0.0
        return trade
