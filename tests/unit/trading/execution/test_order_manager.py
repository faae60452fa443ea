"""The outcome of orders when the venue is faulty, loses them or shows foreign ones, and when the process dies
meanwhile.
"""

import pytest

from tests.fakes import Databases, Desk
from tests.unit.trading.execution.desks import BUY, SHOWN, incidents, make_desk, published_incidents
from trading.errors import Rejected
from trading.execution.reconciliation import CancelOrder
from trading.incidents.incident import IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState, VenuePosition
from trading_orchestrator.testing.candles import SYMBOL


def test_reconcile_when_ledger_and_venue_agree_does_nothing(desk: Desk) -> None:
    assert desk.pipeline.reconcile() == []
    assert incidents(desk) == []


def test_reconcile_position_that_the_venue_does_not_have_halts_the_symbol_until_it_is_resolved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [VenuePosition(SYMBOL, "x", 3.0, 100.0), VenuePosition("OTHER", "x", 9.0, 1.0)]
    monkeypatch.setattr(desk.paper, "positions", lambda: elsewhere)
    desk.pipeline.reconcile()
    desk.pipeline.reconcile()

    assert published_incidents(desk) == ["position_mismatch"]
    assert "the ledger holds 2 units of XAUUSD, the venue 3" in desk.ledger.incidents_of(SYMBOL)[0].reason
    desk.play(SHOWN + 7)
    assert "halted" in desk.journal[SHOWN + 5]
    assert desk.ledger.positions()[0].units == 2.0

    monkeypatch.undo()
    [row] = [row for row in desk.ledger.incidents(SYMBOL) if row["halts"]]
    assert desk.ledger.resolve_incident(row["id"], "traded by hand, closed again") is not None
    assert desk.ledger.resolve_incident(row["id"], "again") is None
    assert incidents(desk) == [IncidentKind.CLOSE_REFUSED]
    assert desk.pipeline.reconcile() == []


def test_reconcile_stop_that_is_gone_from_the_venue_and_is_not_taken_again_is_reported(desk: Desk) -> None:
    [stop] = desk.paper.open_orders(SYMBOL)
    desk.paper.cancel(stop.client_order_id)
    desk.venue.fail("move_stop", Rejected("stop_loss", "too near to the market"))
    desk.pipeline.reconcile()

    assert incidents(desk) == [IncidentKind.UNPROTECTED]
    desk.play(SHOWN + 8)
    assert desk.ledger.positions()[0].units == 0.0  # a naked position may still be closed


def test_reconcile_order_that_the_venue_took_and_lost_halts_and_ends_when_it_is_resolved(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    monkeypatch.setattr(desk.paper, "find", lambda _: None)
    desk.pipeline.reconcile()

    [row] = desk.ledger.incidents(SYMBOL)
    assert (row["kind"], row["halts"]) == ("order_lost", True)
    desk.ledger.resolve_incident(row["id"], "the venue confirms that it has none")
    assert desk.ledger.unsettled(SYMBOL) == []
    assert [type(action) for action in desk.pipeline.reconcile()] == [CancelOrder]  # it had it after all


def test_reconcile_order_that_we_gave_up_and_that_rests_at_the_venue_is_cancelled_there(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    ended = desk.ledger.unsettled(SYMBOL)[0]
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED, reason="as if it had never been sent"))
    desk.pipeline.reconcile()

    found = desk.paper.find(identity)
    assert (found and found.state, ended.state) == (OrderState.CANCELED, OrderState.ACCEPTED)
