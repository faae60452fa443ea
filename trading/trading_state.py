"""What a symbol may do: the one policy for paused, stopped, halted and quarantined symbols and for a drawdown.

Each place that fetches, decides, sends or moves a stop asks `permissions`; none decides for itself what a state means.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct

from trading.lifecycle import DesiredState, PositionPolicy


class TradingState(StrEnum):
    """ACTIVE: all. REDUCING: exits and stop moves, no entries. HALTED: nothing is sent."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class Processing(IntEnum):
    """What is done with the candles of a symbol; of two that apply, the lesser.

    NOTHING: they are not fetched. FLATTEN: as PROTECT, then what is open is closed. PROTECT: the venue sees them and
    its fills are booked, neither strategy nor exit rules are asked. FULL: all four services run.
    """

    NOTHING = 0
    FLATTEN = 1
    PROTECT = 2
    FULL = 3


class Cause(StrEnum):
    """Why something is not allowed; the value is the rule that is stored with a decision.

    STOPPED, PAUSED: desired by an operator. INCIDENT: an open one that halts the symbol. QUARANTINED: by the health
    check. DRAWDOWN: the account reached `max_drawdown`, and nobody has cleared it.
    """

    STOPPED = "stopped"
    INCIDENT = "halted"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    DRAWDOWN = "drawdown_latch"


class Restriction(Struct, frozen=True):
    """One cause that applies.

    Attributes:
        detail: Reason of the incident behind it, where there is one and it was read; else empty.
        policy: Of a quarantine; None for any other cause.
    """

    cause: Cause
    detail: str = ""
    policy: PositionPolicy | None = None

    @property
    def rule(self) -> str:
        return self.cause.value


class Permissions(Struct, frozen=True):
    """What a symbol may do now.

    Attributes:
        stop_moves: The stop of an open position may be moved.
        restrictions: All causes that apply, in the order asked for; empty while it is ACTIVE.
    """

    state: TradingState
    entries: bool
    exits: bool
    stop_moves: bool
    processing: Processing
    restrictions: tuple[Restriction, ...] = ()

    @property
    def why_no_entries(self) -> Restriction | None:
        """The first cause that allows no entries; None where they are allowed."""
        return self._first(lambda row: not row.entries)

    @property
    def why_no_exits(self) -> Restriction | None:
        """The first cause that allows no exits; None where they are allowed."""
        return self._first(lambda row: not row.exits)

    @property
    def why_no_stop_moves(self) -> Restriction | None:
        """The first cause that allows no stop moves; None where they are allowed."""
        return self._first(lambda row: not row.stop_moves)

    def _first(self, is_against: Callable[["_Row"], bool]) -> Restriction | None:
        return next((one for one in self.restrictions if is_against(_TABLE[one.cause, one.policy])), None)


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
    (Cause.DRAWDOWN,    None):      _Row(TradingState.REDUCING,  False,  True,  True,       Processing.FULL),
}
# fmt: on
"""What each cause leaves; where several apply, only what all of them leave is allowed."""

_STATES = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)

DECISION_ORDER = tuple(Cause)
"""Which of several causes is named: as the risk rules ask, what ends all before what ends entries."""

UNSENT_EXIT_ORDER = (Cause.INCIDENT, Cause.STOPPED, Cause.PAUSED, Cause.QUARANTINED, Cause.DRAWDOWN)
"""Reconciliation names the incident before the stop: an operator has to look whichever comes first."""

UNSENT_ENTRY_ORDER = (Cause.STOPPED, Cause.PAUSED, Cause.INCIDENT, Cause.QUARANTINED, Cause.DRAWDOWN)
"""Reconciliation notes with an entry that is given up what the operator desired before what the system found."""


def permissions(
    desired: DesiredState,
    *,
    halted: str | None = None,
    quarantined: str | None = None,
    policy: PositionPolicy | None = None,
    latched: str | None = None,
    has_exposure: bool = True,
    order: Sequence[Cause] = DECISION_ORDER,
) -> Permissions:
    """Return what a symbol may do. None, as everywhere here, means that it is not so, or that the caller need not know.

    Args:
        halted: Reason of an open incident that halts the symbol.
        quarantined: Reason of its quarantine.
        policy: Policy of its quarantine, which alone says as well that there is one; needed for `processing`.
        latched: Reason of the drawdown that nobody has cleared.
        has_exposure: Something of the symbol is open or on its way; without it a quarantine has nothing to protect.
        order: In which several causes are named.
    """
    found: list[Restriction] = []
    if desired is not DesiredState.RUNNING:
        found.append(Restriction(Cause(desired.value)))
    if halted is not None:
        found.append(Restriction(Cause.INCIDENT, halted))
    is_quarantined = quarantined is not None or policy is not None
    if is_quarantined:
        found.append(Restriction(Cause.QUARANTINED, quarantined or "", policy or "hold"))
    if latched is not None:
        found.append(Restriction(Cause.DRAWDOWN, latched))
    if not found:
        return _ALL
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
    """Return a restriction in words, as it is stored with a decision or a stop that was not moved."""
    match why.cause:
        case Cause.STOPPED:
            return f"{symbol} is stopped"
        case Cause.PAUSED:
            return f"{symbol} is paused: no entries"
        case Cause.INCIDENT | Cause.DRAWDOWN:
            return f"a person must look first: {why.detail}"
        case Cause.QUARANTINED:
            return f"no entries: {why.detail}"


def describe_unsent(why: Restriction) -> str:
    """Return a restriction in words, as it is noted with an order that was not sent."""
    match why.cause:
        case Cause.STOPPED | Cause.PAUSED:
            return f"the symbol is {why.cause.value}"
        case Cause.INCIDENT:
            return f"the symbol is halted: {why.detail}"
        case Cause.QUARANTINED | Cause.DRAWDOWN:
            return why.detail
