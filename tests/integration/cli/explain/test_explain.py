"""`trading explain` on what a real system recorded, and on replays of its candles."""

import re
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.redis import keys
from adapters.symbol_store.journal import JournalReader
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.candle_files import write_candles
from tests.integration.cli.explain.explained import (
    CANDLES,
    COIN,
    GOLD,
    HOLE,
    MINUTE_MS,
    decided,
    entries,
    explained,
    instant,
    recorded_series,
    verb,
)
from trading.events.decisions import NO_SIGNAL
from trading.events.event import Event, EventType
from trading.events.journal import Entry
from trading.lifecycle import DesiredState
from trading.risk.signal_filters import ENTRY_RULES

pytestmark = pytest.mark.timeout(240)


def test_journal_holds_the_inputs_of_each_decision(played: TradingSystem) -> None:
    found = entries(played)

    assert [[one.open_ms, *(one.values or ())] for one in found] == recorded_series(GOLD, 3).rows()
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
    event_counts = {at_ms: len(explained(played, at_ms)["events"]) for at_ms in (silent, traded)}
    newest = cast("list[tuple[bytes, Any]]", client.xrevrange(key, count=1))[0][0]
    for minutes in (5, 120):
        for at_ms in (silent, traded):
            event = Event(type=EventType.SIGNAL_REJECTED, symbol=GOLD, market_ms=0, correlation_id=f"{GOLD}:1m:{at_ms}")
            late_ms = int(newest.split(b"-")[0]) + minutes * MINUTE_MS
            client.xadd(key, {"event": event.model_dump_json(), "at_ms": late_ms}, id=f"{late_ms}-*")

    assert {at_ms: len(explained(played, at_ms)["events"]) for at_ms in event_counts} == {
        at_ms: count + 1 for at_ms, count in event_counts.items()
    }


@pytest.mark.parametrize("kind", ["accepted", "silent"])
def test_replay_of_the_same_candles_gives_the_same_page_but_for_what_a_live_run_alone_has(
    played: TradingSystem, tmp_path: Path, kind: str
) -> None:
    path = write_candles(tmp_path / "gold.csv", recorded_series(GOLD, 3))
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
    at_ms = int(recorded_series(GOLD, 3).open_ms[0]) + place * MINUTE_MS

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
