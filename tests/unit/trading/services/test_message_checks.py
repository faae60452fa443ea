"""Checks of a message before anything moves: each fault has its own rule."""

from typing import Any

import numpy as np
import pytest

from adapters.symbol_store.memory import MemoryStore
from trading.errors import InvalidMessage, Rejected
from trading.events.decisions import NO_SIGNAL
from trading.events.messages import IndicatorsUpdated, NewCandle, SignalGenerated
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.ports.symbol_store import Commit
from trading.services.message_checks import MessageChecks, MessageTerms
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.candles import SYMBOL, make_candles

MINUTE_MS = 60_000
DECIDED = 5
COUNT = 3
TAPE = make_candles(40)
AFTER_MS = int(TAPE.open_ms[DECIDED - 1])
FRESH = TAPE[DECIDED : DECIDED + COUNT]
HOUR_MS = 3_600_000
SWAPPED = np.eye(5)[:, [0, 2, 1, 3, 4]]
"""High and low change places where prices change their sign."""
NOW_MS = FRESH.last_open_ms + MINUTE_MS
TERMS = MessageTerms(SYMBOL, "1m", frozenset({"cross"}), ("fast", "slow"), most_candles=10, most_rows=4)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    decided = TAPE[:DECIDED]
    store.seed(SYMBOL, decided, timeframe="1m", cursor_ms=AFTER_MS, desired=DesiredState.RUNNING)
    return store


def checks(store: MemoryStore | None = None, *, latest_ms: int | None = NOW_MS, **changes: Any) -> MessageChecks:
    terms = MessageTerms(**{name: getattr(TERMS, name) for name in TERMS.__struct_fields__} | changes)
    return MessageChecks(terms, store or MemoryStore(), lambda _: latest_ms)


def carried(candles: Candles = FRESH, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": SYMBOL,
        "timeframe": "1m",
        "after_ms": AFTER_MS,
        "candles": candles,
        "as_of_ms": NOW_MS,
        "newest_ms": candles.last_open_ms,
        "desired": DesiredState.RUNNING,
        "has_exposure": False,
        **changes,
    }


def new_candle(candles: Candles = FRESH, **changes: Any) -> NewCandle:
    return NewCandle(**carried(candles, **changes), regime=Regime.UNKNOWN)


def rows_of(candles: Candles, columns: tuple[str, ...] = ("fast", "slow")) -> IndicatorRows:
    closes = candles.values[:, CLOSE : CLOSE + 1]
    values = np.hstack([closes, np.ones((len(candles), len(columns)))])
    return IndicatorRows(columns, candles.open_ms, values)


def updated(rows: IndicatorRows, regimes: int = COUNT) -> IndicatorsUpdated:
    return IndicatorsUpdated(**carried(), rows=rows, regimes=[Regime.UNKNOWN] * regimes)


def signal(place: int = COUNT - 1, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "strategy": "cross",
        "open_ms": int(FRESH.open_ms[place]),
        "side": SignalSide.BUY,
        "price": float(FRESH.values[place, CLOSE]),
        "reason": "crossed",
    }
    return Signal(**fields | changes)


def generated(*signals: Signal, decisions: int = COUNT, regimes: int = COUNT) -> SignalGenerated:
    return SignalGenerated(
        **carried(),
        signals=list(signals),
        regimes=[Regime.UNKNOWN] * regimes,
        decisions=[NO_SIGNAL] * decisions,
    )


def moved(by_ms: int) -> Candles:
    return Candles(FRESH.open_ms + by_ms, FRESH.values)


def spoiled(column: int, value: float) -> Candles:
    values = FRESH.values.copy()
    values[1, column] = value
    return Candles(FRESH.open_ms, values)


