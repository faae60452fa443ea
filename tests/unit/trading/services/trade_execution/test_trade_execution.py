"""The fourth stage: orders, events and the trading state."""

import pytest

from tests.fakes import Databases, Desk
from tests.unit.trading.services.trade_execution.desks import (
    BUY,
    CLOSE,
    REFUSED,
    SELL,
    SHOWN,
    held,
    make_desk,
    sent,
    told,
)
from trading.errors import Transient
from trading.events.event import EventType, correlation_id
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OrderRequest, OrderState, Side, client_order_id
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, at_place


def test_execution_writes_the_intent_before_the_venue_sees_the_order(desk: Desk) -> None:
    desk.venue.fail("submit", RuntimeError("the line is cut"))

    with pytest.raises(RuntimeError):
        desk.advance(show=1)

    assert sent(desk) == [("entry", "submitting")]
    assert desk.venue.submitted == []


def test_execution_of_entry_and_exit_ends_flat_with_each_order_sent_once(desk: Desk) -> None:
    desk.play(SHOWN + 6)

    assert sent(desk) == [("entry", "filled"), ("exit", "filled")]
    assert len(desk.venue.submitted) == len(set(desk.venue.submitted)) == 2
    assert held(desk) == 0.0
    assert not desk.store.load(SYMBOL).has_exposure
    kinds = [event.type for event in desk.events if event.type.startswith(("ORDER", "POSITION", "TRADE"))]
    assert kinds == [
        *("ORDER_CREATED", "ORDER_FILLED", "POSITION_OPENED", "TRADE_EXECUTED"),
        *("ORDER_CREATED", "ORDER_FILLED", "POSITION_CLOSED", "TRADE_EXECUTED"),
    ]


def test_execution_events_of_an_order_and_its_fill_name_the_candle_decided_on(desk: Desk) -> None:
    desk.play(SHOWN + 2)

    causes = {event.correlation_id for event in desk.events_of(EventType.ORDER_CREATED, EventType.ORDER_FILLED)}
    assert causes == {correlation_id(SYMBOL, "1m", at_place(SHOWN))}


def test_execution_of_a_stop_reports_that_it_was_hit_and_closes(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.play(SHOWN + 2)
    desk.source.spoil(SHOWN + 3, low=50.0)
    desk.play(SHOWN + 4)

    assert len(desk.events_of(EventType.STOP_LOSS_HIT)) == 1
    assert held(desk) == 0.0


def test_execution_rejected_by_the_venue_is_rejected_and_reported_and_never_sent_again(desk: Desk) -> None:
    desk.venue.fail("submit", REFUSED)
    desk.play(SHOWN + 3)

    assert sent(desk) == [("entry", "rejected")]
    assert desk.venue.submitted == []
    assert told(desk, EventType.TRADE_FAILED) == ["the venue refused it: margin: not enough money"]
    assert not desk.store.load(SYMBOL).has_exposure


def test_execution_order_that_ended_at_the_venue_unseen_is_noticed_at_the_next_signal(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: BUY, SHOWN + 4: BUY})
    desk.advance()
    desk.advance(show=1)
    desk.paper.cancel(desk.venue.submitted[0])
    desk.play(SHOWN + 7)

    assert "unsettled" in desk.journal[SHOWN + 2]
    assert sent(desk) == [("entry", "canceled"), ("entry", "filled")]
    assert held(desk) == 2.0


def test_execution_reversal_closes_then_opens_the_other_way(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL})
    desk.advance()
    desk.play(SHOWN + 6)

    assert sent(desk) == [("entry", "filled"), ("exit", "filled"), ("entry", "filled")]
    assert held(desk) == -2.0


def test_execution_of_an_order_by_hand_at_the_venue_is_reported_and_halts_the_symbol(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: CLOSE}, venue={"kind": "paper", "fill_at": "close"})
    desk.advance()
    desk.play(SHOWN + 3)
    strategy, decided_ms = desk.ledger.positions()[0].strategy, at_place(SHOWN + 3)
    by_hand = client_order_id("by-hand", SYMBOL, strategy, decided_ms, Leg.EXIT)
    desk.paper.submit(OrderRequest(by_hand, SYMBOL, strategy, Leg.EXIT, Side.SELL, 2.0, 100.0, decided_ms))
    desk.play(SHOWN + 6)

    assert held(desk) == 2.0  # nothing is made up
    assert desk.ledger.unsettled(SYMBOL) == []
    kinds = [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]
    assert kinds == [IncidentKind.FOREIGN_FILL, IncidentKind.POSITION_MISMATCH, IncidentKind.CLOSE_REFUSED]
    assert len(desk.events_of(EventType.INCIDENT_OPENED)) == 3


def test_execution_dry_run_writes_decisions_down_and_sends_nothing(databases: Databases) -> None:
    services = {"trade_execution": {"execution_mode": "dry"}}
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: SELL}, services=services)
    desk.advance()
    desk.play(SHOWN + 6)

    assert [row["outcome"] for row in desk.ledger.decisions()] == ["dry", "dry"]
    assert "dry run" in desk.journal[SHOWN]
    assert (sent(desk), desk.venue.submitted) == ([], [])
    assert desk.events_of(EventType.ORDER_CREATED) == []
    assert not desk.store.load(SYMBOL).has_exposure


