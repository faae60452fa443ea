"""Fills that arrive late, of an order that was given up, or of an order that is not ours."""

import pytest

from tests.fakes import Crash, Databases, Desk, Fuse
from tests.unit.trading.execution.desks import BUY, SHOWN, incidents, make_desk, published_incidents
from trading.incidents.incident import IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL


@pytest.mark.parametrize("after", [False, True])
def test_fill_that_came_late_is_reported_whatever_the_worker_died_of(databases: Databases, *, after: bool) -> None:
    for at in range(1, 40):
        fuse = Fuse(at, after=after)
        desk = make_desk(databases, {SHOWN: BUY}, venue={"kind": "paper", "fill_at": "next_open"})
        desk.advance()
        desk.advance(show=1)
        [identity] = desk.venue.submitted
        desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
        desk.paper.sync(SYMBOL, desk.source.candles[: SHOWN + 2])
        desk.watch(fuse)
        try:
            desk.advance(show=1)
        except Crash:
            desk.restart()
        else:
            assert at > len(fuse.calls) > 4
            break
        desk.pipeline.reconcile()
        desk.flush()
        where = f"crash {'after' if after else 'before'} {fuse.calls[at - 1]}"
        assert "late_fill" in published_incidents(desk), where
        assert desk.ledger.unpublished(SYMBOL) == [], where


def test_book_fill_of_an_order_that_was_abandoned_is_recorded_and_reported(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
    desk.advance(show=1)

    assert published_incidents(desk) == ["late_fill"]
    assert desk.ledger.positions()[0].units == 2.0
    [state] = {state for name, _, state in desk.orders() if name == identity}
    assert state == "filled"


def test_reconcile_that_finds_a_position_has_its_candles_reach_the_venue_again(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.advance(show=1)
    [identity] = desk.venue.submitted
    desk.ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
    desk.paper.sync(SYMBOL, desk.source.candles[: SHOWN + 2])
    desk.store.lose_exposure(SYMBOL)
    desk.pipeline.reconcile()

    assert desk.ledger.positions()[0].is_open
    assert desk.store.load(SYMBOL).has_exposure


def test_fill_by_hand_without_any_id_of_ours_is_reported_and_not_recorded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fills = desk.paper.fills(SYMBOL, after=0)
    strange = replace(fills[-1], fill_id="web-1", client_order_id="", sequence=fills[-1].sequence + 1)
    monkeypatch.setattr(desk.paper, "fills", lambda *_, **__: [*fills, strange])
    desk.pipeline.reconcile()

    assert IncidentKind.FOREIGN_FILL in incidents(desk)
    assert desk.ledger.positions()[0].units == 2.0
