"""Third stage: what the strategy says, whether it may be said, and where the chain ends."""

from typing import Any

import pytest

from tests.fakes import PLANNED_STRATEGY, Databases, Desk, planned, system_config
from trading.errors import Transient
from trading.events.event import EventType, correlation_id
from trading.lifecycle import DesiredState
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import at_place, make_candles

SHOWN = 20
BUY, SELL, CLOSE = "buy", "sell", "close"


def make_desk(databases: Databases, plan: dict[int, str], *, shown: int = SHOWN, **options: Any) -> Desk:
    desk = Desk(databases, system_config(planned(plan, stop_distance=2.0), **options), make_candles(60), shown=shown)
    desk.advance()
    return desk


def published_signals(desk: Desk) -> list[tuple[EventType, str]]:
    kinds = (EventType.SIGNAL_GENERATED, EventType.SIGNAL_VALIDATED, EventType.SIGNAL_REJECTED)
    return [(event.type, event.details.get("rule", "")) for event in desk.events_of(*kinds)]


def settle(desk: Desk) -> None:
    """Let a candle pass, after which the store knows that nothing is open."""
    desk.advance(show=1)
    assert not desk.store.load("XAUUSD").has_exposure


def test_strategy_with_too_few_rows_is_not_called_and_the_chain_ends_there(databases: Databases) -> None:
    desk = make_desk(databases, {0: BUY, 1: BUY, 2: BUY}, shown=1)
    desk.advance(show=1)
    result = desk.advance(show=1)

    assert desk.journal[0] == "warming up: 1 of 3 candles"
    assert desk.journal[1] == "warming up: 2 of 3 candles"
    assert result.reason is ChainOutcome.DECIDED
    assert [event.market_ms for event in desk.events_of(EventType.SIGNAL_GENERATED)] == [at_place(2)]


def test_strategy_with_too_few_rows_and_nothing_open_ends_with_that_reason(databases: Databases) -> None:
    services = {"strategy_evaluation": {"min_rows_required": 6}}
    desk = make_desk(databases, {}, shown=2, services=services)
    result = desk.advance(show=1)

    assert str(result) == "too-few-rows: warming up: 3 of 6 candles"


def test_strategy_that_reports_nothing_ends_the_chain_and_moves_the_cursor(databases: Databases) -> None:
    desk = make_desk(databases, {})
    settle(desk)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.NO_SIGNAL
    assert desk.cursor == SHOWN + 1
    assert desk.journal[SHOWN + 1] == "no signal"
    assert published_signals(desk) == []


def test_strategy_signal_is_reported_validated_and_handed_on(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN + 1: BUY})
    settle(desk)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DECIDED
    assert published_signals(desk) == [(EventType.SIGNAL_GENERATED, ""), (EventType.SIGNAL_VALIDATED, "")]
    [event] = desk.events_of(EventType.SIGNAL_VALIDATED)
    assert event.correlation_id == correlation_id("XAUUSD", "1m", at_place(SHOWN + 1))
    assert event.details["strategy"] == PLANNED_STRATEGY
    assert event.details["side"] == "buy"


@pytest.mark.parametrize("side", [BUY, SELL])
def test_entry_while_paused_is_rejected_and_recorded(databases: Databases, side: str) -> None:
    desk = make_desk(databases, {SHOWN + 1: side})
    settle(desk)
    desk.want(DesiredState.PAUSED)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DECIDED
    assert published_signals(desk)[-1] == (EventType.SIGNAL_REJECTED, "paused")
    assert [(row["outcome"], row["rule"]) for row in desk.ledger.decisions()] == [("refused", "paused")]
    assert "refused by paused" in desk.journal[SHOWN + 1]
    assert desk.orders() == []


def test_exit_while_paused_continues_and_closes_the_position(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 3: CLOSE})
    desk.play(SHOWN + 3)
    desk.want(DesiredState.PAUSED)
    desk.play(SHOWN + 6)

    assert [(leg, state) for _, leg, state in desk.orders() if leg in ("entry", "exit")] == [
        ("entry", "filled"),
        ("exit", "filled"),
    ]
    assert [position.units for position in desk.ledger.positions()] == [0.0]


def test_entry_from_an_old_candle_is_rejected_and_an_exit_from_one_is_not(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 4: CLOSE, SHOWN + 6: BUY})
    desk.advance(show=1)
    desk.advance(show=20)

    assert "refused by max_signal_age" in desk.journal[SHOWN + 6]
    assert "close 2 units" in desk.journal[SHOWN + 4]
    assert published_signals(desk)[-1] == (EventType.SIGNAL_REJECTED, "max_signal_age")


def test_entry_in_a_regime_that_is_not_allowed_is_rejected(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN + 1: BUY}, allowed_regimes=["ranging"])
    settle(desk)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DECIDED
    assert published_signals(desk)[-1] == (EventType.SIGNAL_REJECTED, "regime")


@pytest.mark.parametrize("opposite", ["reverse", "close"])
def test_entry_from_an_old_candle_still_ends_the_position_that_is_open_the_other_way(
    databases: Databases, opposite: str
) -> None:
    desk = make_desk(
        databases,
        {SHOWN: BUY, SHOWN + 4: SELL},
        risk={"sizing": "fixed_units", "units": 2.0, "on_opposite_signal": opposite},
    )
    desk.play(SHOWN + 2)
    desk.advance(show=20)

    assert [(leg, state) for _, leg, state in desk.orders()] == [("entry", "filled"), ("exit", "filled")]
    assert [position.units for position in desk.ledger.positions()] == [0.0]


def test_silent_candle_while_paused_ends_the_chain_as_paused(databases: Databases) -> None:
    desk = make_desk(databases, {})
    settle(desk)
    desk.want(DesiredState.PAUSED)

    assert desk.advance(show=1).reason is ChainOutcome.PAUSED


def test_entry_outside_the_session_is_rejected(databases: Databases) -> None:
    session = {
        "kind": "weekly", "timezone": "UTC", "opens": "sun 18:00", "closes": "fri 17:00", "daily_break": "00:20-00:30"
    }  # fmt: skip
    desk = make_desk(databases, {SHOWN + 1: BUY}, session=session)
    settle(desk)
    desk.advance(show=1)

    assert published_signals(desk)[-1] == (EventType.SIGNAL_REJECTED, "session")


def test_strategy_without_a_signal_hands_the_candle_on_while_something_is_open(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 2)
    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.SETTLED


def test_strategy_whose_decisions_cannot_be_written_fails_and_the_candle_is_repeated(databases: Databases) -> None:
    desk = make_desk(databases, {})
    settle(desk)
    desk.store.failures = [Transient("redis", "no answer")]

    with pytest.raises(Transient):
        desk.advance(show=1)
    sick = desk.pipeline.strategy.get_status()
    result = desk.advance()

    assert (sick["state"], sick["error_count"]) == ("error", 1)
    assert desk.pipeline.strategy.get_status()["state"] == "running"
    assert result.reason is ChainOutcome.NO_SIGNAL
    assert desk.cursor == SHOWN + 1


def test_strategy_that_is_not_enabled_ends_the_chain(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, services={"strategy_evaluation": {"enabled": False}})

    assert desk.advance(show=1).reason is ChainOutcome.DISABLED
    assert desk.orders() == []
