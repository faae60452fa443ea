"""Trading state: the one policy for paused, stopped, halted and quarantined symbols and for a drawdown.

Code that fetches, decides, sends or moves a stop calls `permissions`; none of it interprets a state itself.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct

from trading.lifecycle import DesiredState, PositionPolicy


class TradingState(StrEnum):
    """ACTIVE: everything is allowed. REDUCING: exits and stop moves, no entries. HALTED: nothing is sent."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class Processing(IntEnum):
    """Processing of a symbol's candles; if two levels apply, the lower one wins.

    NOTHING: candles are not fetched. FLATTEN: as PROTECT, then the open position is closed. PROTECT: the venue sees the
    candles and its fills are booked; neither strategy nor exit rules run. FULL: all four services run.
    """

    NOTHING = 0
    FLATTEN = 1
    PROTECT = 2
    FULL = 3


class Cause(StrEnum):
    """The cause of a restriction; its value is the rule id that is stored with a decision.

    STOPPED, PAUSED: requested by an operator. INCIDENT: an open incident halts the symbol. QUARANTINED: by the health
    check. UNPROTECTED: a position of the symbol has a stop in the ledger that the venue does not hold. DRAWDOWN: the
    account reached `max_drawdown`, and no operator has cleared it.
    """

    STOPPED = "stopped"
    INCIDENT = "halted"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    UNPROTECTED = "unprotected"
    DRAWDOWN = "drawdown_latch"


class Restriction(Struct, frozen=True):
    """One cause that applies.

    Attributes:
        detail: Reason of the incident that caused it, if there is one and it was read; else empty.
        policy: Position policy of a quarantine; None for any other cause.
    """

    cause: Cause
    detail: str = ""
    policy: PositionPolicy | None = None

    @property
    def rule(self) -> str:
        return self.cause.value


class Permissions(Struct, frozen=True):
    """Actions that a symbol's state allows now.

    Attributes:
        stop_moves: The stop of an open position may be moved.
        restrictions: All causes that apply, in the requested order; empty while the state is ACTIVE.
    """

    state: TradingState
    entries: bool
    exits: bool
    stop_moves: bool
    processing: Processing
    restrictions: tuple[Restriction, ...] = ()

    @property
    def why_no_entries(self) -> Restriction | None:
        """The first cause that forbids entries; None if they are allowed."""
        return self._first(lambda row: not row.entries)

    @property
    def why_no_exits(self) -> Restriction | None:
        """The first cause that forbids exits; None if they are allowed."""
        return self._first(lambda row: not row.exits)

    @property
    def why_no_stop_moves(self) -> Restriction | None:
        """The first cause that forbids stop moves; None if they are allowed."""
        return self._first(lambda row: not row.stop_moves)

    def _first(self, is_against: Callable[["_Row"], bool]) -> Restriction | None:
        for one in self.restrictions:
            if is_against(_TABLE[one.cause, one.policy]):
                return one
        return None


class _Row(NamedTuple):
    state: TradingState
    entries: bool
    exits: bool
    stop_moves: bool
    processing: Processing


# fmt: off
_TABLE: Mapping[tuple[Cause, PositionPolicy | None], _Row] = {
    #                                     state                   entries exits  stop moves  processing
    (Cause.STOPPED,     None):      _Row(TradingState.HALTED,    False,  False, False,      Processing.NOTHING),
    (Cause.INCIDENT,    None):      _Row(TradingState.HALTED,    False,  False, False,      Processing.FULL),
    (Cause.PAUSED,      None):      _Row(TradingState.REDUCING,  False,  True,  True,       Processing.FULL),
    (Cause.QUARANTINED, "hold"):    _Row(TradingState.REDUCING,  False,  True,  True,       Processing.PROTECT),
    (Cause.QUARANTINED, "flatten"): _Row(TradingState.REDUCING,  False,  True,  True,       Processing.FLATTEN),
    (Cause.QUARANTINED, "alert"):   _Row(TradingState.REDUCING,  False,  True,  True,       Processing.NOTHING),
    (Cause.UNPROTECTED, None):      _Row(TradingState.REDUCING,  False,  True,  True,       Processing.FULL),
    (Cause.DRAWDOWN,    None):      _Row(TradingState.REDUCING,  False,  True,  True,       Processing.FULL),
}
# fmt: on
"""Actions that each cause still allows; if several causes apply, an action needs the permission of all."""

