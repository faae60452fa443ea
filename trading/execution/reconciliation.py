"""Reconciliation of ledger and venue: one pure function from the state of both to the actions that are due."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from trading.formatting import format_units
from trading.incidents import descriptions
from trading.incidents.descriptions import describe_order, describe_stop_move
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import ENDED_OTHERWISE, Leg, OpenOrder, OrderRequest, OrderState, VenueOrder, decided_open_ms
from trading.portfolio.positions import Position, StopMove
from trading.risk.stop_rules import is_protected, of_strategy, unsent
from trading.structs import replace
from trading.tolerance import is_at_least, is_close
from trading.trading_state import (
    UNSENT_ENTRY_ORDER,
    UNSENT_EXIT_ORDER,
    Cause,
    Permissions,
    describe_unsent,
    permissions,
)

STUCK_AFTER_S = 600.0
"""Seconds of real time after which an order without a known outcome opens an incident."""

_RESTING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


class LedgerSnapshot(Struct, frozen=True):
    """The state of one symbol in the ledger.

    Attributes:
        intents: Intents that are not settled, in the order of sending.
        positions: Of each strategy on the symbol.
        incidents: Open incidents, which are reported already.
        owners: Strategies with an entry that may have opened a position.
        states: How the orders stand that rest at the venue, by `client_order_id`; for a protective order how its entry
            stands. One that is missing is not ours.
        no_entries: Reason why no entry may be sent; empty when entries are allowed.
        moves: Stop moves of open positions, oldest first; may be empty where each stop rests at its recorded price.
        whose: Strategies of the orders that rest at the venue, by `client_order_id`; needed where several hold
            something.
    """

    symbol: str
    intents: Sequence[Intent]
    positions: Sequence[Position]
    desired: DesiredState
    incidents: Sequence[Incident] = ()
    owners: frozenset[str] = frozenset()
    states: Mapping[str, OrderState] = field(default_factory=dict)
    no_entries: str = ""
    moves: Sequence[StopMove] = ()
    whose: Mapping[str, str] = field(default_factory=dict)

    @property
    def halted(self) -> str | None:
        """The reason why no order may be sent until an operator resolves an incident; None for none."""
        return next((incident.reason for incident in self.incidents if incident.kind.halts), None)

    @property
    def quarantined(self) -> str | None:
        """The reason of the symbol's quarantine; None for none."""
        return next((one.reason for one in self.incidents if one.kind is IncidentKind.QUARANTINED), None)

    def permissions(self, order: Sequence[Cause]) -> Permissions:
        """Return what the symbol may do. The ledger applies the drawdown latch, when an entry is claimed."""
        return permissions(self.desired, halted=self.halted, quarantined=self.quarantined, order=order)

    def is_reported(self, incident: Incident) -> bool:
        return any((one.kind, one.key) == (incident.kind, incident.key) for one in self.incidents)

    @property
    def units(self) -> float:
        return sum(position.units for position in self.positions)


class VenueSnapshot(Struct, frozen=True):
    """The state of one symbol at the venue.

    Attributes:
        answers: For each intent asked about, None when there is no such order; missing when the venue did not answer.
        units: Its net position in the symbol; None when it was not asked, or did not answer.
        open_orders: The orders that rest there; None as with `units`.
        visibility_s: For how long after a send a "no such order" proves nothing.
    """

    answers: Mapping[str, VenueOrder | None]
    units: float | None = None
    open_orders: Sequence[OpenOrder] | None = None
    visibility_s: float = 0.0


class SignalAgeLimit(Struct, frozen=True):
    """The age from which an entry is no longer sent.

    Attributes:
        as_of_ms: Market time; None when the source does not tell it: then no entry is sent.
    """

    as_of_ms: int | None
    max_signal_age_ms: int


class UpdateOrder(Struct, frozen=True):
    """Record the state of an order at the venue.

    Attributes:
        dependents: Orders of the same decision that are given up with it, because it ended unfilled.
    """

    intent: Intent
    order: VenueOrder
    state: OrderState
    dependents: tuple[Intent, ...] = ()


class SubmitOrder(Struct, frozen=True):
    """Claim an order and send it: it was never sent, or the venue is sure that it has no such order.

    Attributes:
        dependents: Orders of the same decision that are given up when the venue rejects it.
    """

    intent: Intent
    dependents: tuple[Intent, ...] = ()


class AbandonOrder(Struct, frozen=True):
    """Give up an order that is not at the venue, and the orders of the same decision that depend on it."""

    intent: Intent
    state: OrderState
    reason: str
    dependents: tuple[Intent, ...] = ()


class WaitForVenue(Struct, frozen=True):
    """Wait, because the outcome of this order is not known yet; the symbol opens no position until it is."""

    intent: Intent
    reason: str


class CancelOrder(Struct, frozen=True):
    """Cancel an order that rests at the venue although we gave it up."""

    order: OpenOrder
    state: OrderState


class RaiseIncident(Struct, frozen=True):
    """Notify an operator, if the difference lasts over further comparisons."""

    incident: Incident


