"""The events that orders, fills and verdicts cause."""

import pytest

from trading.events.event import Event, EventType, correlation_id
from trading.execution import order_events
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side, VenueOrder
from trading.portfolio.positions import Position, StopMove
from trading.risk.verdict import PlannedOrder, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.candles import START_MS, SYMBOL

CAUSE = correlation_id(SYMBOL, "1m", START_MS)
SIGNAL = Signal(strategy="ema", open_ms=START_MS, side=SignalSide.BUY, price=100.0, reason="crossed")
REQUEST = OrderRequest("XAUUSD-1-e-abc", SYMBOL, "ema", Leg.ENTRY, Side.BUY, 2.0, 100.0, START_MS + 60_000, 95.0)
FLAT = Position(SYMBOL, "ema")
LONG = Position(SYMBOL, "ema", 2.0, 100.0, START_MS)


def fill(leg: Leg, side: Side, units: float = 2.0, price: float = 101.0) -> Fill:
    return Fill(1, "f1", REQUEST.client_order_id, SYMBOL, "ema", leg, side, units, price, 0.5, START_MS + 60_000)


def events_of(one: Fill, before: Position) -> list[Event]:
    return list(order_events.fill_events(one, before, before.after(one), CAUSE))


@pytest.mark.parametrize(
    ("leg", "side", "units", "before", "expected"),
    [
        (Leg.ENTRY, Side.BUY, 2.0, FLAT, ["ORDER_FILLED", "POSITION_OPENED", "TRADE_EXECUTED"]),
        (Leg.ENTRY, Side.BUY, 2.0, LONG, ["ORDER_FILLED", "POSITION_MODIFIED", "TRADE_EXECUTED"]),
        (Leg.EXIT, Side.SELL, 1.0, LONG, ["ORDER_FILLED", "POSITION_MODIFIED", "TRADE_EXECUTED"]),
        (Leg.EXIT, Side.SELL, 2.0, LONG, ["ORDER_FILLED", "POSITION_CLOSED", "TRADE_EXECUTED"]),
        (Leg.STOP_LOSS, Side.SELL, 2.0, LONG, ["ORDER_FILLED", "STOP_LOSS_HIT", "POSITION_CLOSED", "TRADE_EXECUTED"]),
        (Leg.TAKE_PROFIT, Side.SELL, 2.0, LONG, ["ORDER_FILLED", "POSITION_CLOSED", "TRADE_EXECUTED"]),
    ],
)
def test_fill_reports_what_it_did_to_order_and_position(
    leg: Leg, side: Side, units: float, before: Position, expected: list[str]
) -> None:
    events = events_of(fill(leg, side, units), before)

    assert [event.type for event in events] == expected
    assert {(event.symbol, event.correlation_id, event.market_ms) for event in events} == {
        (SYMBOL, CAUSE, START_MS + 60_000)
    }


def test_fill_reports_what_it_realised_after_fees() -> None:
    [filled, *_] = events_of(fill(Leg.EXIT, Side.SELL, price=110.0), LONG)

    assert filled.details["realised"] == pytest.approx(2.0 * 10.0 - 0.5)
    assert filled.details["position_units"] == 0.0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (RiskDecision("ok", "fine", (PlannedOrder(REQUEST),)), []),
        (RiskDecision("paused", "no entries"), [EventType.SIGNAL_REJECTED]),
        (
            RiskDecision("max_daily_loss", "too much", breached=True),
            [EventType.RISK_LIMIT_BREACHED, EventType.SIGNAL_REJECTED],
        ),
        (
            RiskDecision("max_daily_loss", "exit only", (PlannedOrder(REQUEST),), breached=True),
            [EventType.RISK_LIMIT_BREACHED],
        ),
    ],
    ids=["accepted", "refused", "breached", "breached-but-exits"],
)
def test_verdict_reports_refusals_and_breaches(verdict: RiskDecision, expected: list[EventType]) -> None:
    events = list(order_events.decision_events(SIGNAL, verdict, SYMBOL, CAUSE))

    assert [event.type for event in events] == expected
    assert all(event.details["rule"] == verdict.rule and event.reason == verdict.reason for event in events)


def test_order_and_its_troubles_name_order_and_cause() -> None:
    events = [
        order_events.order_event(REQUEST, VenueOrder(REQUEST.client_order_id, "paper-1", OrderState.ACCEPTED), CAUSE),
        order_events.failure_event(REQUEST, "the venue refused it", CAUSE),
        order_events.cancel_event(REQUEST, "never sent, and now 90 s too old", CAUSE),
    ]

    assert [event.type for event in events] == [
        EventType.ORDER_CREATED,
        EventType.TRADE_FAILED,
        EventType.ORDER_CANCELLED,
    ]
    assert {event.details["client_order_id"] for event in events} == {REQUEST.client_order_id}
    assert {event.correlation_id for event in events} == {CAUSE}
    assert events[2].reason == "never sent, and now 90 s too old"


@pytest.mark.parametrize(
    ("before", "expected"),
    [(None, "from none to 104321.37: up"), (104_321.25, "from 104321.25 to 104321.37: up")],
)
def test_stop_that_was_moved_is_reported_with_all_digits_of_its_prices(before: float | None, expected: str) -> None:
    move = StopMove(SYMBOL, "ema", START_MS, REQUEST.client_order_id, before, 104_321.37, "up")

    assert order_events.stop_move_event(move, CAUSE).reason == f"the stop of ema {expected}"


def test_incident_names_itself_so_that_it_can_be_recorded_as_published() -> None:
    incident = Incident(IncidentKind.STUCK, SYMBOL, "order-7", "no answer for ten minutes", {"key": "of no use"})
    event = order_events.incident_event(incident)

    assert (event.type, event.symbol, event.reason) == (EventType.INCIDENT_OPENED, SYMBOL, incident.reason)
    assert event.details == {"kind": "stuck", "key": "order-7", "halts": False}
