"""Incidents on the command line: shown, resolved through a worker, and visible in the status of their symbol."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapters.ledger.ledger import SqlLedger
from adapters.wiring.venues import open_venues
from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import START_MS, generated_candles, write_candles
from trading.events.event import EventType
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.testing.contracts.ledger.examples import enter, fill_of, request_of

MakeSystem = Callable[..., TradingSystem]

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def system(make_system: MakeSystem, tmp_path: Path) -> TradingSystem:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 40, seed=3))
    return make_system({name: file_symbol(path) for name in ("XAUUSD", "BTCUSD")})


def verb(system: TradingSystem, *arguments: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env={**system.environment, "COLUMNS": "160"})


def command(system: TradingSystem, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a verb that sends a task; in this process the app would keep the first Redis that it was told of."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "trading", *arguments],
        cwd=ROOT,
        env={**os.environ, **system.environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def printed_rows(system: TradingSystem, *arguments: str) -> list[dict[str, object]]:
    result = verb(system, *arguments, "--json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, object]] = json.loads(result.stdout)
    return rows


def open_incidents(ledger: SqlLedger) -> None:
    ledger.open_incidents(
        [
            Incident(IncidentKind.POSITION_MISMATCH, "XAUUSD", "trend", "2 here, 1 there", {"ours": 2.0}),
            Incident(IncidentKind.LATE_FILL, "BTCUSD", "fill-9", "came late", {"units": 0.5}),
        ]
    )


def test_incidents_are_shown_the_newest_last_and_the_resolved_ones_on_request(system: TradingSystem) -> None:
    assert verb(system, "incidents").stdout == "no open incidents\n"
    ledger = system.stores().ledger
    open_incidents(ledger)
    ledger.resolve_incident(int(ledger.incidents("BTCUSD")[0]["id"]), "seen")

    assert [row["symbol"] for row in printed_rows(system, "incidents")] == ["XAUUSD"]
    assert [row["symbol"] for row in printed_rows(system, "incidents", "--all")] == ["XAUUSD", "BTCUSD"]
    assert [row["resolution"] for row in printed_rows(system, "incidents", "BTCUSD", "--all")] == ["seen"]
    assert printed_rows(system, "incidents", "BTCUSD") == []
    assert [row["symbol"] for row in printed_rows(system, "incidents", "--all", "-n", "1")] == ["BTCUSD"]
    table = verb(system, "incidents", "--all").stdout
    assert all(words in table for words in ("halts", "position_mismatch", "2 here, 1 there", "resolved", "seen"))


def test_incidents_of_a_symbol_that_nobody_knows_are_wrong_usage(system: TradingSystem) -> None:
    result = verb(system, "incidents", "NOPE")

    assert result.exit_code == ExitCode.USAGE
    assert "'NOPE'" in result.stderr


def test_symbol_that_an_incident_halts_shows_in_the_status_with_the_reason(system: TradingSystem) -> None:
    open_incidents(system.stores().ledger)

    rows = {row["symbol"]: row for row in json.loads(verb(system, "status", "--json").stdout)["symbols"]}
    table = verb(system, "status").stdout

    assert rows["XAUUSD"]["state"] == "halted"
    assert rows["XAUUSD"]["halted"] == "incident 1, position_mismatch: 2 here, 1 there"
    assert (rows["BTCUSD"]["state"], rows["BTCUSD"]["halted"]) == ("starting", "")
    assert "halted" in table
    assert "incident 1, position_mismatch: 2 here, 1 there" in table


def test_symbol_whose_exit_failed_shows_in_status_and_health_with_the_reason(system: TradingSystem) -> None:
    failed = Incident(IncidentKind.EXIT_FAILED, "XAUUSD", "sma_cross", "the venue rejected the exit")
    system.stores().ledger.open_incidents([failed])

    rows = {row["symbol"]: row for row in json.loads(verb(system, "status", "--json").stdout)["symbols"]}
    health = json.loads(verb(system, "health", "--json").stdout)["symbols"]

    assert rows["XAUUSD"]["at_risk"] == "incident 1, exit_failed: the venue rejected the exit"
    assert (rows["XAUUSD"]["state"], rows["BTCUSD"]["at_risk"]) == ("starting", "")
    assert "the venue rejected the exit" in verb(system, "status").stdout
    found = {"kind": "exit_failed", "service": "", "reason": "the venue rejected the exit"}
    assert found in health["XAUUSD"]["sicknesses"]
    assert not health["XAUUSD"]["is_healthy"]
    assert found not in health["BTCUSD"]["sicknesses"]


@pytest.mark.long
def test_resolve_and_reconcile_go_through_a_worker(system: TradingSystem) -> None:
    ledger = system.stores().ledger
    open_incidents(ledger)
    system.worker("XAUUSD", "BTCUSD")

    resolved = command(system, "resolve", "1", "--reason", "closed by hand", "--timeout", "60", "--json")
    again = command(system, "resolve", "1", "--reason", "closed by hand", "--timeout", "60")
    none = command(system, "resolve", "99", "--reason", "what", "--timeout", "60")
    compared = command(system, "reconcile", "--timeout", "60", "--json")
    alone = command(system, "reconcile", "XAUUSD", "--timeout", "60")

    assert resolved.returncode == 0, resolved.stderr
    assert json.loads(resolved.stdout)["resolution"] == "closed by hand"
    assert [row["id"] for row in ledger.incidents()] == [2]
    assert (again.returncode, none.returncode) == (ExitCode.NO, ExitCode.NO)
    assert "no open incident has the number 1\n" in again.stderr
    assert "number 99" in none.stderr
    assert compared.returncode == 0, compared.stderr
    answers = json.loads(compared.stdout)
    assert {answer["symbol"]: answer["outcome"] for answer in answers} == {"XAUUSD": "agreed", "BTCUSD": "agreed"}
    assert (alone.returncode, alone.stdout) == (0, "XAUUSD: agreed\n")
    events = [event for _, _, event in system.stores().bus.recent(100) if event.type is EventType.INCIDENT_RESOLVED]
    assert [(event.symbol, event.reason) for event in events] == [("XAUUSD", "closed by hand")]


def test_adopt_and_flatten_go_through_the_symbols_own_worker(make_system: MakeSystem, tmp_path: Path) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 40, seed=3))
    system = make_system({"XAUUSD": file_symbol(path, venue={"kind": "paper", "fill_at": "close"})})
    ledger = system.stores().ledger
    venue = open_venues(system.settings, system.config.symbols)["XAUUSD"]
    identity = client_order_id("by-hand", "XAUUSD", "sma_cross", START_MS, Leg.ENTRY)
    by_hand = OrderRequest(identity, "XAUUSD", "sma_cross", Leg.ENTRY, Side.BUY, 2.0, 2_000.0, START_MS)
    venue.submit(by_hand)
    system.worker("XAUUSD")

    compared = command(system, "reconcile", "--timeout", "60")
    changed = command(system, "resolve", "2", "--reason", "mine", "--adopt", "--strategy", "nope", "--timeout", "60")
    adopted = command(system, "resolve", "2", "--reason", "mine", "--adopt", "--by", "ann", "--timeout", "60")
    held = sum(position.units for position in ledger.positions())
    closed = command(system, "flatten", "XAUUSD", "--reason", "enough", "--timeout", "60", "--json")
    again = command(system, "flatten", "XAUUSD", "--reason", "enough", "--timeout", "60")

    assert compared.returncode == ExitCode.NO
    assert (changed.returncode, "XAUUSD has no strategy 'nope'" in changed.stderr) == (ExitCode.NO, True)
    assert adopted.returncode == 0, adopted.stderr
    assert adopted.stdout.splitlines()[0] == "adopted for sma_cross: entry: buy 2 at 2000"
    assert adopted.stdout.splitlines()[-1] == "also resolved: 1"
    assert held == 2.0
    assert closed.returncode == 0, closed.stderr
    [answer] = json.loads(closed.stdout)
    assert (answer["outcome"], answer["units"]) == ("flat", 0.0)
    assert list(venue.positions()) == []
    assert again.stdout.startswith("XAUUSD: flat\n")
    assert "is running and may open a position" in again.stdout


def test_what_is_open_of_a_symbol_that_is_not_configured_shows_in_the_status(system: TradingSystem) -> None:
    ledger = SqlLedger(system.stores().ledger._engine, "test", 1_000_000.0)
    request = enter(ledger, request_of("EURUSD", account="test")).request
    ledger.record_fills("EURUSD", [fill_of(request, units=1.5)])
    enter(ledger, request_of("XAUUSD", account="test"))

    status_json = json.loads(verb(system, "status", "--json").stdout)["unconfigured"]
    table = verb(system, "status").stdout

    words = "+1.5 units, 1 unsettled orders, and it is not configured"
    assert status_json == {"EURUSD": words}
    assert f"EURUSD: {words}; add it to" in table
    assert str(system.folder / "configs" / "symbols.yaml") in "".join(table.split("\n"))


def test_resolve_without_a_worker_ends_with_four_and_changes_nothing(system: TradingSystem) -> None:
    ledger = system.stores().ledger
    open_incidents(ledger)

    result = command(system, "resolve", "1", "--reason", "closed by hand", "--timeout", "1")

    assert result.returncode == ExitCode.UNANSWERED
    assert len(ledger.incidents()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", "1"),
        ("resolve", "1", "--reason", " "),
        ("resolve", "x", "--reason", "why"),
        ("resolve", "1", "--reason", "why", "--price", "7"),
        ("resolve", "1", "--reason", "why", "--adopt", "--price", "0"),
        ("flatten", "XAUUSD"),
        ("flatten", "--reason", "why"),
        ("flatten", "NOPE", "--reason", "why"),
    ],
)
def test_resolve_needs_a_number_and_a_reason(system: TradingSystem, arguments: tuple[str, ...]) -> None:
    assert verb(system, *arguments).exit_code == ExitCode.USAGE
