"""A signal: what a strategy decided at the close of one candle."""

from enum import StrEnum

from pydantic import Field

from trading.formatting import format_price
from trading.structs import Frozen


class SignalSide(StrEnum):
    """What a strategy asks for."""

    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"


class Refusal(Frozen):
    """Which rule forbids something, and why, with the numbers."""

    rule: str
    reason: str


class Signal(Frozen):
    """What a strategy said at the close of one candle.

    Attributes:
        open_ms: Open time of that candle.
        price: Its close, in quote currency.
        stop_loss: Price at which the position must end; None for no stop.
        take_profit: Price at which to take the profit; None for no target.
        size_units: Size the strategy asks for; None leaves it to the risk settings.
        entry_refused: Why it may open nothing; it may still end a position that is open the other way.
    """

    strategy: str
    open_ms: int
    side: SignalSide
    price: float = Field(gt=0)
    stop_loss: float | None = Field(default=None, gt=0)
    take_profit: float | None = Field(default=None, gt=0)
    size_units: float | None = Field(default=None, gt=0)
    reason: str
    entry_refused: Refusal | None = None

    @property
    def words(self) -> str:
        """The signal as a person reads it."""
        return signal_words(self.side, self.price, self.reason)


def signal_words(side: str, price: float, reason: str) -> str:
    """Return a signal as a person reads it."""
    return f"{side} at {format_price(price)}: {reason}"
