"""Incident: a condition that needs an operator, such as a difference between ledger and venue."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class IncidentKind(StrEnum):
    """Kinds of incidents; the values are stored."""

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
        """Whether the symbol sends no more orders until an operator has resolved the incident."""
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
    """One problem of a symbol.

    Attributes:
        key: Identifies it among incidents of its kind and symbol: while one is open, no second one is opened.
        reason: Description of the observation, with its values.
        details: The values, JSON-safe.
    """

    kind: IncidentKind
    symbol: str
    key: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
