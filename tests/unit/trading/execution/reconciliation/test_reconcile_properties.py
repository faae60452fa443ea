"""Reconciliation of any ledger and any venue: properties of the actions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.execution.reconciliation.snapshots import (
    FLAT,
    LONG,
    MINUTE_MS,
    MOVE,
    MOVED,
    STOP,
    T0_MS,
    O,
    intent,
    order_of,
)
from trading.execution.reconciliation import (
    AbandonOrder,
    Action,
    CancelOrder,
    EndIncident,
    LedgerSnapshot,
    RaiseIncident,
    ResendStop,
    SignalAgeLimit,
    SubmitOrder,
    UpdateOrder,
    VenueSnapshot,
    WaitForStop,
    WaitForVenue,
    describe,
    reconcile,
)
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import Leg, OrderState, Side, VenueOrder, next_order_state
from trading.structs import replace

TOLD = [O.ACCEPTED, O.PARTIALLY_FILLED, O.FILLED, O.CANCELED, O.REJECTED, O.EXPIRED]
"""States that a venue can report; `trading.execution.validated_venue` rejects any other."""
legs = st.sampled_from([(Leg.ENTRY, Side.BUY), (Leg.ENTRY, Side.SELL), (Leg.EXIT, Side.SELL), (Leg.EXIT, Side.BUY)])
not_final = st.sampled_from([state for state in OrderState if not state.is_final])


@st.composite
def intents(draw: st.DrawFn) -> list[Intent]:
    places = draw(st.lists(st.integers(0, 5), max_size=4, unique=True))
    chosen = [(place, *draw(legs)) for place in sorted(places)]
    return [
        intent(
            leg,
            draw(not_final),
            open_ms=T0_MS + place * MINUTE_MS,
            side=side,
            filled_units=draw(st.sampled_from([0.0, 0.5, 2.0])),
            ago_s=draw(st.sampled_from([0.0, 1.0, 5.0])),
        )
        for place, leg, side in chosen
    ]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit]:
    ours = draw(intents())
    answers: dict[str, VenueOrder | None] = {}
    for one in ours:
        kind = draw(st.sampled_from(["silent", "none", *TOLD]))
        if kind != "silent" and one.state is not O.PLANNED:
            filled = draw(st.sampled_from([0.0, 0.5, 2.0]))
            answers[one.request.client_order_id] = None if kind == "none" else order_of(one, OrderState(kind), filled)
    halted = [Incident(IncidentKind.ORDER_LOST, "XAUUSD", "x", "look")] if draw(st.booleans()) else []
    side = LedgerSnapshot(
        "XAUUSD",
        ours,
        [draw(st.sampled_from([FLAT, LONG, MOVED]))],
        draw(st.sampled_from(DesiredState)),
        halted,
        states=draw(st.sampled_from([{}, {STOP.client_order_id: O.FILLED}])),
        moves=draw(st.sampled_from([(), (MOVE,), (replace(MOVE, before=None),)])),
    )
    theirs = VenueSnapshot(
        answers,
        draw(st.none() | st.sampled_from([-1.0, 0.0, 2.0])),
        draw(st.none() | st.just([STOP]) | st.just([])),
        draw(st.sampled_from([0.0, 2.0])),
    )
    as_of_ms = draw(st.none() | st.integers(0, 20).map(lambda minutes: T0_MS + minutes * MINUTE_MS))
    return side, theirs, SignalAgeLimit(as_of_ms, 3 * MINUTE_MS)


def sends(actions: list[Action]) -> list[Intent]:
    return [action.intent for action in actions if isinstance(action, SubmitOrder)]


@given(worlds())
def test_reconcile_of_anything_sends_one_order_at_most_and_only_what_the_venue_surely_does_not_have(
    world: tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit],
) -> None:
    ours, theirs, freshness = world
    actions = reconcile(ours, theirs, freshness)
    sent = sends(actions)
    assert len(sent) <= 1
    for one in sent:
        identity = one.request.client_order_id
        assert one.state is O.PLANNED or (identity in theirs.answers and theirs.answers[identity] is None)
        assert one.state is O.PLANNED or one.claimed_ago_s >= theirs.visibility_s
        assert one.state not in (O.ACCEPTED, O.PARTIALLY_FILLED)
        assert not ours.halted
        if one.request.leg is Leg.ENTRY:
            assert ours.desired is DesiredState.RUNNING
            assert freshness.as_of_ms is not None
            assert freshness.as_of_ms - one.request.decided_ms <= freshness.max_signal_age_ms
            assert not any(isinstance(action, WaitForVenue | RaiseIncident) for action in actions)


@given(worlds())
def test_reconcile_of_anything_speaks_of_each_order_once_at_most_and_gives_up_none_that_the_venue_has(
    world: tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit],
) -> None:
    ours, theirs, freshness = world
    spoken: list[str] = []
    for action in reconcile(ours, theirs, freshness):
        assert describe(action)["found"]
        if isinstance(action, RaiseIncident | EndIncident | CancelOrder | ResendStop | WaitForStop):
            continue
        mentioned = [action.intent, *getattr(action, "dependents", ())]
        spoken += [one.request.client_order_id for one in mentioned]
        if isinstance(action, AbandonOrder):
            assert theirs.answers.get(action.intent.request.client_order_id) is None
        if isinstance(action, UpdateOrder):
            assert theirs.answers[action.intent.request.client_order_id] == action.order
            assert next_order_state(action.intent.state, action.state) is action.state
            assert action.state is not O.FILLED or action.intent.filled_units >= action.order.filled_units
    assert len(spoken) == len(set(spoken))


@given(worlds())
def test_reconcile_of_anything_compares_only_when_every_order_is_settled(
    world: tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit],
) -> None:
    ours, theirs, freshness = world
    actions = reconcile(ours, theirs, freshness)
    kinds = {action.incident.kind for action in actions if isinstance(action, RaiseIncident)}
    if kinds - {IncidentKind.ORDER_LOST}:
        assert all(isinstance(action, RaiseIncident | ResendStop | WaitForStop) for action in actions)


@given(worlds())
def test_reconcile_of_anything_sends_a_stop_only_where_a_move_reports_it_and_nothing_else_is_wrong(
    world: tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit],
) -> None:
    ours, theirs, freshness = world
    actions = reconcile(ours, theirs, freshness)
    for action in actions:
        if isinstance(action, ResendStop):
            assert action.move in ours.moves
            assert action.move.after == ours.positions[0].stop_loss
            assert not ours.halted
            assert ours.desired is not DesiredState.STOPPED
            assert theirs.units in (None, ours.units)
            assert not any(
                isinstance(other, UpdateOrder | SubmitOrder | AbandonOrder | WaitForVenue) for other in actions
            )


@given(worlds())
def test_reconcile_after_its_actions_were_carried_out_by_a_faultless_venue_comes_to_rest(
    world: tuple[LedgerSnapshot, VenueSnapshot, SignalAgeLimit],
) -> None:
    ours, theirs, freshness = world
    for _ in range(12):
        actions = reconcile(ours, theirs, freshness)
        pressing = [action for action in actions if isinstance(action, UpdateOrder | SubmitOrder | AbandonOrder)]
        if not pressing:
            return
        for action in pressing:
            ours, theirs = carried_out(action, ours, theirs)
    pytest.fail(f"it never ends: {actions}")


def carried_out(
    action: UpdateOrder | SubmitOrder | AbandonOrder, ours: LedgerSnapshot, theirs: VenueSnapshot
) -> tuple[LedgerSnapshot, VenueSnapshot]:
    """Do what an action asks for: the ledger takes over the state, and the venue accepts what is sent."""
    state = O.ACCEPTED if isinstance(action, SubmitOrder) else action.state
    identity = action.intent.request.client_order_id
    gone = {one.request.client_order_id for one in action.dependents} if not isinstance(action, SubmitOrder) else set()
    left = [
        replace(one, state=state) if one.request.client_order_id == identity else one
        for one in ours.intents
        if one.request.client_order_id not in gone
    ]
    if isinstance(action, SubmitOrder):
        theirs = replace(theirs, answers={**theirs.answers, identity: order_of(action.intent, O.ACCEPTED)})
    return replace(ours, intents=[one for one in left if not one.state.is_final]), theirs
