"""The four services together: batches of any size, restarts, and nothing lost or doubled."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.candle_files import generated_candles
from trading.events.event import Event, EventType
from trading.lifecycle import DesiredState
from trading.services.chain import ChainOutcome
from trading.services.pipeline import SymbolPipeline
from trading_orchestrator.testing.candles import SYMBOL, at_place

FIRST, LAST = 400, 460
TAPE = generated_candles(SYMBOL, LAST + 1)
TRADES_OFTEN = {"name": "ema_cross", "params": {"fast": 3, "slow": 7, "stop_atr": 1.0, "target_atr": 1.5}}
SERVICES = {"indicator_calculation": {"track_regime_changes": True}}
CONFIG = system_config(
    TRADES_OFTEN,
    services=SERVICES,
    max_signal_age_s=1e6,
    venue={"kind": "paper", "spread": 0.2, "slippage": 0.02, "commission_bps": 0.2},
)
CAUSED_BY_CANDLES = ("SIGNAL", "ORDER_", "POSITION", "TRADE", "STOP", "REGIME", "RISK", "DATA")


def caused(desk: Desk) -> list[Event]:
    """Return what candles caused, in an order that does not depend on the size of the batches."""
    events = [event for event in desk.events if event.type.startswith(CAUSED_BY_CANDLES)]
    return sorted(events, key=lambda event: (event.market_ms, event.type, event.model_dump_json()))


def came_to(desk: Desk) -> dict[str, Any]:
    """Return all that a run came to."""
    return {**desk.books(), "journal": desk.journal, "events": caused(desk)}


@pytest.fixture(scope="module")
def one_by_one(databases: Databases) -> dict[str, Any]:
    """The result of the candles when each is its own batch."""
    desk = Desk(databases, CONFIG, TAPE, shown=FIRST)
    desk.advance()
    desk.play(LAST)
    return came_to(desk)


def test_pipeline_of_the_batch_test_trades_in_every_way(one_by_one: dict[str, Any]) -> None:
    legs = {fill["leg"] for fill in one_by_one["fills"]}

    assert legs == {"entry", "exit", "stop_loss", "take_profit"}
    assert len(one_by_one["decisions"]) > 5
    assert list(one_by_one["journal"]) == list(range(FIRST - 1, LAST))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(FIRST + 1, LAST - 1), max_size=8), restarts=st.booleans())
def test_pipeline_in_batches_of_any_size_decides_as_in_batches_of_one(
    databases: Databases, one_by_one: dict[str, Any], *, cuts: set[int], restarts: bool
) -> None:
    desk = Desk(databases, CONFIG, TAPE, shown=FIRST)
    desk.advance()
    for before, until in pairwise([FIRST, *sorted(cuts), LAST]):
        desk.advance(show=until - before)
        if restarts:
            desk.restart()

    found = came_to(desk)
    for part, expected in one_by_one.items():
        assert found[part] == expected, part


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(losses=st.sets(st.integers(FIRST + 1, LAST - 1), min_size=1, max_size=4))
def test_pipeline_whose_store_is_emptied_skips_no_candle_and_doubles_no_order(
    databases: Databases, one_by_one: dict[str, Any], losses: set[int]
) -> None:
    desk = Desk(databases, CONFIG, TAPE, shown=FIRST)
    desk.advance()
    journal: dict[int, str] = {}
    for loss in [*sorted(losses), LAST]:
        desk.play(loss)
        journal |= desk.journal
        if loss != LAST and desk.ledger.fence(SYMBOL) is not None:
            desk.store.forget()
            desk.restart()

    assert list(journal) == list(range(FIRST - 1, LAST))
    assert len(desk.venue.submitted) == len(set(desk.venue.submitted))
    for part in ("decisions", "orders", "fills", "positions", "venue"):
        assert desk.books()[part] == one_by_one[part], part


def test_pipeline_stopped_and_started_again_catches_up_without_stale_entries(databases: Databases) -> None:
    config = system_config(planned({405: "buy", 410: "close", 412: "buy", 430: "buy"}))
    desk = Desk(databases, config, TAPE, shown=FIRST)
    desk.advance()
    desk.play(408)
    desk.want(DesiredState.STOPPED)
    for _ in range(3):
        assert desk.advance(show=4).reason is ChainOutcome.STOPPED
    desk.want(DesiredState.RUNNING)
    desk.play(435)

    assert list(desk.journal) == list(range(FIRST - 1, 435))
    entries = [row for row in desk.ledger.orders(SYMBOL) if row["leg"] == "entry"]
    assert sorted(row["market_ms"] for row in entries) == [at_place(406), at_place(431)]
    assert "max_signal_age" in desk.journal[412]


def test_pipeline_resumed_opens_again(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({405: "buy", 410: "buy"})), TAPE, shown=FIRST)
    desk.advance()
    desk.want(DesiredState.PAUSED)
    desk.play(408)
    desk.want(DesiredState.RUNNING)
    desk.play(413)

    assert "refused by paused" in desk.journal[405]
    assert [row["market_ms"] for row in desk.ledger.orders(SYMBOL)] == [at_place(411)]


def test_pipeline_just_built_runs_and_reports_it(databases: Databases) -> None:
    desk = Desk(databases, CONFIG, TAPE, shown=FIRST)

    assert [status.state for status in desk.pipeline.statuses()] == ["running"] * 4
    assert desk.pipeline.is_healthy
    assert len(desk.events_of(EventType.SERVICE_STARTED)) == 4
    assert [status.service_name for status in desk.pipeline.statuses()] == [
        "DataFetchingService",
        "IndicatorCalculationService",
        "StrategyEvaluationService",
        "TradeExecutionService",
    ]


def test_pipeline_service_stopped_reports_it_and_may_start_again(databases: Databases) -> None:
    pipeline: SymbolPipeline = Desk(databases, CONFIG, TAPE, shown=FIRST).pipeline
    pipeline.fetch.stop()
    stopped = pipeline.fetch.get_status()
    pipeline.fetch.start()

    assert (stopped["state"], stopped["is_healthy"]) == ("stopped", False)
    assert pipeline.is_healthy
    assert [event.type for event in pipeline.outbox.waiting()][-2:] == [
        EventType.SERVICE_STOPPED,
        EventType.SERVICE_STARTED,
    ]
