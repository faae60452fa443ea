"""Stops that are moved: recorded, sent, and sent again until the venue has them."""

from typing import Any

import pytest

from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from tests.unit.trading.execution.desks import BUY, CLOSE, SHOWN, STRATEGY, incidents, stop_events
from trading.errors import Rejected, Transient
from trading.events.event import EventType
from trading.execution.order_manager import OrderManager
from trading.execution.reconciliation import ResendStop
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, protective_order_id
from trading.portfolio.positions import StopMove
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles

HELD = {SHOWN: BUY, SHOWN + 12: CLOSE}


def held_desk(databases: Databases, **options: Any) -> Desk:
    """Return a desk that holds two units with a stop far away, whose next candle is not shown yet."""
    config = system_config(planned(HELD, stop_distance=50.0), **options.pop("config", {}))
    desk = Desk(databases, config, make_candles(60), shown=SHOWN, **options)
    desk.advance()
    desk.play(SHOWN + 2)
    return desk


def settlement_of(desk: Desk) -> OrderManager:
    return desk.pipeline.execute._order_manager


def move(desk: Desk, stop_loss: float, *, place: int = SHOWN + 1) -> StopMove | None:
    return settlement_of(desk).move_stop(STRATEGY, at_place(place), stop_loss, "by the test", at_place(place + 1))


def resting(desk: Desk) -> list[float | None]:
    return [order.price for order in desk.paper.open_orders(SYMBOL)]


def test_stop_that_is_moved_is_recorded_rests_at_the_venue_and_is_reported_once(databases: Databases) -> None:
    desk = held_desk(databases)
    first, again = move(desk, 90.0), move(desk, 90.0)

    assert first is not None
    assert (first, first.refusal) == (again, "")
    assert resting(desk) == [90.0]
    assert desk.ledger.positions()[0].stop_loss == 90.0
    [event] = desk.events_of(EventType.POSITION_MODIFIED)
    assert event.reason == f"the stop of {STRATEGY} from {first.before:g} to 90: by the test"
    assert event.details["client_order_id"] == protective_order_id(first.entry_id, Leg.STOP_LOSS)
    assert desk.pipeline.reconcile() == []


@pytest.mark.parametrize("after", [False, True])
def test_stop_whose_move_is_not_answered_is_requested_and_moved_again(databases: Databases, *, after: bool) -> None:
    desk = held_desk(databases)
    desk.venue.fail("move_stop", Transient("venue", "no answer"), after=after)
    moved = move(desk, 90.0)

    assert moved is not None
    assert resting(desk) == [90.0]
    assert stop_events(desk) == [90.0]
    assert incidents(desk) == []


def test_stop_that_cannot_be_moved_in_time_lets_no_later_candle_pass_until_it_is(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.venue.silent.add("move_stop")
    with pytest.raises(Transient):
        move(desk, 90.0)
    assert desk.ledger.positions()[0].stop_loss == 90.0
    assert stop_events(desk) == []
    synced: list[str] = []
    desk.watch(Fuse())
    desk.venue.silent.add("positions")  # so that nothing is compared, and the candle alone asks for it
    with pytest.raises(Transient):
        desk.advance(show=1)
    assert (desk.cursor, synced) == (SHOWN + 1, [])

    desk.venue.silent.clear()
    desk.advance()
    assert desk.cursor == SHOWN + 2
    assert resting(desk) == [90.0]


def test_stop_that_a_dead_process_wrote_down_is_moved_before_anything_else(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.watch(Fuse(2, after=False))
    with pytest.raises(Crash, match="before move_stop"):
        move(desk, 90.0)
    assert (desk.ledger.positions()[0].stop_loss, resting(desk)) != (90.0, [90.0])
    desk.restart()

    assert [type(action) for action in desk.pipeline.reconcile()] == [ResendStop]
    assert resting(desk) == [90.0]
    assert incidents(desk) == []
    moved = move(desk, 90.0)
    assert moved is not None
    assert stop_events(desk) == [90.0], "told when its candle came again"


def test_stop_that_a_dead_process_recorded_stays_while_an_incident_halts_the_symbol(databases: Databases) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    strategy = desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "x", "another hand")])
    desk.restart()
    order_manager = settlement_of(desk)
    order_manager.book(make_candles(60)[SHOWN + 2 : SHOWN + 3], None)

    assert resting(desk) == before != [90.0]


