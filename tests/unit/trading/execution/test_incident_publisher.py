"""Each incident is published at least once, whatever the worker dies of."""

import pytest

from tests.fakes import Desk
from tests.unit.trading.execution.desks import SHOWN, STRATEGY, by_hand, incidents, published_incidents
from trading.errors import Transient
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.orders import VenuePosition
from trading_orchestrator.testing.candles import SYMBOL, at_place

HALT = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "the ledger holds 2 units, the venue 3")


def test_close_requested_while_halted_is_remembered_and_reported(desk: Desk) -> None:
    desk.ledger.open_incidents([HALT])
    desk.play(SHOWN + 7)

    assert published_incidents(desk) == ["position_mismatch", "close_refused"]
    [row] = [row for row in desk.ledger.incidents(SYMBOL) if not row["halts"]]
    assert (row["key"], row["details"]["units"], row["details"]["open_ms"]) == (STRATEGY, 2.0, at_place(SHOWN + 5))
    assert row["reason"].endswith("celery -A tasks trading flatten XAUUSD")
    assert "2026-03-02 00:15 UTC" in row["reason"]
    [halting] = [row for row in desk.ledger.incidents(SYMBOL) if row["halts"]]
    desk.ledger.resolve_incident(halting["id"], "it was a display error")
    assert incidents(desk) == [IncidentKind.CLOSE_REFUSED]  # it is there for whoever has resolved the other one
    desk.pipeline.flatten("as told")
    desk.play(SHOWN + 9)
    assert desk.ledger.positions()[0].units == 0.0
    assert incidents(desk) == []
    assert desk.ledger.incidents(SYMBOL, only_open=False)[0]["resolution"] == "the position was closed since"


def test_incident_whose_event_never_left_the_worker_is_reported_by_the_next_one(desk: Desk) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()
    desk.pipeline.reconcile()
    assert published_incidents(desk) == ["foreign_order"]  # waiting to leave is not told again
    desk.restart()
    assert published_incidents(desk) == []
    desk.pipeline.reconcile()

    assert published_incidents(desk) == ["foreign_order"]
    desk.flush()
    assert desk.ledger.unpublished(SYMBOL) == []
    desk.restart()
    desk.pipeline.reconcile()
    assert published_incidents(desk) == ["foreign_order"]


def test_incident_whose_report_could_not_be_recorded_is_reported_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()

    def locked(_: object) -> None:
        raise Transient("ledger", "database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "mark_published", locked)
        desk.flush()
    assert [one.kind for one in desk.ledger.unpublished(SYMBOL)] == [IncidentKind.FOREIGN_ORDER]
    desk.pipeline.reconcile()
    desk.flush()

    assert published_incidents(desk) == ["foreign_order", "foreign_order"]
    assert desk.ledger.unpublished(SYMBOL) == []


def test_reconcile_mismatch_that_passes_while_it_is_looked_at_is_not_reported(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [[VenuePosition(SYMBOL, "x", 3.0, 100.0)]] * 3
    positions = desk.paper.positions
    monkeypatch.setattr(desk.paper, "positions", lambda: answers.pop() if answers else positions())

    assert desk.pipeline.reconcile() == []
    assert published_incidents(desk) == []
    assert len(desk.slept_s) == 3


def test_reconcile_foreign_order_at_the_venue_is_reported_once_and_halts_nothing(desk: Desk) -> None:
    desk.paper.submit(by_hand())
    desk.pipeline.reconcile()
    assert published_incidents(desk) == ["foreign_order"]
    desk.flush()
    slept = len(desk.slept_s)
    desk.restart()
    desk.pipeline.reconcile()

    assert published_incidents(desk) == ["foreign_order"]
    assert len(desk.slept_s) == slept  # what was told is not waited for again
    assert not any(kind.halts for kind in incidents(desk))
