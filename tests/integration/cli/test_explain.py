"""`trading explain` and `trading replay` on what a real system recorded, and on replays of its candles."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from adapters.database import create_engine
from adapters.ledger.tables import fills
from adapters.redis import keys
from adapters.symbol_store.journal import JournalReader
from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind
from trading.events.event import Event, EventType
from trading.events.journal import Entry
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles
from trading.risk.signal_filters import ENTRY_RULES
from trading.services.chain import AdvanceSymbol, ChainOutcome
from trading_orchestrator.cli.app import trading

MINUTE_MS = 60_000
CANDLES = 320
HOLE = slice(200, 205)
GOLD, COIN = "XAUUSD", "BTCUSD"
LIMITS = {"name": "test", "starting_balance": 100_000, "max_open_positions": 1, "max_daily_loss": 1_000_000}

pytestmark = pytest.mark.timeout(240)


def tape(symbol: str, seed: int) -> Candles:
    """Return candles with a hole of five minutes."""
    whole = generated_candles(symbol, CANDLES, seed=seed)
    return whole[: HOLE.start].then(whole[HOLE.stop :])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system of two symbols that share room for one position, and that decided on its candles in turn.

    Gold was paused for 40 candles.
    """
    folder = tmp_path_factory.mktemp("explained")
    server = RedisServer(folder / "redis").start()
    paths = {name: write_candles(folder / f"{name}.csv", tape(name, seed)) for seed, name in enumerate((GOLD, COIN), 3)}
    system = TradingSystem(
        folder / "system", server, {name: file_symbol(path) for name, path in paths.items()}, account=LIMITS
    )
    pipelines = {name: system.pipeline(name) for name in paths}
    for number in range(CANDLES - 5):
        if number in (100, 140):
            wanted = DesiredState.PAUSED if number == 100 else DesiredState.RUNNING
            system.stores().ledger.set_desired(GOLD, wanted, reason="news")
            system.stores().store.set_desired(GOLD, wanted)
        for name, pipeline in pipelines.items():
            pipeline.advance(AdvanceSymbol(name))
    yield system
    system.stop()
    server.stop()


def verb(system: TradingSystem, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env=system.environment | environ)


def explained(system: TradingSystem, open_ms: int, *arguments: str, symbol: str = GOLD) -> dict[str, Any]:
    answer = verb(system, "explain", symbol, instant(open_ms), "--json", *arguments)
    assert answer.exit_code == 0, answer.output
    return cast("dict[str, Any]", json.loads(answer.stdout))


def instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def decided(system: TradingSystem, is_wanted: Callable[[dict[str, Any]], bool], symbol: str = GOLD) -> dict[str, Any]:
    rows = system.stores().ledger.decisions(symbol, limit=1_000)
    return next(row for row in reversed(rows) if is_wanted(row))


def entries(system: TradingSystem, symbol: str = GOLD) -> list[Entry]:
    return JournalReader(system.stores().redis, system.settings.namespace, symbol).between()


def test_journal_holds_the_inputs_of_each_decision(played: TradingSystem) -> None:
    found = entries(played)

    assert [[one.open_ms, *(one.values or ())] for one in found] == tape(GOLD, 3).rows()
    assert {(one.as_of_ms or 0) - one.open_ms for one in found} == {MINUTE_MS}
    paused = [at for at, one in enumerate(found) if one.desired is DesiredState.PAUSED]
    assert paused == list(range(100, 140))
    assert len({one.config for one in found}) == 1
    assert all(one.config and one.at_ms and one.is_replayable for one in found)
    assert found[7].correlation_id == f"{GOLD}:1m:{found[7].open_ms}"


def test_traded_candle_shows_rules_orders_fills_and_what_became_of_the_position(played: TradingSystem) -> None:
    row = decided(played, lambda one: one["outcome"] == "accepted")

    found = explained(played, row["open_ms"] + 59_999)

    assert found["headline"].startswith("traded: entry ")
    assert found["entry"]["open_ms"] == row["open_ms"]
    assert {rule.name for rule in ENTRY_RULES} <= {one["rule"] for one in found["checks"] if one["is_met"]}
    assert {one["name"] for one in found["values"]} == {"fast", "slow", "atr"}
    assert all(one["now"] is not None and one["before"] is not None for one in found["values"])
    assert found["orders"][0]["state"] == "filled"
    assert {one["leg"] for one in found["protective"]} == {"stop_loss", "take_profit"}
    assert found["trades"][0]["exit_ms"]
    assert found["fills"][0]["price"] == found["trades"][0]["entry_price"]
    assert {"SIGNAL_GENERATED", "ORDER_CREATED", "POSITION_OPENED"} <= {one["type"] for one in found["events"]}
    assert found["notes"] == []


def test_rejected_candle_names_the_rule_in_the_first_line(played: TradingSystem) -> None:
    row = decided(played, lambda one: one["rule"] == "max_open_positions", COIN)

    page = verb(played, "explain", COIN, instant(row["open_ms"])).stdout

    assert "no trade: refused by max_open_positions: 1 " in page.splitlines()[0]
    assert "met      max_signal_age" in page
    assert "not met  max_open_positions" in page


def test_candle_of_a_paused_symbol_reports_it(played: TradingSystem) -> None:
    row = decided(played, lambda one: (one["rule"], one["outcome"]) == ("paused", "refused"))

    found = explained(played, row["open_ms"])

    assert found["headline"].startswith("no trade: refused by paused")
    assert found["entry"]["desired"] == "paused"
    assert {one["rule"] for one in found["checks"] if not one["is_met"]} == {"paused"}


