"""Reconciliation of ledger and venue: one pure function from the state of both to the actions that are due."""

from collections.abc import Iterator, Sequence

from trading.execution.reconciliation.actions import (
    AbandonOrder,
    Action,
    CancelOrder,
    EndIncident,
    RaiseIncident,
    ResendStop,
    SubmitOrder,
    UpdateOrder,
    WaitForStop,
    WaitForVenue,
)
from trading.execution.reconciliation.snapshots import LedgerSnapshot, SignalAgeLimit, VenueSnapshot
from trading.formatting import format_units
from trading.incidents import descriptions
from trading.incidents.incident import IncidentKind
from trading.orders.intents import Intent
from trading.orders.orders import ENDED_OTHERWISE, Leg, OpenOrder, OrderRequest, OrderState, VenueOrder, decided_open_ms
from trading.portfolio.positions import Position
from trading.risk.stop_rules import is_protected, of_strategy, unsent
from trading.structs import replace
from trading.tolerance import is_same_units
from trading.trading_state import UNSENT_ENTRY_ORDER, UNSENT_EXIT_ORDER, Cause, describe_unsent

STUCK_AFTER_S = 600.0
"""Seconds of real time after which an order without a known outcome opens an incident."""

_RESTING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


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
    filled = _filled(intent, order)
    return intent.filled_units >= filled or is_same_units(intent.filled_units, filled)


def _filled(intent: Intent, order: VenueOrder) -> float:
    is_whole = order.state is OrderState.FILLED and intent.request.at_fill is None
    return order.filled_units or (intent.request.units if is_whole else 0.0)


def _send(intent: Intent, ours: LedgerSnapshot, freshness: SignalAgeLimit, *, is_waiting: bool) -> Action:
    request = intent.request
    if request.leg is Leg.ENTRY:
        return _send_entry(intent, ours, freshness, is_waiting=is_waiting)
    if ours.units_of(request.strategy) * request.side.sign >= 0:
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
    if theirs.units is not None and not is_same_units(ours.units, theirs.units, step=ours.unit_step):
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
    naked = set()
    for position in ours.positions:
        mine = of_strategy(position.strategy, theirs.open_orders, ours.whose)
        if position.is_open and not is_protected(position, mine, step=ours.unit_step):
            naked.add(position.strategy)
            yield _protect(position, ours, mine)
    for incident in ours.incidents:
        if incident.kind is IncidentKind.UNPROTECTED and incident.key not in naked:
            yield EndIncident(incident, "each open position has its stop at the venue")


def _protect(position: Position, ours: LedgerSnapshot, open_orders: Sequence[OpenOrder]) -> Action:
    """Return the action for a misplaced stop; once reported, it is left to an operator."""
    naked = descriptions.unprotected(position)
    move = unsent(position, open_orders, ours.moves)
    why = ours.permissions(UNSENT_EXIT_ORDER).why_no_stop_moves
    is_halted = why is not None and why.cause is Cause.INCIDENT
    if move is None or is_halted or ours.is_reported(naked):
        return RaiseIncident(naked)
    return ResendStop(move, naked) if why is None else WaitForStop(move, describe_unsent(why))
