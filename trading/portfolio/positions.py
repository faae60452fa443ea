"""Position arithmetic: what fills do to a position and to the profit that is realised."""

from dataclasses import dataclass, field

from msgspec import Struct

from trading.orders.orders import Fill
from trading.tolerance import is_zero


@dataclass(frozen=True, slots=True)
class StopMove:
    """That the stop of a position is to rest elsewhere, as it is written down; at most one for each candle.

    Attributes:
        open_ms: Open time of the candle that was decided on, milliseconds since the epoch, UTC.
        entry_id: `client_order_id` of the entry that the stop came with, or would have come with; empty where none of
            ours rests under the position.
        before: Price at which it was to rest until then, in quote currency; None where there was no stop.
        after: Price at which it is to rest from then on, in quote currency.
        reason: Why, for a person.
        refusal: Why it was not moved, by our rules or by the venue; empty when it was.
        is_current: The position is open, and `after` is where its stop is to rest now; no later move followed.
        rule: Id of the exit rule that asked for it; empty where none did.
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
    """What one strategy holds on one symbol, netted.

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
        """Return what closing at `price` would realise, before fees."""
        return self.units * (price - self.average_price)

    def after(self, fill: Fill) -> "Position":
        """Return the position after `fill`.

        The part of a fill that goes against the position realises profit; what is left of it opens a new one the other
        way. Cash plus position is conserved: `realised` changes by the profit of the closed part less the whole fee.
        """
        signed = fill.side.sign * fill.units
        if self.units * signed >= 0:
            return self._increase(signed, fill)
        closed = min(abs(signed), abs(self.units)) * (1 if self.units > 0 else -1)
        realised = self.realised + closed * (fill.price - self.average_price) - fill.fee
        left = self.units + signed
        if is_zero(left):
            return Position(self.symbol, self.strategy, realised=realised)
        if left * self.units > 0:
            return self._with(left, self.average_price, self.opened_ms, realised)
        return Position(self.symbol, self.strategy, left, fill.price, fill.market_ms, realised)

    def _increase(self, signed: float, fill: Fill) -> "Position":
        units = self.units + signed
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
