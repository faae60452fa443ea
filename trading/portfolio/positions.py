"""Position arithmetic: the effect of fills on a position and its realised profit."""

from dataclasses import dataclass, field

from msgspec import Struct

from trading.orders.orders import Fill
from trading.tolerance import add_units, net_units


@dataclass(frozen=True, slots=True)
class StopMove:
    """A recorded move of a position's stop; at most one per candle.

    Attributes:
        open_ms: Open time of the decided candle, milliseconds since the epoch, UTC.
        entry_id: `client_order_id` of the entry whose stop this is; empty if the position has no entry of this system.
        before: Previous stop price, in quote currency; None without a stop.
        after: New stop price, in quote currency.
        reason: Explanation for an operator.
        refusal: Reason why the move was rejected, by a rule or by the venue; empty if the stop was moved.
        is_current: The position is open, and `after` is the present stop price; no later move followed.
        rule: Id of the exit rule that requested it; empty for none.
    """

    symbol: str
    strategy: str
    open_ms: int
    entry_id: str
    before: float | None
    after: float
    reason: str
    refusal: str = ""
    is_current: bool = field(default=True, compare=False)
    rule: str = ""


class Position(Struct, frozen=True):
    """The net position of one strategy on one symbol.

    Attributes:
        units: Positive when long, negative when short, 0.0 when flat.
        average_price: Average entry price of the open units, in quote currency; 0.0 when flat.
        opened_ms: Market time of the fill that opened it; 0 when flat.
        realised: Profit realised so far, in quote currency, after fees.
        stop_loss: Price of the stop that the venue holds; None for none.
        take_profit: Price of the target that the venue holds; None for none.
    """

    symbol: str
    strategy: str
    units: float = 0.0
    average_price: float = 0.0
    opened_ms: int = 0
    realised: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None

    @property
    def is_open(self) -> bool:
        return self.units != 0.0

    def unrealised(self, price: float) -> float:
        """Return the profit of closing at `price`, before fees."""
        return self.units * (price - self.average_price)

    def after(self, fill: Fill, *, gross: float = 0.0) -> "Position":
        """Return the position after `fill`.

        The part of a fill that reduces the position realises profit; any excess opens an opposite position. Cash plus
        position is conserved: `realised` changes by the profit of the closed part less the whole fee.

        Args:
            gross: Units of the order that are filled so far. What is left of a position is rounding by this measure,
                because the last of many fills may be far smaller than the position was.
        """
        signed = fill.side.sign * fill.units
        if self.units * signed >= 0:
            return self._increase(signed, fill)
        closed = min(abs(signed), abs(self.units)) * (1 if self.units > 0 else -1)
        realised = self.realised + closed * (fill.price - self.average_price) - fill.fee
        left = net_units(self.units, signed, gross=gross)
        if not left:
            return Position(self.symbol, self.strategy, realised=realised)
        if left * self.units > 0:
            return self._with(left, self.average_price, self.opened_ms, realised)
        return Position(self.symbol, self.strategy, left, fill.price, fill.market_ms, realised)

    def _increase(self, signed: float, fill: Fill) -> "Position":
        units = add_units(self.units, signed)
        average = (self.units * self.average_price + signed * fill.price) / units
        opened_ms = self.opened_ms if self.is_open else fill.market_ms
        return self._with(units, average, opened_ms, self.realised - fill.fee)

    def _with(self, units: float, average_price: float, opened_ms: int, realised: float) -> "Position":
        return Position(
            self.symbol,
            self.strategy,
            units,
            average_price,
            opened_ms,
            realised,
            self.stop_loss,
            self.take_profit,
        )


class PositionFold:
    """Build the position of one strategy on one symbol from all of its fills, in sequence order.

    Attributes:
        position: The position after the last fill.
    """

    def __init__(self, symbol: str, strategy: str) -> None:
        self.position = Position(symbol, strategy)
        self._filled: dict[str, float] = {}

    def add(self, fill: Fill) -> Position:
        """Add a fill, and return the position after it."""
        filled = self._filled[fill.client_order_id] = add_units(self._filled.get(fill.client_order_id, 0.0), fill.units)
        self.position = self.position.after(fill, gross=filled)
        return self.position
