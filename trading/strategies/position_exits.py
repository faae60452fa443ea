"""The form of an exit rule that looks at the open position; docs/reference/exits.md has a whole one.

`Strategy.signals` does not see the position, so that one call may answer for a whole history. A rule that needs it
is asked once for each candle while a position is open.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.orders.orders import Side


class PositionView(Struct, frozen=True):
    """What a rule may know of the position.

    Attributes:
        side: BUY when it is long.
        units: Above zero.
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
    """End the position."""

    reason: str


class MoveStop(Struct, frozen=True):
    """Let the stop rest at another price, in quote currency."""

    stop_loss: float
    reason: str


@runtime_checkable
class PositionRule(Protocol):
    """A strategy that also decides on exits by the open position."""

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        """Return what to do with the position after a candle, None to leave it.

        A pure function: the same row and position give the same answer. Where `signals` says something of the same
        candle that may change the position, that goes first, and this is not asked.

        Args:
            row: Of the candle: `open_ms`, `open`, `high`, `low`, `close`, and the columns of `indicators`.
        """
        ...
