"""Reconciliation: the actions for each kind of difference."""

from collections.abc import Mapping

import pytest

from tests.unit.trading.execution.reconciliation.snapshots import (
    FLAT,
    FRESH,
    LONG,
    MINUTE_MS,
    STOP,
    T0_MS,
    O,
    intent,
    ledger,
    order_of,
    venue,
)
from trading.execution.reconciliation import (
    AbandonOrder,
    CancelOrder,
    RaiseIncident,
    SignalAgeLimit,
    SubmitOrder,
    UpdateOrder,
    WaitForVenue,
    reconcile,
)
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.equity_size import EquitySize
from trading.orders.orders import Leg, OpenOrder, OrderState, Side
from trading.portfolio.positions import Position
from trading.structs import replace

STALE = SignalAgeLimit(T0_MS + 20 * MINUTE_MS, 3 * MINUTE_MS)
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


def test_reconcile_canceled_order_whose_fills_are_recorded_has_ended() -> None:
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


def test_reconcile_order_that_the_venue_has_lost_is_reported_once() -> None:
    one = intent(state=O.ACCEPTED)
    (action,) = reconcile(ledger(one), venue({one: None}), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.ORDER_LOST
    (again,) = reconcile(ledger(one, incidents=[action.incident]), venue({one: None}), FRESH)
    assert isinstance(again, WaitForVenue)


def test_reconcile_order_that_was_abandoned_and_rests_at_the_venue_is_withdrawn() -> None:
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
def test_reconcile_of_positions_and_resting_orders_reports_what_differs_and_reports_it_once(
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


def test_reconcile_open_position_that_no_entry_of_ours_opened_is_reported() -> None:
    ours = ledger(position=replace(LONG, stop_loss=None), owners=frozenset())
    (action,) = reconcile(ours, venue(units=2.0, open_orders=[]), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.UNOWNED_POSITION
    assert action.incident.kind.halts


def test_reconcile_order_of_which_nothing_is_known_for_long_is_reported_once_and_still_waited_for() -> None:
    one = intent(state=O.UNKNOWN, ago_s=3_600.0)
    left, tell = reconcile(ledger(one), venue(), FRESH)
    assert isinstance(left, WaitForVenue)
    assert isinstance(tell, RaiseIncident)
    assert "has been unknown for 60 minutes" in tell.incident.reason
    assert reconcile(ledger(one, incidents=[tell.incident]), venue(), FRESH) == [left]


@pytest.mark.parametrize("units", [1.5, 2.5])
def test_entry_that_the_venue_sizes_is_filled_once_its_units_are_recorded(units: float) -> None:
    plain = intent(state=O.PARTIALLY_FILLED, filled_units=units)
    sized = replace(plain, request=replace(plain.request, at_fill=EquitySize(1.0, 200.0)))

    (action,) = reconcile(ledger(sized), venue({sized: order_of(sized, O.FILLED, units)}), FRESH)
    assert isinstance(action, UpdateOrder)
    assert action.state is O.FILLED

    waiting = replace(sized, state=O.ACCEPTED, filled_units=0.0)
    (action,) = reconcile(ledger(waiting), venue({waiting: order_of(waiting, O.FILLED, units)}), FRESH)
    assert isinstance(action, WaitForVenue)
