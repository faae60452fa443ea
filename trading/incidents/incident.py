"""What a person must hear of: ledger and venue do not agree, or something happened that we did not decide."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class IncidentKind(StrEnum):
    """What is wrong."""

    POSITION_MISMATCH = "position_mismatch"
    FOREIGN_FILL = "foreign_fill"
    FOREIGN_ORDER = "foreign_order"
    ORDER_LOST = "order_lost"
    UNPROTECTED = "unprotected"
    LATE_FILL = "late_fill"
    OVERFILLED = "overfilled"
    STUCK = "stuck"
    STRAY_STOP = "stray_stop"
    UNOWNED_POSITION = "unowned_position"
    SICK = "sick"
    QUARANTINED = "quarantined"
    CLOSE_REFUSED = "close_refused"
    MAX_DRAWDOWN = "max_drawdown"

    @property
    def halts(self) -> bool:
        """Whether the symbol sends no more orders until a person has resolved it."""
        return self in _HALTING


_HALTING = frozenset(
    {
        IncidentKind.POSITION_MISMATCH,
        IncidentKind.FOREIGN_FILL,
        IncidentKind.ORDER_LOST,
        IncidentKind.OVERFILLED,
        IncidentKind.UNOWNED_POSITION,
    }
)


class Incident(Struct, frozen=True):
    """One thing that is wrong with a symbol.

    Attributes:
        key: Names it among those of its kind and symbol: while one is open it is not opened again.
        reason: What was found, with the numbers, in words a trader understands.
        details: The numbers, JSON-safe.
    """

    kind: IncidentKind
    symbol: str
    key: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
