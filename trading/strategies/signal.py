"""Signal: a strategy's decision at the close of one candle."""

from enum import StrEnum

from pydantic import Field

from trading.formatting import format_price
from trading.market.timeframes import Timeframe
from trading.structs import Frozen

LONGEST_REASON = 1_000
"""Characters of a strategy's reason: it goes to the ledger, the journal, the events and each table."""


class SignalSide(StrEnum):
    """The action that a strategy requests."""

    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"


class Refusal(Frozen):
    """The rule that forbids an action, and the reason, with its values."""

    rule: str
    reason: str


class Signal(Frozen):
    """A strategy's decision at the close of one candle.

    Attributes:
        open_ms: Open time of that candle.
        price: Its close, in quote currency; zero or negative only where the symbol allows such prices.
        stop_loss: Price at which the position must be closed; None for no stop.
        take_profit: Price at which to take the profit; None for no target.
        size_units: Size that the strategy requests; None leaves it to the risk settings.
        entry_refused: Reason why it may not open a position; it may still close an opposite one.
        closed_ms: End of that candle, where it is not the one of its timeframe: the next candle came earlier or later.
    """

    strategy: str
    open_ms: int
    side: SignalSide
    price: float
    stop_loss: float | None = Field(default=None, gt=0)
    take_profit: float | None = Field(default=None, gt=0)
    size_units: float | None = Field(default=None, gt=0)
    reason: str
    entry_refused: Refusal | None = None
    closed_ms: int | None = None

    def decided_ms(self, timeframe: str) -> int:
        """Return the end of its candle, at which it was decided; milliseconds since the epoch, UTC."""
        return self.closed_ms or Timeframe.parse(timeframe).close_of(self.open_ms)

    @property
    def words(self) -> str:
        """The signal, formatted for messages."""
        return signal_words(self.side, self.price, self.reason)


def signal_words(side: str, price: float, reason: str) -> str:
    """Format a signal for a message."""
    return f"{side} at {format_price(price)}: {reason}"
