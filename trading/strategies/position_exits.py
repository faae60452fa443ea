"""Interface of exit rules that read the open position; docs/reference/exits.md has a complete example.

`Strategy.signals` does not see the position, so that one call can answer for a whole history. A rule that needs the
position is called once per candle while a position is open.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.orders.orders import Side


class PositionView(Struct, frozen=True):
    """The view of a position that a rule gets.

    Attributes:
        side: BUY when it is long.
        units: Positive.
        entry_price: Average price of the open units, in quote currency.
        opened_ms: Market time of the fill that opened it, milliseconds since the epoch, UTC.
        stop_loss: Price of the stop that rests at the venue; None for none.
        take_profit: Price of the target that rests at the venue; None for none.
    """

    side: Side
    units: float
    entry_price: float
    opened_ms: int
    stop_loss: float | None = None
    take_profit: float | None = None


class ExitNow(Struct, frozen=True):
    """Close the position."""

    reason: str


class MoveStop(Struct, frozen=True):
    """Move the stop to another price, in quote currency."""

    stop_loss: float
    reason: str


@runtime_checkable
class PositionRule(Protocol):
    """A strategy that also decides exits by the open position."""

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        """Return the action on the position after a candle, or None to keep it unchanged.

        A pure function: the same row and position give the same answer. If `signals` gives a signal at the same candle
        that may change the position, that signal takes precedence and this method is not called.

        Args:
            row: Values of the candle: `open_ms`, `open`, `high`, `low`, `close`, and the columns of `indicators`.
        """
        ...