class ResendStop(Struct, frozen=True):
    """Send a recorded stop move again: the stop at the venue rests at an earlier price.

    Attributes:
        naked: The incident to raise if the stop still rests elsewhere afterwards.
    """

    move: StopMove
    naked: Incident


class WaitForStop(Struct, frozen=True):
    """Wait, because a misplaced stop cannot be moved now.

    Attributes:
        naked: The incident to raise if it stays there; None for none.
    """

    move: StopMove
    reason: str
    naked: Incident | None = None


Action = (
    UpdateOrder | SubmitOrder | AbandonOrder | WaitForVenue | CancelOrder | ResendStop | WaitForStop | RaiseIncident
)


def reconcile(ours: LedgerSnapshot, theirs: VenueSnapshot, freshness: SignalAgeLimit) -> list[Action]:
    """Compare ledger and venue, and return the actions that are due, in order; none when they agree.

    It never invents an order, a fill or a position: the venue's state of an order is recorded, a missing order is sent
    or abandoned, and an unexplained difference raises an incident. At most one order is sent at a time; the action
    after it depends on its outcome.
    """
    settling = list(_settle(ours, theirs, freshness))
    if any(isinstance(action, UpdateOrder | SubmitOrder | AbandonOrder) for action in settling):
        return settling  # these change the ledger, so a comparison now would be stale
    withdrawn = list(_withdraw(ours, theirs))
    if settling or withdrawn:
        return [*settling, *withdrawn]
    return list(_compare(ours, theirs))


def describe(action: Action) -> dict[str, str]:
    """Describe an action, JSON-safe."""
    match action:
        case UpdateOrder(intent, order, state):
            found = (
                f"the venue has {describe_order(intent.request)}: {state.value}, "
                f"{format_units(order.filled_units)} filled"
            )
        case SubmitOrder(intent):
            found = f"the venue has no such order, so {describe_order(intent.request)} is sent"
        case AbandonOrder(intent, _, reason) | WaitForVenue(intent, reason):
            found = f"{describe_order(intent.request)}: {reason}"
        case CancelOrder(resting, state):
            found = f"{resting.client_order_id} rests at the venue although it is {state.value}: cancelled there"
        case ResendStop(move, _):
            found = f"the venue does not have the stop where it shall rest, so {describe_stop_move(move)} is sent"
        case WaitForStop(move, reason, _):
            found = f"{describe_stop_move(move)}: {reason}"
        case RaiseIncident(incident):
            found = incident.reason
    return {"action": type(action).__name__, "found": found}


def _settle(ours: LedgerSnapshot, theirs: VenueSnapshot, freshness: SignalAgeLimit) -> Iterator[Action]:
    given_up: set[str] = set()
    is_waiting = False
    for intent in ours.intents:
        if intent.request.client_order_id in given_up:
            continue
        action = _step(intent, ours, theirs, freshness, is_waiting=is_waiting)
        if action is None:
            continue
        dependents = _dependents(intent, ours.intents)
        if isinstance(action, SubmitOrder):
            yield replace(action, dependents=dependents)
            return
        if isinstance(action, AbandonOrder) or (isinstance(action, UpdateOrder) and action.state in ENDED_OTHERWISE):
            action = replace(action, dependents=dependents)
            given_up.update(one.request.client_order_id for one in dependents)
        yield action
        if isinstance(action, WaitForVenue) and intent.claimed_ago_s > STUCK_AFTER_S:
            stuck = descriptions.stuck(ours.symbol, intent, action.reason)
            if not ours.is_reported(stuck):
                yield RaiseIncident(stuck)
        is_waiting = is_waiting or isinstance(action, WaitForVenue | RaiseIncident)


def _dependents(intent: Intent, intents: Sequence[Intent]) -> tuple[Intent, ...]:
    """Return the entries that depend on this exit: those of the same decision that are not claimed yet."""
    if intent.request.leg is not Leg.EXIT:
        return ()
    decision = _decision(intent.request)
    return tuple(
        one
        for one in intents
        if one.state is OrderState.PLANNED and one.request.leg is Leg.ENTRY and _decision(one.request) == decision
    )


def _decision(request: OrderRequest) -> tuple[str, int]:
    return request.strategy, decided_open_ms(request.client_order_id)


def _step(
    intent: Intent, ours: LedgerSnapshot, theirs: VenueSnapshot, freshness: SignalAgeLimit, *, is_waiting: bool
) -> Action | None:
    if intent.state is OrderState.PLANNED:
        return _send(intent, ours, freshness, is_waiting=is_waiting)
    identity = intent.request.client_order_id
    if identity not in theirs.answers:
        return WaitForVenue(intent, "the venue does not answer")
    order = theirs.answers[identity]
    if order is not None:
        return _adopt(intent, order)
    if intent.claimed_ago_s < theirs.visibility_s:
        return WaitForVenue(
            intent, f"not seen at the venue {intent.claimed_ago_s:.1f} s after its claim: too soon to tell"
        )
    if intent.state in _RESTING:
        lost = descriptions.order_lost(ours.symbol, intent)
        return WaitForVenue(intent, lost.reason) if ours.is_reported(lost) else RaiseIncident(lost)
    return _send(intent, ours, freshness, is_waiting=is_waiting)


