"""Events: what happened, on the local and the Redis bus.

`correlation_id` is the same from a candle to its fills.
"""

from enum import StrEnum
from typing import Any

from pydantic import Field

from trading.strategies.signal import Signal
from trading.structs import Frozen


class EventType(StrEnum):
    """Every event of the local and the Redis bus."""

    NEW_CANDLE = "NEW_CANDLE"
    DATA_FETCH_FAILED = "DATA_FETCH_FAILED"
    INDICATORS_UPDATED = "INDICATORS_UPDATED"
    REGIME_CHANGED = "REGIME_CHANGED"
    SIGNAL_GENERATED = "SIGNAL_GENERATED"
    SIGNAL_VALIDATED = "SIGNAL_VALIDATED"
    SIGNAL_REJECTED = "SIGNAL_REJECTED"
    TRADE_EXECUTED = "TRADE_EXECUTED"
    TRADE_FAILED = "TRADE_FAILED"
    SERVICE_STARTED = "SERVICE_STARTED"
    SERVICE_STOPPED = "SERVICE_STOPPED"
    SERVICE_ERROR = "SERVICE_ERROR"
    ORCHESTRATOR_STARTED = "ORCHESTRATOR_STARTED"
    ORCHESTRATOR_STOPPED = "ORCHESTRATOR_STOPPED"
    ORCHESTRATOR_PAUSED = "ORCHESTRATOR_PAUSED"
    ORCHESTRATOR_RESUMED = "ORCHESTRATOR_RESUMED"
    ORCHESTRATOR_INITIALIZING = "ORCHESTRATOR_INITIALIZING"
    ORCHESTRATOR_ERROR = "ORCHESTRATOR_ERROR"
    ORCHESTRATOR_RECOVERING = "ORCHESTRATOR_RECOVERING"
    ORCHESTRATOR_QUARANTINED = "ORCHESTRATOR_QUARANTINED"
    SYMBOL_RESTARTED = "SYMBOL_RESTARTED"
    ORDER_CREATED = "ORDER_CREATED"
    ORDER_FILLED = "ORDER_FILLED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    POSITION_OPENED = "POSITION_OPENED"
    POSITION_CLOSED = "POSITION_CLOSED"
    POSITION_MODIFIED = "POSITION_MODIFIED"
    RISK_LIMIT_BREACHED = "RISK_LIMIT_BREACHED"
    STOP_LOSS_HIT = "STOP_LOSS_HIT"
    INCIDENT_OPENED = "INCIDENT_OPENED"
    INCIDENT_RESOLVED = "INCIDENT_RESOLVED"
    CONFIG_CHANGED = "CONFIG_CHANGED"
    MESSAGE_REJECTED = "MESSAGE_REJECTED"


LOCAL_ONLY = frozenset({EventType.NEW_CANDLE, EventType.INDICATORS_UPDATED})
"""Events of every candle: they stay inside the worker, all others also go to Redis."""


class Event(Frozen):
    """One thing that happened.

    Attributes:
        symbol: None for what concerns the whole account.
        correlation_id: Names the candle that caused it, as `XAUUSD:1m:1774360800000`.
        market_ms: Market time in milliseconds since the epoch, UTC; never the wall clock.
        reason: Why, in words a trader understands.
        details: JSON-safe numbers and names that belong to it.
    """

    type: EventType
    symbol: str | None = None
    correlation_id: str = ""
    market_ms: int = 0
    reason: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


def of_signal(
    kind: EventType,
    symbol: str,
    signal: Signal,
    correlation_id: str,
    *,
    reason: str | None = None,
    rule: str | None = None,
) -> Event:
    """Return the event of a signal, or of its decision.

    Args:
        reason: The event's text; the signal's own if None.
    """
    details = signal.model_dump(mode="json", exclude={"open_ms", "closed_ms"}, exclude_none=True)
    if rule is not None:
        details["rule"] = rule
    return Event(
        type=kind,
        symbol=symbol,
        correlation_id=correlation_id,
        market_ms=signal.open_ms,
        reason=signal.words if reason is None else reason,
        details=details,
    )


def correlation_id(symbol: str, timeframe: str, open_ms: int) -> str:
    """Name what a candle causes, from the candle to its fills."""
    return f"{symbol}:{timeframe}:{open_ms}"