_STATES = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)

DECISION_ORDER = tuple(Cause)
"""Precedence of causes in a decision, as in the risk rules: a stop of all actions before a stop of entries."""

UNSENT_EXIT_ORDER = (
    Cause.INCIDENT,
    Cause.STOPPED,
    Cause.PAUSED,
    Cause.QUARANTINED,
    Cause.UNPROTECTED,
    Cause.DRAWDOWN,
)
"""Reconciliation names the incident before the stop, because an operator has to review it in either case."""

UNSENT_ENTRY_ORDER = (
    Cause.STOPPED,
    Cause.PAUSED,
    Cause.INCIDENT,
    Cause.QUARANTINED,
    Cause.UNPROTECTED,
    Cause.DRAWDOWN,
)
"""For an abandoned entry, reconciliation records the operator's request before a condition that the system found."""


def permissions(
    desired: DesiredState,
    *,
    halted: str | None = None,
    quarantined: str | None = None,
    policy: PositionPolicy | None = None,
    unprotected: str | None = None,
    latched: str | None = None,
    has_exposure: bool = True,
    order: Sequence[Cause] = DECISION_ORDER,
) -> Permissions:
    """Return the actions that a symbol's state allows.

    An argument of None means that the condition does not hold, or that the caller does not need to know.

    Args:
        halted: Reason of an open incident that halts the symbol.
        quarantined: Reason of its quarantine.
        policy: Policy of its quarantine. It also marks the symbol as quarantined; needed for `processing`.
        unprotected: Reason of an incident of a position without its stop at the venue.
        latched: Reason of a drawdown that no operator has cleared.
        has_exposure: The symbol has a position or an order in flight; without one a quarantine protects nothing.
        order: Precedence of the causes.
    """
    if desired is DesiredState.RUNNING and halted is quarantined is policy is unprotected is latched is None:
        return _ALL
    found: list[Restriction] = []
    if desired is not DesiredState.RUNNING:
        found.append(Restriction(Cause(desired.value)))
    if halted is not None:
        found.append(Restriction(Cause.INCIDENT, halted))
    is_quarantined = quarantined is not None or policy is not None
    if is_quarantined:
        found.append(Restriction(Cause.QUARANTINED, quarantined or "", policy or "hold"))
    if unprotected is not None:
        found.append(Restriction(Cause.UNPROTECTED, unprotected))
    if latched is not None:
        found.append(Restriction(Cause.DRAWDOWN, latched))
    left = _least([_TABLE[one.cause, one.policy] for one in found])
    if is_quarantined and not has_exposure:
        left = left._replace(processing=Processing.NOTHING)
    return Permissions(*left, tuple(sorted(found, key=lambda one: order.index(one.cause))))


def _least(rows: Sequence[_Row]) -> _Row:
    return _Row(
        max((row.state for row in rows), key=_STATES.index),
        all(row.entries for row in rows),
        all(row.exits for row in rows),
        all(row.stop_moves for row in rows),
        min(row.processing for row in rows),
    )


_ALL = Permissions(TradingState.ACTIVE, entries=True, exits=True, stop_moves=True, processing=Processing.FULL)


def describe(why: Restriction, symbol: str) -> str:
    """Describe a restriction, as it is stored with a decision or a stop that was not moved."""
    match why.cause:
        case Cause.STOPPED:
            return f"{symbol} is stopped"
        case Cause.PAUSED:
            return f"{symbol} is paused: no entries"
        case Cause.INCIDENT | Cause.DRAWDOWN:
            return f"a person must look first: {why.detail}"
        case Cause.QUARANTINED:
            return f"no entries: {why.detail}"
        case Cause.UNPROTECTED:
            return why.detail


def describe_unsent(why: Restriction) -> str:
    """Describe a restriction, as it is recorded with an order that was not sent."""
    match why.cause:
        case Cause.STOPPED | Cause.PAUSED:
            return f"the symbol is {why.cause.value}"
        case Cause.INCIDENT:
            return f"the symbol is halted: {why.detail}"
        case Cause.QUARANTINED | Cause.UNPROTECTED | Cause.DRAWDOWN:
            return why.detail