def _adopt(intent: Intent, order: VenueOrder) -> Action | None:
    """Take the state from the venue; a final state only once the fills that led to it are recorded."""
    is_whole = is_booked(intent, order)
    state = order.state
    if not is_whole:
        state = OrderState.ACCEPTED
    if state is OrderState.ACCEPTED and (intent.filled_units or intent.state is OrderState.PARTIALLY_FILLED):
        state = OrderState.PARTIALLY_FILLED
    if state is not intent.state:
        return UpdateOrder(intent, order, state)
    if is_whole:
        return None
    return WaitForVenue(
        intent,
        f"{format_units(_filled(intent, order))} units are filled, {format_units(intent.filled_units)} are recorded",
    )


def is_booked(intent: Intent, order: VenueOrder) -> bool:
    """Return whether the ledger has all units that the venue reports as filled."""
    return is_at_least(intent.filled_units, _filled(intent, order))


def _filled(intent: Intent, order: VenueOrder) -> float:
    return order.filled_units or (intent.request.units if order.state is OrderState.FILLED else 0.0)


def _send(intent: Intent, ours: LedgerSnapshot, freshness: SignalAgeLimit, *, is_waiting: bool) -> Action:
    request = intent.request
    if request.leg is Leg.ENTRY:
        return _send_entry(intent, ours, freshness, is_waiting=is_waiting)
    if ours.units * request.side.sign >= 0:
        return AbandonOrder(intent, OrderState.CANCELED, "never sent, and now there is nothing left to close")
    if why := ours.permissions(UNSENT_EXIT_ORDER).why_no_exits:
        return WaitForVenue(intent, why.detail or describe_unsent(why))
    return SubmitOrder(intent)


def _send_entry(intent: Intent, ours: LedgerSnapshot, freshness: SignalAgeLimit, *, is_waiting: bool) -> Action:
    if (unwanted := _why_no_entry(ours)) is not None:
        return AbandonOrder(intent, OrderState.CANCELED, f"never sent, and now {unwanted}")
    if freshness.as_of_ms is None:
        return WaitForVenue(intent, "the time of the market is not known")
    age_ms = freshness.as_of_ms - intent.request.decided_ms
    if age_ms > freshness.max_signal_age_ms:
        return AbandonOrder(
            intent, OrderState.EXPIRED, f"never sent, and now {age_ms / 1000:g} s too old to be an entry"
        )
    if is_waiting:
        return WaitForVenue(intent, "an order before it is not settled")
    return SubmitOrder(intent)


def _why_no_entry(ours: LedgerSnapshot) -> str | None:
    why = ours.permissions(UNSENT_ENTRY_ORDER).why_no_entries
    return (ours.no_entries or None) if why is None else describe_unsent(why)


def _withdraw(ours: LedgerSnapshot, theirs: VenueSnapshot) -> Iterator[Action]:
    for order in theirs.open_orders or ():
        state = ours.states.get(order.client_order_id)
        if state in ENDED_OTHERWISE and order.price is None:
            yield CancelOrder(order, state)


def _compare(ours: LedgerSnapshot, theirs: VenueSnapshot) -> Iterator[Action]:
    for found in _differences(ours, theirs):
        if not isinstance(found, RaiseIncident) or not ours.is_reported(found.incident):
            yield found


def _differences(ours: LedgerSnapshot, theirs: VenueSnapshot) -> Iterator[Action]:
    if theirs.units is not None and not is_close(ours.units, theirs.units):
        yield RaiseIncident(descriptions.position_mismatch(ours.symbol, ours.units, theirs.units))
        return
    if theirs.open_orders is None:
        return
    for order in theirs.open_orders:
        if order.client_order_id not in ours.states:
            yield RaiseIncident(descriptions.foreign_order(ours.symbol, order))
        elif order.price is not None and not any(order.side.sign * one.units < 0 for one in ours.positions):
            yield RaiseIncident(descriptions.stray_stop(ours.symbol, ours.units, order))
    for position in ours.positions:
        if position.is_open and position.strategy not in ours.owners:
            yield RaiseIncident(descriptions.unowned(position))
    for position in ours.positions:
        mine = of_strategy(position.strategy, theirs.open_orders, ours.whose)
        if position.is_open and not is_protected(position, mine):
            yield _protect(position, ours, mine)


def _protect(position: Position, ours: LedgerSnapshot, open_orders: Sequence[OpenOrder]) -> Action:
    """Return the action for a misplaced stop; once reported, it is left to an operator."""
    naked = descriptions.unprotected(position)
    move = unsent(position, open_orders, ours.moves)
    why = ours.permissions(UNSENT_EXIT_ORDER).why_no_stop_moves
    is_halted = why is not None and why.cause is Cause.INCIDENT
    if move is None or is_halted or ours.is_reported(naked):
        return RaiseIncident(naked)
    return ResendStop(move, naked) if why is None else WaitForStop(move, describe_unsent(why))
