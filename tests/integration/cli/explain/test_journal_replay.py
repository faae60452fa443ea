"""`trading replay` of what a real system recorded: the same decisions, or the first difference."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database import create_engine
from adapters.ledger.tables import fills
from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.integration.cli.explain.explained import (
    CANDLES,
    GOLD,
    LIMITS,
    MINUTE_MS,
    decided,
    entries,
    explained,
    recorded_series,
    verb,
)
from trading.events.decisions import CandleDecision, DecisionKind
from trading.lifecycle import PositionPolicy
from trading.services.chain import AdvanceSymbol, ChainOutcome

pytestmark = pytest.mark.timeout(240)


def test_journal_replayed_is_identical_pauses_and_account_limits_included(played: TradingSystem) -> None:
    answer = verb(played, "replay", GOLD)

    assert answer.exit_code == 0, answer.output
    assert "identical: 630 candles" in answer.stdout
    rules = {row["rule"] for row in played.stores().ledger.decisions(limit=1_000)}
    assert {"paused", "max_open_positions"} <= rules, "the run had no such decision: the test shows less than it says"


@pytest.mark.parametrize("place", [50, 104, 222, 300])
def test_journal_replayed_from_the_middle_begins_with_what_the_ledger_held(played: TradingSystem, place: int) -> None:
    first = entries(played)[place].open_ms

    found, comparison = recorded_again(played, from_ms=first, to_ms=first + 60 * MINUTE_MS)

    assert comparison.differences == []
    assert found.recording.tracks[GOLD].begin_ms == first


def test_another_parameter_shows_the_first_difference_with_both_sides(played: TradingSystem) -> None:
    answer = verb(played, "replay", GOLD, "--set", "risk.units=2")

    assert answer.exit_code == 1
    assert "differences in" in answer.stdout
    assert "only in the" in answer.stdout or "live run" in answer.stdout
    assert "decided with another configuration" in answer.stdout
    report = json.loads(verb(played, "replay", GOLD, "--set", "risk.units=2", "--json").stdout)
    assert report["is_identical"] is False
    assert report["difference_count"] > 0
    assert report["first_difference"]["recorded"] != report["first_difference"]["replayed"]


def test_fill_changed_in_the_ledger_is_the_first_difference(played: TradingSystem) -> None:
    engine = create_engine(played.settings.ledger_url.get_secret_value())
    chosen = played.stores().ledger.fills(GOLD, limit=1_000)[-1]["fill_id"]
    price = played.stores().ledger.fills(GOLD, limit=1_000)[-1]["price"]
    change = sa.update(fills).where(fills.c.fill_id == chosen)
    try:
        with engine.begin() as connection:
            connection.execute(change.values(price=price + 1))
        _, comparison = recorded_again(played)
    finally:
        with engine.begin() as connection:
            connection.execute(change.values(price=price))
        engine.dispose()

    first = comparison.differences[0]
    assert (first.part, first.key, first.columns) == ("fills", (chosen,), ("price",))


def test_run_in_which_a_person_closed_a_position_is_compared_up_to_there_and_again_from_there(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    path = write_candles(tmp_path / "gold.csv", recorded_series(GOLD, 3))
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: file_symbol(path)}, account=LIMITS)
    try:
        pipeline = system.pipeline(GOLD)
        ledger = system.stores().ledger
        while len(ledger.fills(GOLD)) < 6 or not any(one.is_open for one in ledger.positions()):
            pipeline.advance(AdvanceSymbol(GOLD))
        flat = pipeline.flatten("news")
        for _ in range(60):
            pipeline.advance(AdvanceSymbol(GOLD))
        flattened = decided(system, lambda one: one["origin"] == "flatten")
        place = next(at for at, one in enumerate(entries(system)) if one.open_ms > flattened["open_ms"])

        before, first = recorded_again(system)
        after, second = recorded_again(system, from_ms=entries(system)[place + 1].open_ms)
        page = explained(system, flattened["open_ms"] - 1)
    finally:
        system.stop()

    assert flat.verdicts
    assert (first.differences, second.differences) == ([], [])
    assert len(before.recording.tracks[GOLD].entries) == place
    assert before.left_out == [f"{GOLD}: 60 candles after {GOLD} was closed or adopted (flatten)"]
    assert after.left_out == []
    assert [one["request"]["leg"] for one in page["orders"]][-1] == "exit"


@pytest.mark.parametrize("policy", ["hold", "flatten"])
def test_run_in_which_a_symbol_was_set_aside_is_replayed_with_what_its_policy_did(
    tmp_path: Path, own_redis: RedisServer, policy: PositionPolicy
) -> None:
    path = write_candles(tmp_path / "gold.csv", recorded_series(GOLD, 3))
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: file_symbol(path)}, account=LIMITS)
    try:
        pipeline, ledger = system.pipeline(GOLD), system.stores().ledger
        while len(ledger.fills(GOLD)) < 6 or not any(one.is_open for one in ledger.positions()):
            pipeline.advance(AdvanceSymbol(GOLD))
        began = len(entries(system))
        ledger.set_quarantine(GOLD, policy, cause="no-progress", reason="it hung")
        system.stores().store.set_quarantine(GOLD, policy)
        while pipeline.advance(AdvanceSymbol(GOLD)).reason is not ChainOutcome.QUARANTINED:
            assert len(entries(system)) < CANDLES - 100, "the position was never closed: the test shows nothing"
        ended = len(entries(system))
        ledger.clear_quarantine(GOLD, reason="mended")
        system.stores().store.set_quarantine(GOLD, None)
        for _ in range(60):
            pipeline.advance(AdvanceSymbol(GOLD))

        _, whole = recorded_again(system)
        _, again = recorded_again(system, from_ms=entries(system)[ended + 1].open_ms)
        found, aside = recorded_again(system, to_ms=entries(system)[ended].open_ms)
        page = explained(system, entries(system)[began].open_ms)
        journal = entries(system)
    finally:
        system.stop()

    assert [one.quarantine for one in journal[began:ended]] == [policy] * (ended - began)
    assert {one.decisions for one in journal[began:ended]} == {
        (CandleDecision(DecisionKind.QUARANTINED, policy=policy),)
    }
    assert (whole.differences, again.differences, aside.differences) == ([], [], [])
    assert again.left_out == []
    if policy == "hold":
        assert aside.is_identical
        assert page["headline"] == "no trade: the symbol was quarantined (hold)"
        assert whole.left_out == []
        assert len(found.recording.tracks[GOLD].entries) == ended
    else:
        assert page["headline"].startswith("closed without a signal: exit ")
        assert whole.left_out == [
            f"{GOLD}: {60 + ended - began - 1} candles after {GOLD} was closed or adopted (flatten)"
        ]