def test_execution_that_is_not_enabled_writes_the_decision_down_and_sends_nothing(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, services={"trade_execution": {"enabled": False}})
    desk.advance()
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DISABLED
    assert "not enabled" in desk.journal[SHOWN]
    assert (sent(desk), desk.venue.submitted, desk.ledger.decisions()) == ([], [], [])


def test_execution_of_a_pause_requested_after_the_chain_began_is_rejected_by_the_ledger(desk: Desk) -> None:
    desk.ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="the store has not heard of it yet")
    desk.advance(show=1)

    assert "paused" in desk.journal[SHOWN]
    assert sent(desk) == []
    [event] = desk.events_of(EventType.SIGNAL_REJECTED)
    assert event.details["rule"] == "paused"


def test_execution_rejected_by_an_account_limit_reports_the_breach(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, account={"max_daily_loss": 1.0})
    desk.advance()
    desk.advance(show=1)

    assert "max_daily_loss" in desk.journal[SHOWN]
    assert len(desk.events_of(EventType.RISK_LIMIT_BREACHED)) == 1
    assert sent(desk) == []


def test_execution_of_the_same_candle_twice_decides_once(desk: Desk) -> None:
    desk.advance(show=1)
    journal, books = desk.journal, desk.books()
    desk.store.seed(
        SYMBOL,
        desk.source.candles[:SHOWN],
        timeframe="1m",
        cursor_ms=at_place(SHOWN - 1),
        desired=DesiredState.RUNNING,
    )
    result = desk.advance()

    assert result.reason is ChainOutcome.DECIDED
    assert (desk.books(), desk.journal) == (books, journal)
    assert len(desk.venue.submitted) == 1


def test_execution_error_is_counted_and_the_next_message_recovers(desk: Desk) -> None:
    states: list[str] = []
    service = desk.pipeline.execute
    desk.pipeline.bus.subscribe(lambda _: states.append(service.state.value), EventType.ORDER_CREATED)
    desk.venue.silent = {"sync"}

    with pytest.raises(Transient):
        desk.advance(show=1)
    desk.venue.silent = set()
    assert (service.get_status()["state"], service.get_status()["error_count"]) == ("error", 1)
    desk.advance()

    assert states == ["recovering"]
    assert (service.state.value, service.get_status()["recovery_attempts"]) == ("running", 0)
    assert desk.cursor == SHOWN


def test_execution_events_are_published_once_when_a_commit_fails_and_is_repeated(desk: Desk) -> None:
    desk.advance(show=1)
    desk.store.failures = [Transient("redis", "no answer")] * 2
    for show in (1, 0):
        with pytest.raises(Transient):
            desk.advance(show=show)
    desk.play(SHOWN + 6)

    for kind in (EventType.ORDER_CREATED, EventType.ORDER_FILLED, EventType.TRADE_EXECUTED):
        assert len(desk.events_of(kind)) == 2
    for kind in (EventType.POSITION_OPENED, EventType.POSITION_CLOSED):
        assert len(desk.events_of(kind)) == 1


def test_execution_states_of_the_ledger_are_final_at_the_end(desk: Desk) -> None:
    desk.play(SHOWN + 8)

    assert all(OrderState(state).is_final for _, _, state in desk.orders())


@pytest.mark.parametrize(("spread", "legs"), [(0.5, ["entry", "exit"]), (0.51, [])])
def test_execution_requests_the_spread_of_the_venue_where_a_rule_needs_it(
    databases: Databases, spread: float, legs: list[str]
) -> None:
    risk = {"units": 2.0, "max_spread": 0.5}
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: CLOSE}, risk=risk, venue={"kind": "paper", "spread": spread})
    desk.advance()
    desk.play(SHOWN + 6)

    assert [leg for leg, _ in sent(desk)] == legs
    assert told(desk, EventType.SIGNAL_REJECTED) == (
        [] if legs else ["the spread is 0.51, allowed are 0.5", f"{SYMBOL} has no open position"]
    )


def test_execution_waits_after_an_exit_where_a_cooldown_is_configured(databases: Databases) -> None:
    plan = {SHOWN: BUY, SHOWN + 2: CLOSE, SHOWN + 3: BUY, SHOWN + 4: BUY, SHOWN + 5: BUY}
    cooldown = [{"method": "CooldownPeriod", "stop_duration_candles": 2}]
    desk = make_desk(databases, plan, protections=cooldown)
    desk.advance()
    desk.play(SHOWN + 8)

    assert [leg for leg, _ in sent(desk)] == ["entry", "exit", "entry"]
    assert [row["rule"] for row in desk.ledger.decisions()[::-1]] == [
        *("ok", "ok", "cooldown_period", "cooldown_period", "ok")
    ]
