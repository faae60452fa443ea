"""What happens: the event types of both buses, and the typed messages that the four stages hand on.

A message names itself by symbol and candle open time; `correlation_id` is the same from a candle to its fills.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
)

from trading.events.decisions import Decisions, signal_words
from trading.events.legacy_text import read_decisions
from trading.indicators.rows import IndicatorRows
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles, timeframe_ms


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


LOCAL_ONLY = frozenset({EventType.NEW_CANDLE, EventType.INDICATORS_UPDATED})
"""Events of every candle: they stay inside the worker, all others also go to Redis."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Event(_Frozen):
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


CandleRow = Annotated[list[float], Field(min_length=6, max_length=6)]
"""`[open_ms, open, high, low, close, volume]`."""

_FINITE = ConfigDict(allow_inf_nan=False)
_CANDLES = TypeAdapter(Annotated[list[CandleRow], Field(min_length=1)], config=_FINITE)
_ROWS = TypeAdapter(tuple[list[str], list[list[float]]], config=_FINITE)


def _candles(given: object) -> Candles:
    candles = given if isinstance(given, Candles) else Candles.from_rows(_CANDLES.validate_python(given))
    if not len(candles) or not np.isfinite(candles.values).all():
        raise ValueError("at least one candle is needed, and none that holds NaN or infinity")
    return candles


def _indicator_rows(given: object) -> IndicatorRows:
    if not isinstance(given, IndicatorRows):
        return IndicatorRows.from_rows(*_ROWS.validate_python(given))
    if not np.isfinite(given.values).all():
        raise ValueError("an indicator is NaN or infinite")
    return given


def _decisions(given: object) -> list[Decisions]:
    if not isinstance(given, list):
        raise ValueError("a list is needed, with the decisions on each candle")  # pydantic takes ValueError
    if set(map(type, given)) <= {tuple}:  # made in this process: a replay hands on thousands at once
        return given
    try:
        return [read_decisions(one) if isinstance(one, str) else msgspec.convert(one, Decisions) for one in given]
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


CandleTable = Annotated[
    InstanceOf[Candles], BeforeValidator(_candles), PlainSerializer(Candles.rows, return_type=list[list[float]])
]
"""Candles, at least one; in JSON a list of `CandleRow`."""

RowTable = Annotated[
    InstanceOf[IndicatorRows],
    BeforeValidator(_indicator_rows),
    PlainSerializer(lambda rows: (list(rows.columns), rows.rows()), return_type=tuple[list[str], list[list[float]]]),
]
"""Indicator rows; in JSON the names of the columns, and a list of `[open_ms, close, *values]`."""


DecisionTable = Annotated[
    list[Decisions], PlainValidator(_decisions), PlainSerializer(msgspec.to_builtins, return_type=list[Any])
]
"""The decisions on each candle; in JSON a list of lists of objects. Version 0.1.0 sent a text for each candle."""


class Regime(StrEnum):
    """What kind of market the candles show."""

    TRENDING_UP = "trending_up"
    TRENDING_DOWN = "trending_down"
    RANGING = "ranging"
    VOLATILE = "volatile"
    UNKNOWN = "unknown"


class SignalSide(StrEnum):
    """What a strategy asks for."""

    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"


class Refusal(_Frozen):
    """Which rule forbids something, and why, with the numbers."""

    rule: str
    reason: str


class Signal(_Frozen):
    """What a strategy said at the close of one candle.

    Attributes:
        open_ms: Open time of that candle.
        price: Its close, in quote currency.
        stop_loss: Price at which the position must end; None for no stop.
        take_profit: Price at which to take the profit; None for no target.
        size_units: Size the strategy asks for; None leaves it to the risk settings.
        entry_refused: Why it may open nothing; it may still end a position that is open the other way.
    """

    strategy: str
    open_ms: int
    side: SignalSide
    price: float = Field(gt=0)
    stop_loss: float | None = Field(default=None, gt=0)
    take_profit: float | None = Field(default=None, gt=0)
    size_units: float | None = Field(default=None, gt=0)
    reason: str
    entry_refused: Refusal | None = None

    @property
    def words(self) -> str:
        """The signal as a person reads it."""
        return signal_words(self.side, self.price, self.reason)


class Message(_Frozen):
    """What one stage hands to the next about one symbol.

    Attributes:
        after_ms: Open time of the last candle decided before these, 0 for none: where the stored window ends.
        candles: The closed candles to decide on, 1..N, oldest first.
        as_of_ms: Market time at which the source answered: how old a candle is follows from it.
        newest_ms: Open time of the newest closed candle that the source showed, which may come after these.
        is_over: No candle will follow that one.
        is_replay: History: each candle counts as seen at its own close, whenever the source answered.
        desired: What the user wanted of the symbol when the chain began; the ledger asks again.
        has_exposure: An order or a position may be alive, so the candles must reach the venue.
        more: The source holds further candles, so another wake-up is due when this chain ends.
        quarantine: The policy of a symbol that is set aside: then only its open position needs the candles.
    """

    type: EventType
    symbol: str
    timeframe: str
    after_ms: int
    candles: CandleTable
    as_of_ms: int
    newest_ms: int = 0
    is_over: bool = False
    is_replay: bool = False
    desired: DesiredState
    has_exposure: bool
    more: bool = False
    quarantine: PositionPolicy | None = None

    @property
    def last_open_ms(self) -> int:
        return self.candles.last_open_ms

    @property
    def correlation_id(self) -> str:
        return correlation_id(self.symbol, self.timeframe, self.last_open_ms)

    def carried(self) -> dict[str, Any]:
        """Return the fields that the next stage's message takes over."""
        return {name: getattr(self, name) for name in _CARRIED}

    def seen_ms(self, open_ms: int) -> int:
        """Return the market time at which one of the candles was seen."""
        return open_ms + timeframe_ms(self.timeframe) if self.is_replay else self.as_of_ms


_CARRIED = tuple(name for name in Message.model_fields if name != "type")


class NewCandle(Message):
    """fetch -> indicators.

    Attributes:
        regime: Of the last candle decided before these.
    """

    type: Literal[EventType.NEW_CANDLE] = EventType.NEW_CANDLE
    regime: Regime


class IndicatorsUpdated(Message):
    """indicators -> strategy.

    Attributes:
        rows: Those of the candles and of the `recent_rows_limit - 1` before them; fewer while the window still fills.
        regimes: One for each candle.
    """

    type: Literal[EventType.INDICATORS_UPDATED] = EventType.INDICATORS_UPDATED
    rows: RowTable
    regimes: list[Regime]


class SignalGenerated(Message):
    """strategy -> execute.

    Attributes:
        signals: What the strategy said, oldest first; empty when only open positions need the candles.
        decisions: Those on each candle, as far as the strategies went.
        rows: Those of the candles, where a strategy decides on exits by its position; None where none does.
    """

    type: Literal[EventType.SIGNAL_GENERATED] = EventType.SIGNAL_GENERATED
    signals: list[Signal]
    regimes: list[Regime]
    decisions: DecisionTable
    rows: RowTable | None = None


def of_signal(
    kind: EventType,
    symbol: str,
    signal: Signal,
    correlation_id: str,
    *,
    reason: str | None = None,
    rule: str | None = None,
) -> Event:
    """Tell a signal, or what became of it.

    Args:
        reason: What is said of it; its own words if None.
    """
    details = signal.model_dump(mode="json", exclude={"open_ms"}, exclude_none=True)
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