def test_stop_recorded_before_the_symbol_was_stopped_is_not_sent_and_no_candle_is_shown(databases: Databases) -> None:
    desk = held_desk(databases)
    before, strategy = resting(desk), desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.restart()
    desk.ledger.set_desired(SYMBOL, DesiredState.STOPPED, reason="test")  # in mid-chain: its candles are fetched

    with pytest.raises(Transient, match="a recorded stop is not moved"):
        settlement_of(desk).book(make_candles(60)[SHOWN + 2 : SHOWN + 3], None)
    assert resting(desk) == before != [90.0]

    desk.ledger.set_desired(SYMBOL, DesiredState.RUNNING, reason="test")
    settlement_of(desk).book(make_candles(60)[SHOWN + 2 : SHOWN + 3], None)
    assert resting(desk) == [90.0]


def test_stop_whose_candle_comes_again_is_not_sent_while_the_symbol_is_stopped(databases: Databases) -> None:
    desk = held_desk(databases)
    before, strategy = resting(desk), desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.ledger.set_desired(SYMBOL, DesiredState.STOPPED, reason="test")

    with pytest.raises(Transient, match="a recorded stop is not moved"):
        move(desk, 90.0)

    assert resting(desk) == before != [90.0]
    assert stop_events(desk) == []


def test_stop_without_an_answer_is_not_sent_again_after_the_symbol_was_stopped(databases: Databases) -> None:
    desk = held_desk(databases)
    before, open_orders_of_venue = resting(desk), desk.venue.open_orders

    def stopped_meanwhile(symbol: str) -> Any:
        desk.ledger.set_desired(SYMBOL, DesiredState.STOPPED, reason="test")
        return open_orders_of_venue(symbol)

    desk.venue.fail("move_stop", Transient("venue", "no answer"))
    desk.venue.open_orders = stopped_meanwhile  # type: ignore[method-assign]  # asked between two sends

    with pytest.raises(Transient, match="a recorded stop is not moved"):
        move(desk, 90.0)
    assert resting(desk) == before


def test_stop_that_the_venue_rejects_to_move_stays_and_is_reported(databases: Databases) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    desk.venue.fail("move_stop", Rejected("stop_loss", "too near to the market"))
    moved = move(desk, 90.0)

    assert moved is not None
    assert moved.refusal == "the venue refused it: stop_loss: too near to the market"
    assert [desk.ledger.positions()[0].stop_loss] == before == resting(desk)
    [event] = desk.events_of(EventType.TRADE_FAILED)
    assert event.reason.endswith("too near to the market")
    assert move(desk, 90.0) == moved
    assert desk.pipeline.reconcile() == []


@pytest.mark.parametrize("by_reconcile", [True, False])
def test_stop_that_the_venue_rejects_when_it_is_sent_again_is_reported_once(
    databases: Databases, *, by_reconcile: bool
) -> None:
    desk = held_desk(databases)
    before = resting(desk)
    strategy = desk.ledger.positions()[0].strategy
    desk.ledger.move_stop(SYMBOL, strategy, at_place(SHOWN + 1), 90.0, "test", correlation_id="test")
    desk.restart()  # the process that wrote it down died
    desk.venue.fail("move_stop", Rejected("stop_loss", "too near to the market"))

    if by_reconcile:
        desk.pipeline.reconcile()
    desk.play(SHOWN + 3)
    desk.pipeline.reconcile()

    assert [desk.ledger.positions()[0].stop_loss] == before == resting(desk)
    [event] = desk.events_of(EventType.TRADE_FAILED)
    assert event.reason.endswith("too near to the market")


def test_stop_that_an_operator_moved_at_the_venue_is_an_incident_and_is_left_there(databases: Databases) -> None:
    desk = held_desk(databases)
    moved = move(desk, 90.0)
    assert moved is not None
    desk.paper.move_stop(moved.entry_id, 85.0, at_place(SHOWN + 1))
    desk.pipeline.reconcile()
    desk.restart()
    desk.play(SHOWN + 3)

    assert incidents(desk) == [IncidentKind.UNPROTECTED]
    assert resting(desk) == [85.0]


def test_stop_that_is_shown_late_is_waited_for_and_no_incident(databases: Databases) -> None:
    desk = held_desk(databases, faults=Faults(seed=2, visibility_s=2.0))
    assert desk.pipeline.reconcile() == []
    settlement_of(desk).is_settled = False
    moved = move(desk, 90.0)

    assert moved is not None
    assert resting(desk) == [90.0]
    assert incidents(desk) == []
    assert desk.pipeline.reconcile() == []


def test_stop_in_a_dry_run_is_not_moved(databases: Databases) -> None:
    desk = held_desk(databases)
    desk.config = system_config(
        planned(HELD, stop_distance=50.0), services={"trade_execution": {"execution_mode": "dry"}}
    )
    desk.restart()
    before = resting(desk)

    assert move(desk, 90.0) is None
    assert resting(desk) == before
