"""The reconciler: what it says for each kind of difference, and what it never says whatever ledger and venue hold."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.execution.reconciliation import (
    AbandonOrder,
    Action,
    CancelOrder,
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
from trading.orders.orders import (
    Leg,
    OpenOrder,
    OrderRequest,
    OrderState,
    Side,
    VenueOrder,
    client_order_id,
    next_order_state,
)
from trading.portfolio.positions import Position, StopMove
from trading.structs import replace

T0_MS, MINUTE_MS = 1_774_360_800_000, 60_000
FRESH = SignalAgeLimit(T0_MS + 2 * MINUTE_MS, 3 * MINUTE_MS)
STALE = SignalAgeLimit(T0_MS + 20 * MINUTE_MS, 3 * MINUTE_MS)
LONG = Position("XAUUSD", "cross", 2.0, 100.0, T0_MS, stop_loss=95.0)
FLAT = Position("XAUUSD", "cross")
STOP = OpenOrder("XAUUSD-1774360800-s-0123456789", "v7", "XAUUSD", Side.SELL, 2.0, 95.0)
ENTRY_ID = "XAUUSD-1774360800-e-0123456789"
MOVED = replace(LONG, stop_loss=97.0)
MOVE = StopMove("XAUUSD", "cross", T0_MS + MINUTE_MS, ENTRY_ID, 95.0, 97.0, "trailing")
O = OrderState  # noqa: E741  # the tables below are read by column


def intent(
    leg: Leg = Leg.ENTRY,
    state: OrderState = OrderState.SUBMITTING,
    *,
    open_ms: int = T0_MS,
    side: Side = Side.BUY,
    filled_units: float = 0.0,
    ago_s: float = 60.0,
) -> Intent:
    identity = client_order_id("main", "XAUUSD", "cross", open_ms, leg)
    request = OrderRequest(identity, "XAUUSD", "cross", leg, side, 2.0, 100.0, open_ms + MINUTE_MS)
    attempt = 0 if state is O.PLANNED else 1
    return Intent(request, state, None, attempt, filled_units, ago_s)


def ledger(*intents: Intent, position: Position = FLAT, **fields: object) -> LedgerSnapshot:
    side = LedgerSnapshot("XAUUSD", intents, [position], DesiredState.RUNNING, owners=frozenset({"cross"}))
    return replace(side, **fields)  # type: ignore[arg-type]  # each test names the fields it changes


def order_of(one: Intent, state: OrderState, filled_units: float = 0.0) -> VenueOrder:
    return VenueOrder(one.request.client_order_id, "v1", state, filled_units)


def venue(answers: Mapping[Intent, VenueOrder | None] | None = None, **fields: object) -> VenueSnapshot:
    by_id = {one.request.client_order_id: answer for one, answer in (answers or {}).items()}
    return replace(VenueSnapshot(by_id), **fields)  # type: ignore[arg-type]  # the same


EXIT = intent(Leg.EXIT, side=Side.SELL)
ENTRY = intent(state=O.PLANNED, side=Side.SELL)


@pytest.mark.parametrize(
    ("ours", "answer", "filled_units", "state"),
    [
        (O.SUBMITTING, O.ACCEPTED, 0.0, O.ACCEPTED),
        (O.UNKNOWN, O.ACCEPTED, 0.0, O.ACCEPTED),
        (O.UNKNOWN, O.CANCELED, 0.0, O.CANCELED),
        (O.UNKNOWN, O.REJECTED, 0.0, O.REJECTED),
        (O.UNKNOWN, O.FILLED, 2.0, O.ACCEPTED),
        (O.UNKNOWN, O.CANCELED, 1.0, O.ACCEPTED),
    ],
)
def test_reconcile_order_that_the_venue_has_is_adopted_and_its_end_waits_for_its_fills(
    ours: OrderState, answer: OrderState, filled_units: float, state: OrderState
) -> None:
    one = intent(state=ours)
    order = order_of(one, answer, filled_units)
    assert reconcile(ledger(one), venue({one: order}), FRESH) == [UpdateOrder(one, order, state)]


def test_reconcile_canceled_order_whose_fills_are_written_down_has_ended() -> None:
    one = intent(state=O.PARTIALLY_FILLED, filled_units=1.0)
    order = order_of(one, O.CANCELED, 1.0)
    assert reconcile(ledger(one), venue({one: order}), FRESH) == [UpdateOrder(one, order, O.CANCELED)]


def test_reconcile_filled_order_whose_fills_are_not_seen_yet_is_left() -> None:
    one = intent(state=O.ACCEPTED)
    (action,) = reconcile(ledger(one), venue({one: order_of(one, O.FILLED, 2.0)}), FRESH)
    assert isinstance(action, WaitForVenue)
    assert "2 units are filled, 0 are recorded" in action.reason


@pytest.mark.parametrize("state", [O.SUBMITTING, O.UNKNOWN])
def test_reconcile_order_that_the_venue_does_not_have_is_sent_while_fresh_and_let_go_when_stale(
    state: OrderState,
) -> None:
    one = intent(state=state)
    assert reconcile(ledger(one), venue({one: None}), FRESH) == [SubmitOrder(one)]
    (action,) = reconcile(ledger(one), venue({one: None}), STALE)
    assert isinstance(action, AbandonOrder)
    assert action.state is O.EXPIRED


def test_reconcile_no_such_order_sooner_than_the_venue_shows_orders_proves_nothing() -> None:
    one = intent(ago_s=1.0)
    (action,) = reconcile(ledger(one), venue({one: None}, visibility_s=2.0), FRESH)
    assert isinstance(action, WaitForVenue)
    assert reconcile(ledger(intent(ago_s=2.0)), venue({one: None}, visibility_s=2.0), FRESH) == [SubmitOrder(one)]


def test_reconcile_without_an_answer_leaves_the_order_and_compares_nothing() -> None:
    one = intent(state=O.UNKNOWN)
    (action,) = reconcile(ledger(one), venue(units=7.0, open_orders=[STOP]), FRESH)
    assert isinstance(action, WaitForVenue)


def test_reconcile_old_exit_is_sent_and_one_with_nothing_to_close_is_not() -> None:
    assert reconcile(ledger(EXIT, position=LONG), venue({EXIT: None}), STALE) == [SubmitOrder(EXIT)]
    (action,) = reconcile(ledger(EXIT), venue({EXIT: None}), FRESH)
    assert isinstance(action, AbandonOrder)


@pytest.mark.parametrize("desired", [DesiredState.PAUSED, DesiredState.STOPPED])
def test_reconcile_entry_that_is_not_wanted_any_more_is_let_go(desired: DesiredState) -> None:
    one = intent()
    (action,) = reconcile(ledger(one, desired=desired), venue({one: None}), FRESH)
    assert isinstance(action, AbandonOrder)
    assert (action.state, desired.value in action.reason) == (O.CANCELED, True)


def test_reconcile_quarantined_symbol_lets_go_of_an_entry_and_sends_an_exit() -> None:
    aside = [Incident(IncidentKind.QUARANTINED, "XAUUSD", "symbol", "XAUUSD was quarantined", {"policy": "hold"})]
    one = intent()
    (action,) = reconcile(ledger(one, incidents=aside), venue({one: None}), FRESH)
    assert isinstance(action, AbandonOrder)
    assert (action.state, action.reason) == (O.CANCELED, "never sent, and now XAUUSD was quarantined")
    assert reconcile(ledger(EXIT, position=LONG, incidents=aside), venue({EXIT: None}), FRESH) == [SubmitOrder(EXIT)]


def test_reconcile_halted_symbol_sends_nothing() -> None:
    halted = [Incident(IncidentKind.POSITION_MISMATCH, "XAUUSD", "position", "3 units too many")]
    one = intent()
    (action,) = reconcile(ledger(one, incidents=halted), venue({one: None}), FRESH)
    assert isinstance(action, AbandonOrder)
    (action,) = reconcile(ledger(EXIT, position=LONG, incidents=halted), venue({EXIT: None}), FRESH)
    assert isinstance(action, WaitForVenue)


def test_reconcile_reversal_sends_its_exit_first_and_its_entry_when_that_was_taken() -> None:
    both = ledger(EXIT, ENTRY, position=LONG)
    assert reconcile(both, venue({EXIT: None}), FRESH) == [SubmitOrder(EXIT, (ENTRY,))]
    taken = replace(EXIT, state=O.ACCEPTED)
    after = ledger(taken, ENTRY, position=LONG)
    assert reconcile(after, venue({taken: order_of(taken, O.ACCEPTED)}), FRESH) == [SubmitOrder(ENTRY)]


def test_reconcile_reversal_whose_exit_did_not_go_through_gives_up_its_entry_with_it() -> None:
    order = order_of(EXIT, O.REJECTED)
    actions = reconcile(ledger(EXIT, ENTRY, position=LONG), venue({EXIT: order}), FRESH)
    assert actions == [UpdateOrder(EXIT, order, O.REJECTED, (ENTRY,))]


def test_reconcile_reversal_whose_exit_is_not_known_keeps_its_entry_waiting() -> None:
    actions = reconcile(ledger(EXIT, ENTRY, position=LONG), venue(), FRESH)
    assert [type(action) for action in actions] == [WaitForVenue, WaitForVenue]


def test_reconcile_order_that_the_venue_has_lost_is_told_once() -> None:
    one = intent(state=O.ACCEPTED)
    (action,) = reconcile(ledger(one), venue({one: None}), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.ORDER_LOST
    (again,) = reconcile(ledger(one, incidents=[action.incident]), venue({one: None}), FRESH)
    assert isinstance(again, WaitForVenue)


def test_reconcile_order_that_was_given_up_and_rests_at_the_venue_is_withdrawn() -> None:
    resting = OpenOrder(ENTRY.request.client_order_id, "v3", "XAUUSD", Side.SELL, 2.0)
    ours = ledger(states={resting.client_order_id: O.EXPIRED})
    assert reconcile(ours, venue(units=0.0, open_orders=[resting]), FRESH) == [CancelOrder(resting, O.EXPIRED)]


@pytest.mark.parametrize(
    ("position", "units", "open_orders", "states", "kind"),
    [
        (LONG, 2.0, [STOP], {STOP.client_order_id: O.FILLED}, None),
        (FLAT, 0.0, [], {}, None),
        (replace(LONG, stop_loss=None), 2.0, [], {}, None),
        (LONG, 3.0, [STOP], {STOP.client_order_id: O.FILLED}, IncidentKind.POSITION_MISMATCH),
        (FLAT, -1.0, [], {}, IncidentKind.POSITION_MISMATCH),
        (LONG, 2.0, [], {}, IncidentKind.UNPROTECTED),
        (LONG, 2.0, [replace(STOP, units=1.0)], {STOP.client_order_id: O.FILLED}, IncidentKind.UNPROTECTED),
        (LONG, 2.0, [replace(STOP, price=94.0)], {STOP.client_order_id: O.FILLED}, IncidentKind.UNPROTECTED),
        (FLAT, 0.0, [STOP], {}, IncidentKind.FOREIGN_ORDER),
        (FLAT, 0.0, [STOP], {STOP.client_order_id: O.FILLED}, IncidentKind.STRAY_STOP),
    ],
)
def test_reconcile_of_positions_and_resting_orders_tells_what_differs_and_tells_it_once(
    position: Position,
    units: float,
    open_orders: list[OpenOrder],
    states: Mapping[str, OrderState],
    kind: IncidentKind | None,
) -> None:
    ours, theirs = ledger(position=position, states=states), venue(units=units, open_orders=open_orders)
    incidents = [action.incident for action in reconcile(ours, theirs, FRESH) if isinstance(action, RaiseIncident)]
    assert [incident.kind for incident in incidents] == ([kind] if kind else [])
    assert reconcile(replace(ours, incidents=incidents), theirs, FRESH) == []


def test_reconcile_open_position_that_no_entry_of_ours_opened_is_told() -> None:
    ours = ledger(position=replace(LONG, stop_loss=None), owners=frozenset())
    (action,) = reconcile(ours, venue(units=2.0, open_orders=[]), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.UNOWNED_POSITION
    assert action.incident.kind.halts


def test_reconcile_order_of_which_nothing_is_known_for_long_is_told_once_and_still_waited_for() -> None:
    one = intent(state=O.UNKNOWN, ago_s=3_600.0)
    left, tell = reconcile(ledger(one), venue(), FRESH)
    assert isinstance(left, WaitForVenue)
    assert isinstance(tell, RaiseIncident)
    assert "for 60 minutes nothing is known of the entry buy 2" in tell.incident.reason
    assert reconcile(ledger(one, incidents=[tell.incident]), venue(), FRESH) == [left]


# whatever ledger and venue hold

legs = st.sampled_from([(Leg.ENTRY, Side.BUY), (Leg.ENTRY, Side.SELL), (Leg.EXIT, Side.SELL), (Leg.EXIT, Side.BUY)])
TOLD = [O.ACCEPTED, O.PARTIALLY_FILLED, O.FILLED, O.CANCELED, O.REJECTED, O.EXPIRED]
"""What a venue can say of an order; `trading.execution.validated_venue` refuses anything else."""
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
        if isinstance(action, RaiseIncident | CancelOrder | ResendStop | WaitForStop):
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
def test_reconcile_of_anything_sends_a_stop_only_where_a_move_says_so_and_nothing_else_is_wrong(
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
def test_reconcile_after_its_actions_were_carried_out_by_an_honest_venue_comes_to_rest(
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


# stops that were moved

AT_OLD_STOP = venue(units=2.0, open_orders=[STOP])
OURS = {STOP.client_order_id: O.FILLED}


def moved_ledger(**fields: object) -> LedgerSnapshot:
    return ledger(position=MOVED, states=OURS, moves=[MOVE], **fields)


def test_reconcile_stop_that_rests_where_it_was_before_its_move_is_sent_there_again() -> None:
    (action,) = reconcile(moved_ledger(), AT_OLD_STOP, FRESH)
    assert isinstance(action, ResendStop)
    assert action.move == MOVE
    assert describe(action)["found"] == (
        "the venue does not have the stop where it shall rest, so the stop of cross from 95 to 97 is sent"
    )


def test_reconcile_stop_that_was_moved_and_rests_there_needs_nothing() -> None:
    there = venue(units=2.0, open_orders=[replace(STOP, price=97.0)])
    assert reconcile(moved_ledger(), there, FRESH) == []


@pytest.mark.parametrize("open_orders", [[], [replace(STOP, price=93.0)], [replace(STOP, units=1.0)]])
def test_reconcile_stop_that_no_move_explains_is_told(open_orders: list[OpenOrder]) -> None:
    (action,) = reconcile(moved_ledger(), venue(units=2.0, open_orders=open_orders), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.UNPROTECTED


def test_reconcile_stop_with_a_refused_move_alone_is_told() -> None:
    (action,) = reconcile(ledger(position=MOVED, states=OURS), AT_OLD_STOP, FRESH)
    assert isinstance(action, RaiseIncident)


def test_reconcile_first_stop_that_was_never_placed_is_sent() -> None:
    placing = replace(MOVE, before=None)
    (action,) = reconcile(ledger(position=MOVED, moves=[placing]), venue(units=2.0, open_orders=[]), FRESH)
    assert isinstance(action, ResendStop)
    assert action.move == placing


def test_reconcile_stop_is_not_sent_after_an_incident_about_it_or_while_the_symbol_is_halted() -> None:
    (first,) = reconcile(moved_ledger(), AT_OLD_STOP, FRESH)
    assert isinstance(first, ResendStop)
    assert reconcile(moved_ledger(incidents=[first.naked]), AT_OLD_STOP, FRESH) == []
    halting = Incident(IncidentKind.FOREIGN_FILL, "XAUUSD", "f1", "somebody traded by hand")
    (action,) = reconcile(moved_ledger(incidents=[halting]), AT_OLD_STOP, FRESH)
    assert action == RaiseIncident(first.naked)


def test_reconcile_stop_of_a_stopped_symbol_is_left_and_of_a_paused_one_is_sent() -> None:
    (left,) = reconcile(moved_ledger(desired=DesiredState.STOPPED), AT_OLD_STOP, FRESH)
    assert left == WaitForStop(MOVE, "the symbol is stopped")
    assert describe(left)["found"] == "the stop of cross from 95 to 97: the symbol is stopped"
    (sent,) = reconcile(moved_ledger(desired=DesiredState.PAUSED), AT_OLD_STOP, FRESH)
    assert isinstance(sent, ResendStop)


def test_reconcile_stop_is_not_sent_while_ledger_and_venue_hold_something_else() -> None:
    (action,) = reconcile(moved_ledger(), venue(units=1.0, open_orders=[STOP]), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.POSITION_MISMATCH
