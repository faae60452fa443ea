"""Messages and events: frozen, JSON-safe, and they identify themselves."""

import math
from itertools import product

import pytest
from pydantic import ValidationError

from trading.errors import BadCandle, Rejected, TradingError, Transient, UnknownSymbol
from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind, RecordedSignal
from trading.events.event import LOCAL_ONLY, Event, EventType, correlation_id
from trading.events.messages import IndicatorsUpdated, Message, NewCandle, SignalGenerated
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.candles import START_MS, SYMBOL, at_place, make_candles

CANDLES = make_candles(3)
COMMON = {
    "symbol": SYMBOL,
    "timeframe": "1m",
    "after_ms": START_MS - 60_000,
    "candles": CANDLES.rows(),
    "as_of_ms": START_MS + 200_000,
    "desired": DesiredState.RUNNING,
    "has_exposure": True,
}
SIGNAL = Signal(strategy="ema", open_ms=at_place(2), side=SignalSide.BUY, price=100.0, stop_loss=99.0, reason="crossed")
DECISIONS = [
    (CandleDecision(DecisionKind.TOO_FEW_ROWS, row_count=1, required_row_count=2),),
    NO_SIGNAL,
    (CandleDecision(DecisionKind.SIGNAL, "ema", signal=RecordedSignal("buy", 100.0, "crossed")),),
]
MESSAGES: list[Message] = [
    NewCandle(**COMMON, regime=Regime.RANGING),
    IndicatorsUpdated(**COMMON, rows=(["fast"], [[at_place(2), 100.0, 1.5]]), regimes=[Regime.UNKNOWN] * 3),
    SignalGenerated(**COMMON, signals=[SIGNAL], regimes=[Regime.UNKNOWN] * 3, decisions=DECISIONS),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_message_as_json_and_back_is_the_same(message: Message) -> None:
    assert type(message).model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_message_identifies_itself_by_its_last_candle(message: Message) -> None:
    assert message.last_open_ms == at_place(2)
    assert message.correlation_id == correlation_id(SYMBOL, "1m", at_place(2)) == f"XAUUSD:1m:{at_place(2)}"
    assert message.candles == CANDLES


@pytest.mark.parametrize(
    "wrong",
    [
        {"candles": []},
        {"candles": [[START_MS, 1.0, 1.0, 1.0, 1.0]]},
        {"candles": [[START_MS, 1.0, math.nan, 1.0, 1.0, 1.0]]},
        {"candles": [[START_MS, 1.0, math.inf, 1.0, 1.0, 1.0]]},
        {"type": EventType.ORDER_FILLED},
        {"mood": "good"},
        {"desired": "sleeping"},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_message_with_what_must_not_be_is_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewCandle.model_validate({**COMMON, "regime": "ranging", **wrong})


def test_message_with_nan_among_indicators_is_rejected() -> None:
    rows = (["fast"], [[at_place(2), 100.0, math.nan]])

    with pytest.raises(ValidationError):
        IndicatorsUpdated.model_validate({**COMMON, "rows": rows, "regimes": ["unknown"] * 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *product(["stop_loss", "take_profit", "size_units"], [0.0, -1.0, math.nan, math.inf]),
        *product(["price"], [math.nan, math.inf]),
    ],
)
def test_signal_with_a_number_that_cannot_be_is_rejected(field: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Signal.model_validate({**SIGNAL.model_dump(), field: value})


def test_message_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(MESSAGES[0], "symbol", "BTCUSD")  # noqa: B010  # mypy forbids the plain form too


def test_event_of_a_candle_stays_inside_the_worker_and_all_others_leave() -> None:
    assert {EventType.NEW_CANDLE, EventType.INDICATORS_UPDATED} == LOCAL_ONLY


def test_event_as_json_and_back_is_the_same() -> None:
    event = Event(type=EventType.ORDER_FILLED, symbol=SYMBOL, market_ms=START_MS, details={"price": 1.5, "leg": "exit"})

    assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "error",
    [
        Rejected("max_open_positions", "5 are open"),
        Transient("redis", "no answer"),
        BadCandle(START_MS, "high is below another price"),
        UnknownSymbol("XAUSD", ("XAUUSD", "BTCUSD")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_made_again_of_its_arguments_is_the_same(error: TradingError) -> None:
    again = type(error)(*error.args)

    assert (str(again), vars(again)) == (str(error), vars(error))
