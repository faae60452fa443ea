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
    EXIT_FAILED = "exit_failed"
    MAX_DRAWDOWN = "max_drawdown"
    MESSAGE_REJECTED = "message_rejected"

    @property
    def halts(self) -> bool:
        """Whether the symbol sends no more orders until an operator has resolved the incident."""
        return self in _HALTING

    @property
    def ends_with_position(self) -> bool:
        """Whether the incident resolves itself once the position is closed; its key is the strategy."""
        return self in OF_POSITION


_HALTING = frozenset(
    {
        IncidentKind.POSITION_MISMATCH,
        IncidentKind.FOREIGN_FILL,
        IncidentKind.ORDER_LOST,
        IncidentKind.OVERFILLED,
        IncidentKind.UNOWNED_POSITION,
    }
)

OF_POSITION = frozenset({IncidentKind.CLOSE_REFUSED, IncidentKind.EXIT_FAILED, IncidentKind.UNPROTECTED})
"""Incidents of one open position, whose key is its strategy."""

IS_CLOSED = "the position was closed since"
"""The resolution of an incident that ended with its position."""


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
