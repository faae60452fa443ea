"""The typed messages that the four stages pass on; each names itself by symbol and candle open time."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
)

from trading.events.decisions import Decisions
from trading.events.event import EventType, correlation_id
from trading.events.legacy_text import read_decisions
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe
from trading.strategies.signal import Signal
from trading.structs import Frozen

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


class Message(Frozen):
    """The message from one stage to the next about one symbol.

    Attributes:
        after_ms: Open time of the last candle decided before these, 0 for none: where the stored window ends.
        candles: The closed candles to decide on, 1..N, oldest first.
        as_of_ms: Market time at which the source answered: how old a candle is follows from it.
        newest_ms: Open time of the newest closed candle that the source showed, which may come after these.
        is_over: No candle will follow that one.
        is_replay: History: each candle counts as seen at its own close, whenever the source answered.
        desired: What the user wanted of the symbol when the chain began; the ledger asks again.
        has_exposure: An order or a position may be alive, so the candles must reach the venue.
        has_more: The source holds further candles, so another wake-up is due when this chain ends.
        quarantine: The policy of a symbol that is quarantined: then only its open position needs the candles.
        window_count: Candles that the next indicators need and the store must keep; 0 before they were computed.
        closed_ms: End of the last of the candles, where it is not the one of the timeframe.
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
    has_more: bool = Field(default=False, validation_alias=AliasChoices("has_more", "more"))  # "more" before 0.2
    quarantine: PositionPolicy | None = None
    window_count: int = 0
    closed_ms: int | None = None

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
        return self.close_of(open_ms) if self.is_replay else self.as_of_ms

    def seen_signal_ms(self, signal: Signal) -> int:
        """Return the market time at which the candle of a signal was seen."""
        return signal.decided_ms(self.timeframe) if self.is_replay else self.as_of_ms

    def close_of(self, open_ms: int) -> int:
        """Return the end of one of the candles: where the next one begins."""
        opens = self.candles.open_ms
        following = int(opens.searchsorted(open_ms, side="right"))
        if following == len(opens) and self.closed_ms is not None:
            return self.closed_ms
        following_ms = int(opens[following]) if following < len(opens) else None
        return Timeframe.parse(self.timeframe).close_of(open_ms, following_ms)

    def unusual_close_of(self, open_ms: int) -> int | None:
        """Return the end of one of the candles, None where it is the one of the timeframe."""
        closed_ms = self.close_of(open_ms)
        return None if closed_ms == Timeframe.parse(self.timeframe).close_of(open_ms) else closed_ms

    def closes(self) -> NDArray[np.int64]:
        """Return the end of each candle."""
        return Timeframe.parse(self.timeframe).closes(self.candles.open_ms, self.closed_ms)

    def unusual_closes(self) -> Mapping[int, int]:
        """Return the ends that are not those of the timeframe, by open time."""
        grid, opens, closes = Timeframe.parse(self.timeframe), self.candles.open_ms, self.closes()
        if grid.is_fixed:
            is_unusual = closes != opens + grid.length_ms
            opens, closes = opens[is_unusual], closes[is_unusual]
        pairs = zip(opens.tolist(), closes.tolist(), strict=True)
        return {open_ms: close_ms for open_ms, close_ms in pairs if close_ms != grid.close_of(open_ms)}


M = TypeVar("M", bound=Message)
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
        known_count: Candles known up to the last one, as far as the indicators look back; 0 in older messages.
    """

    type: Literal[EventType.INDICATORS_UPDATED] = EventType.INDICATORS_UPDATED
    rows: RowTable
    regimes: list[Regime]
    known_count: int = 0


class SignalGenerated(Message):
    """strategy -> execute.

    Attributes:
        signals: The strategies' signals, oldest first; empty if only open positions need the candles.
        decisions: Those on each candle, as far as the strategies went.
        rows: Those of the candles, where a strategy decides on exits by its position; None where none does.
    """

    type: Literal[EventType.SIGNAL_GENERATED] = EventType.SIGNAL_GENERATED
    signals: list[Signal]
    regimes: list[Regime]
    decisions: DecisionTable
    rows: RowTable | None = None