def test_silent_candle_shows_the_values_that_the_strategy_saw(played: TradingSystem) -> None:
    silent = next(one for one in entries(played)[60:] if one.decisions == NO_SIGNAL)

    page = verb(played, "explain", GOLD, instant(silent.open_ms)).stdout

    assert "no trade: the strategy gave no signal" in page.splitlines()[0]
    assert "SMA(3)" in page
    assert "the rules were not checked" in page


def test_candle_whose_window_is_not_whole_reports_it(played: TradingSystem) -> None:
    found = explained(played, entries(played)[2].open_ms)

    assert found["headline"].startswith("no trade: warming up: ")
    assert any("no indicator values" in note for note in found["notes"])


def test_events_are_looked_for_near_the_candle_and_the_end_of_its_position(played: TradingSystem) -> None:
    client, key = played.stores().redis, keys.events(played.settings.namespace)
    silent = next(one for one in entries(played)[60:] if one.decisions == NO_SIGNAL).open_ms
    traded = decided(played, lambda one: one["outcome"] == "accepted")["open_ms"]
    told = {at_ms: len(explained(played, at_ms)["events"]) for at_ms in (silent, traded)}
    newest = cast("list[tuple[bytes, Any]]", client.xrevrange(key, count=1))[0][0]
    for minutes in (5, 120):
        for at_ms in (silent, traded):
            event = Event(type=EventType.SIGNAL_REJECTED, symbol=GOLD, market_ms=0, correlation_id=f"{GOLD}:1m:{at_ms}")
            late_ms = int(newest.split(b"-")[0]) + minutes * MINUTE_MS
            client.xadd(key, {"event": event.model_dump_json(), "at_ms": late_ms}, id=f"{late_ms}-*")

    assert {at_ms: len(explained(played, at_ms)["events"]) for at_ms in told} == {
        at_ms: count + 1 for at_ms, count in told.items()
    }


@pytest.mark.parametrize("kind", ["accepted", "silent"])
def test_replay_of_the_same_candles_gives_the_same_page_but_for_what_a_live_run_alone_has(
    played: TradingSystem, tmp_path: Path, kind: str
) -> None:
    path = write_candles(tmp_path / "gold.csv", tape(GOLD, 3))
    verdicts = {row["open_ms"]: row["outcome"] for row in played.stores().ledger.decisions(GOLD, limit=1_000)}
    open_ms = next(one.open_ms for one in entries(played)[30:90] if verdicts.get(one.open_ms, "silent") == kind)

    live = explained(played, open_ms)
    again = explained(played, open_ms, "--candles", str(path), "--set", "account.max_open_positions=5")

    for name in ("headline", "values", "said", "signal", "fills", "trades"):
        assert again[name] == live[name]
    assert [(one["rule"], one["is_met"]) for one in again["checks"]] == [
        (one["rule"], one["is_met"]) for one in live["checks"]
    ]
    assert again["entry"]["values"] == live["entry"]["values"]
    assert again["events"] is None


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (HOLE.start + 1, "a gap: the source had no candle between"),
        (CANDLES + 5, "not decided yet"),
        (-5, "its journal begins at .* 10,000 candles"),
    ],
)
def test_time_without_a_candle_is_rejected_with_the_reason(played: TradingSystem, place: int, why: str) -> None:
    at_ms = int(tape(GOLD, 3).open_ms[0]) + place * MINUTE_MS

    answer = verb(played, "explain", GOLD, instant(at_ms))

    assert answer.exit_code == 1
    assert re.search(why, answer.stderr), answer.stderr


def test_entries_from_before_inputs_were_recorded_stay_readable(played: TradingSystem) -> None:
    client, namespace = played.stores().redis, played.settings.namespace
    client.xadd(
        keys.journal(namespace, "OLD"),
        {"decision": "no signal", "regime": "ranging", "close": "4489.5", "correlation_id": "OLD:1m:60000"},
        id="60000-0",
    )

    found = JournalReader(client, namespace, "OLD").newest(5)

    assert found == [Entry(60_000, NO_SIGNAL, "ranging", "OLD:1m:60000", close=4489.5)]
    assert not found[0].is_replayable


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
    told = json.loads(verb(played, "replay", GOLD, "--set", "risk.units=2", "--json").stdout)
    assert told["is_identical"] is False
    assert told["difference_count"] > 0
    assert told["first_difference"]["recorded"] != told["first_difference"]["replayed"]


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
    path = write_candles(tmp_path / "gold.csv", tape(GOLD, 3))
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: file_symbol(path)}, account=LIMITS)
    try:
        pipeline = system.pipeline(GOLD)
        ledger = system.stores().ledger
        while len(ledger.fills(GOLD)) < 6 or not any(one.is_open for one in ledger.positions()):
            pipeline.advance(AdvanceSymbol(GOLD))
        flat = pipeline.flatten("news")
        for _ in range(60):
            pipeline.advance(AdvanceSymbol(GOLD))
        asked = decided(system, lambda one: one["origin"] == "flatten")
        place = next(at for at, one in enumerate(entries(system)) if one.open_ms > asked["open_ms"])

        before, first = recorded_again(system)
        after, second = recorded_again(system, from_ms=entries(system)[place + 1].open_ms)
        page = explained(system, asked["open_ms"] - 1)
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
    path = write_candles(tmp_path / "gold.csv", tape(GOLD, 3))
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
