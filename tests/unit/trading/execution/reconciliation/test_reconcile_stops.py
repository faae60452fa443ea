"""Reconciliation of stops: when a recorded move is sent again."""

import pytest

from tests.unit.trading.execution.reconciliation.snapshots import FRESH, MOVE, MOVED, STOP, O, ledger, venue
from trading.execution.reconciliation import LedgerSnapshot, RaiseIncident, ResendStop, WaitForStop, describe, reconcile
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import OpenOrder
from trading.structs import replace

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
def test_reconcile_stop_that_no_move_explains_is_reported(open_orders: list[OpenOrder]) -> None:
    (action,) = reconcile(moved_ledger(), venue(units=2.0, open_orders=open_orders), FRESH)
    assert isinstance(action, RaiseIncident)
    assert action.incident.kind is IncidentKind.UNPROTECTED


def test_reconcile_stop_with_a_rejected_move_alone_is_reported() -> None:
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