def test_true_messages_pass() -> None:
    checks().candles(new_candle())
    checks().rows(updated(rows_of(TAPE[DECIDED - 2 : DECIDED + COUNT])))
    checks().rows(updated(rows_of(FRESH[1:])))
    checks().rows(updated(rows_of(FRESH[:0])))
    checks().signals(generated(signal(0), signal(1), signal(2)))
    checks().signals(generated(signal(0, closed_ms=int(FRESH.open_ms[1]))))


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (new_candle(symbol="BTCUSD"), "message_symbol"),
        (new_candle(symbol="../../etc/passwd"), "message_symbol"),
        (new_candle(timeframe="5m"), "message_timeframe"),
        (new_candle(is_replay=True), "message_replay"),
        (new_candle(TAPE[DECIDED : DECIDED + 11]), "message_size"),
        (new_candle(moved(1)), "message_candle"),
        (new_candle(spoiled(CLOSE, -1.0)), "message_candle"),
        (new_candle(spoiled(1, 0.5)), "message_candle"),
        (new_candle(Candles(FRESH.open_ms[::-1].copy(), FRESH.values)), "message_candle"),
        (new_candle(TAPE[DECIDED - 1 : DECIDED + 1]), "message_order"),
        (new_candle(moved(10 * MINUTE_MS)), "message_time"),
        (new_candle(as_of_ms=FRESH.last_open_ms), "message_time"),
        (new_candle(as_of_ms=NOW_MS + 1), "message_time"),
        (new_candle(newest_ms=NOW_MS), "message_time"),
        (new_candle(moved(5_000_000_000_040), as_of_ms=2**62), "message_candle"),
        (new_candle(moved(5_000_000_040_000), as_of_ms=2**62), "message_time"),
    ],
)
def test_message_that_contradicts_configuration_or_market_is_rejected(message: NewCandle, rule: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        checks().candles(message)

    assert error.value.rule == rule
    assert isinstance(error.value, Rejected)


@pytest.mark.parametrize("closed_ms", [FRESH.last_open_ms, NOW_MS + 1])
def test_candle_that_ends_before_it_begins_or_in_the_future_is_rejected(closed_ms: int) -> None:
    checks().candles(new_candle(closed_ms=NOW_MS - MINUTE_MS // 2))

    with pytest.raises(InvalidMessage, match="cannot end at"):
        checks().candles(new_candle(closed_ms=closed_ms))


def test_candles_off_the_full_hour_pass_only_in_the_phase_of_their_source() -> None:
    half_past = Candles(np.arange(COUNT) * HOUR_MS + 1_000 * HOUR_MS + HOUR_MS // 2, FRESH.values)
    now_ms = half_past.last_open_ms + HOUR_MS
    message = new_candle(half_past, timeframe="1h", as_of_ms=now_ms, after_ms=0)

    checks(timeframe="1h", phase_ms=HOUR_MS // 2, latest_ms=now_ms).candles(message)
    with pytest.raises(InvalidMessage, match="message_candle"):
        checks(timeframe="1h", latest_ms=now_ms).candles(message)


def test_prices_below_zero_pass_only_where_the_symbol_allows_them() -> None:
    below = new_candle(Candles(FRESH.open_ms, FRESH.values * [-1, -1, -1, -1, 1] @ SWAPPED))

    checks(allow_non_positive=True).candles(below)
    with pytest.raises(InvalidMessage, match="message_candle"):
        checks().candles(below)


def test_market_time_that_is_not_known_is_not_checked() -> None:
    checks(latest_ms=None).candles(new_candle(as_of_ms=NOW_MS + 1))


def test_last_candle_again_passes_only_where_every_tick_is_evaluated() -> None:
    again = new_candle(TAPE[DECIDED - 1 : DECIDED])

    checks(repeats_last=True).candles(again)
    with pytest.raises(InvalidMessage, match="message_order"):
        checks().candles(again)


@pytest.mark.parametrize(
    "message",
    [
        updated(rows_of(FRESH, ("fast", "other"))),
        updated(rows_of(FRESH, ())),
        updated(rows_of(TAPE[:DECIDED].then(FRESH))),
        updated(rows_of(FRESH[:2])),
        updated(rows_of(moved(MINUTE_MS))),
        updated(IndicatorRows(("fast", "slow"), FRESH.open_ms, rows_of(FRESH).values + 1.0)),
        updated(IndicatorRows(("fast", "slow"), FRESH.open_ms[::-1].copy(), rows_of(FRESH).values)),
    ],
    ids=["column", "no-columns", "too-many", "tail-missing", "later", "close", "order"],
)
def test_rows_that_are_not_those_of_the_candles_are_rejected(message: IndicatorsUpdated) -> None:
    with pytest.raises(InvalidMessage, match="message_rows"):
        checks().rows(message)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (generated(signal(strategy="other")), "message_strategy"),
        (generated(signal(open_ms=int(FRESH.open_ms[0]) + 1)), "message_signal"),
        (generated(signal(open_ms=AFTER_MS)), "message_signal"),
        (generated(signal(open_ms=7_258_118_400_000)), "message_signal"),
        (generated(signal(price=1e9)), "message_signal"),
        (generated(signal(0, closed_ms=int(FRESH.open_ms[2]))), "message_signal"),
        (generated(signal(), signal()), "message_signal"),
        (generated(signal(1), signal(0)), "message_signal"),
        (generated(decisions=1), "message_size"),
        (generated(regimes=COUNT + 1), "message_size"),
    ],
)
def test_signal_that_no_strategy_gives_on_these_candles_is_rejected(message: SignalGenerated, rule: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        checks().signals(message)

    assert error.value.rule == rule


def test_message_that_joins_the_stored_window_is_not_outdated(store: MemoryStore) -> None:
    assert checks(store).in_store(new_candle()) == ""


@pytest.mark.parametrize("cursor_ms", [None, AFTER_MS - MINUTE_MS])
def test_message_whose_past_the_store_has_lost_is_outdated(cursor_ms: int | None) -> None:
    store = MemoryStore()
    if cursor_ms is not None:
        store.seed(SYMBOL, TAPE[: DECIDED - 1], timeframe="1m", cursor_ms=cursor_ms, desired=DesiredState.RUNNING)

    assert checks(store).in_store(new_candle()) != ""


def test_decided_candle_with_other_prices_than_the_stored_one_is_rejected(store: MemoryStore) -> None:
    store.commit(Commit(SYMBOL, "1m", AFTER_MS, FRESH[:2], [NO_SIGNAL] * 2, [Regime.UNKNOWN] * 2), [])
    assert checks(store).in_store(new_candle()) == ""

    with pytest.raises(InvalidMessage, match="message_store"):
        checks(store).in_store(new_candle(spoiled(CLOSE, float(FRESH.values[1, CLOSE]) + 0.01)))
