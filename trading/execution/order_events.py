"""Events of orders, fills, incidents and risk decisions."""

from collections.abc import Iterator, Mapping

from trading.events.event import Event, EventType
from trading.formatting import format_price, format_units
from trading.incidents.descriptions import describe_stop_move
from trading.incidents.incident import Incident
from trading.orders.orders import Fill, Leg, OrderRequest, VenueOrder, protective_order_id
from trading.portfolio.positions import Position, StopMove
from trading.risk.verdict import RiskDecision
from trading.strategies.signal import Signal


def decision_events(signal: Signal, verdict: RiskDecision, symbol: str, correlation_id: str) -> Iterator[Event]:
    """Yield the events of a rejected signal; none for an accepted one, nor for an entry rejected by a filter."""
    details = {"rule": verdict.rule, "side": signal.side.value, "price": signal.price, "strategy": signal.strategy}
    if verdict.breached:
        yield _event(EventType.RISK_LIMIT_BREACHED, symbol, correlation_id, signal.open_ms, verdict.reason, details)
    if not verdict.is_accepted and signal.entry_refused is None:
        yield _event(EventType.SIGNAL_REJECTED, symbol, correlation_id, signal.open_ms, verdict.reason, details)


def order_event(request: OrderRequest, order: VenueOrder, correlation_id: str) -> Event:
    reason = (
        f"{request.leg.value}: {request.side.value} {format_units(request.units)}, decided at "
        f"{format_price(request.reference_price)}"
    )
    details = {
        "client_order_id": request.client_order_id,
        "venue_order_id": order.venue_order_id,
        "leg": request.leg.value,
        "side": request.side.value,
        "units": request.units,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
    }
    return _event(EventType.ORDER_CREATED, request.symbol, correlation_id, request.decided_ms, reason, details)


def failure_event(request: OrderRequest, reason: str, correlation_id: str) -> Event:
    details = {"client_order_id": request.client_order_id, "leg": request.leg.value, "units": request.units}
    return _event(EventType.TRADE_FAILED, request.symbol, correlation_id, request.decided_ms, reason, details)


def cancel_event(request: OrderRequest, reason: str, correlation_id: str) -> Event:
    details = {"client_order_id": request.client_order_id, "leg": request.leg.value, "units": request.units}
    return _event(EventType.ORDER_CANCELLED, request.symbol, correlation_id, request.decided_ms, reason, details)


def incident_event(incident: Incident) -> Event:
    name = {"kind": incident.kind.value, "key": incident.key, "halts": incident.kind.halts}
    details = {**incident.details, **name}
    return _event(EventType.INCIDENT_OPENED, incident.symbol, "", 0, incident.reason, details)


def fence_event(signal: Signal, symbol: str, correlation_id: str) -> Event:
    """Return the event of a candle that the ledger's fence rejected, because it was decided before."""
    details = {"rule": "fence", "side": signal.side.value, "price": signal.price, "strategy": signal.strategy}
    reason = "this candle, or a later one, was decided before"
    return _event(EventType.SIGNAL_REJECTED, symbol, correlation_id, signal.open_ms, reason, details)


def stop_move_event(move: StopMove, correlation_id: str) -> Event:
    """Return the event of a stop that was moved, or whose move the venue rejected."""
    details = {
        "client_order_id": protective_order_id(move.entry_id, Leg.STOP_LOSS),
        "leg": Leg.STOP_LOSS.value,
        "strategy": move.strategy,
        "stop_loss": move.after,
        "stop_loss_before": move.before,
    }
    kind = EventType.TRADE_FAILED if move.refusal else EventType.POSITION_MODIFIED
    reason = f"{describe_stop_move(move)}: {move.refusal or move.reason}"
    return _event(kind, move.symbol, correlation_id, move.open_ms, reason, details)


def fill_events(fill: Fill, before: Position, after: Position, correlation_id: str) -> Iterator[Event]:
    """Yield the events of a fill: of its order, of the position and of the trade."""
    realised = after.realised - before.realised
    details = {
        "client_order_id": fill.client_order_id,
        "fill_id": fill.fill_id,
        "leg": fill.leg.value,
        "side": fill.side.value,
        "units": fill.units,
        "price": fill.price,
        "fee": fill.fee,
        "realised": realised,
        "position_units": after.units,
    }
    text = f"{fill.leg.value}: {fill.side.value} {format_units(fill.units)} at {format_price(fill.price)}"

    def event(kind: EventType) -> Event:
        return _event(kind, fill.symbol, correlation_id, fill.market_ms, text, details)

    yield event(EventType.ORDER_FILLED)
    if fill.leg is Leg.STOP_LOSS:
        yield event(EventType.STOP_LOSS_HIT)
    if not before.is_open:
        yield event(EventType.POSITION_OPENED)
    elif not after.is_open:
        yield event(EventType.POSITION_CLOSED)
    else:
        yield event(EventType.POSITION_MODIFIED)
    yield event(EventType.TRADE_EXECUTED)


def _event(
    kind: EventType, symbol: str, correlation_id: str, market_ms: int, reason: str, details: Mapping[str, object]
) -> Event:
    return Event(
        type=kind,
        symbol=symbol,
        correlation_id=correlation_id,
        market_ms=market_ms,
        reason=reason,
        details=dict(details),
    )
