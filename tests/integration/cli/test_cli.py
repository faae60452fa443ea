"""The command line on a real Redis and a migrated ledger: what it prints, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.events.event import Event, EventType
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

MakeSystem = Callable[..., TradingSystem]
CANDLES = 300
COMMAND_LIMIT_S = 90

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system that has decided on `CANDLES` candles of one of its two symbols; no worker runs."""
    folder = tmp_path_factory.mktemp("played")
    server = RedisServer(folder / "redis").start()
    path = write_candles(folder / "gold.csv", generated_candles("XAUUSD", CANDLES, seed=3))
    system = TradingSystem(folder / "system", server, {"XAUUSD": file_symbol(path), "BTCUSD": file_symbol(path)})
    pipeline = system.pipeline("XAUUSD")
    for _ in range(CANDLES):
        pipeline.advance(AdvanceSymbol("XAUUSD"))
    yield system
    system.stop()
    server.stop()


def started(system: TradingSystem, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "celery", *arguments],
        cwd=ROOT,
        env={**os.environ, **system.environment, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def celery(system: TradingSystem, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `celery ARGUMENTS` from the project's root; return exit code, stdout and stderr."""
    process = started(system, *arguments, **environ)
    try:
        out, err = process.communicate(timeout=COMMAND_LIMIT_S)
    finally:
        process.kill()
    return process.returncode, out, err


def verb(system: TradingSystem, *arguments: str, **environ: str) -> Result:
    """Run a verb in this process, which is faster."""
    return CliRunner().invoke(trading, list(arguments), env=system.environment | environ)


@pytest.mark.parametrize("prefix", [("-A", "tasks"), ()])
def test_status_json_with_and_without_the_app_reports_every_symbol(
    played: TradingSystem, prefix: tuple[str, ...]
) -> None:
    exit_code, out, err = celery(played, *prefix, "trading", "status", "--json")

    assert (exit_code, err) == (0, "")
    answer = json.loads(out)
    symbols = {symbol["symbol"]: symbol for symbol in answer["symbols"]}
    assert symbols.keys() == {"XAUUSD", "BTCUSD"}
    assert symbols["XAUUSD"]["candle_ms"] == played.cursor_ms("XAUUSD")
    assert symbols["BTCUSD"]["state"] == "starting"
    assert answer["balance"] == pytest.approx(played.stores().ledger.balance())


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("orders", "XAUUSD"), {"client_order_id", "symbol", "side", "leg", "units", "state", "market_ms"}),
        (("fills", "-n", "5"), {"fill_id", "symbol", "price", "fee", "realised", "market_ms"}),
        (("positions", "--flat"), {"symbol", "units", "average_price", "realised", "opened_ms"}),
        (("decisions", "XAUUSD", "-n", "5"), {"open_ms", "close", "decision", "outcome", "rule", "reason"}),
    ],
)
def test_read_verb_json_is_a_list_of_objects_with_stable_keys(
    played: TradingSystem, arguments: tuple[str, ...], keys: set[str]
) -> None:
    exit_code, out, err = celery(played, "-A", "tasks", "trading", *arguments, "--json")

    assert (exit_code, err) == (0, "")
    rows = json.loads(out)
    assert rows
    assert all(keys <= row.keys() for row in rows)


def test_orders_and_fills_are_those_of_the_ledger_the_newest_last(played: TradingSystem) -> None:
    ledger = played.stores().ledger

    orders = json.loads(verb(played, "orders", "-n", "3", "--json").stdout)
    fills = json.loads(verb(played, "fills", "-n", "3", "--json").stdout)

    assert orders == ledger.orders(limit=3)[::-1]
    assert fills == ledger.fills(limit=3)[::-1]
    assert fills[0]["sequence"] < fills[-1]["sequence"]


def test_decisions_join_the_journal_with_the_verdicts_of_the_ledger(played: TradingSystem) -> None:
    journal = played.journal("XAUUSD")
    verdicts = {row["open_ms"]: row for row in played.stores().ledger.decisions("XAUUSD", CANDLES)}

    rows = json.loads(verb(played, "decisions", "XAUUSD", "-n", str(CANDLES), "--json").stdout)

    assert {row["open_ms"]: row["decision"] for row in rows} == journal
    judged = {row["open_ms"]: row["outcome"] for row in rows if row["outcome"]}
    assert judged == {at: verdict["outcome"] for at, verdict in verdicts.items()}
    assert "accepted" in judged.values()


def test_decisions_that_redis_lost_are_reported_by_the_ledger(make_system: MakeSystem, played: TradingSystem) -> None:
    system = make_system(played.symbols, extra={"TRADING__LEDGER_URL": played.settings.ledger_url.get_secret_value()})

    rows = json.loads(verb(system, "decisions", "XAUUSD", "-n", "4", "--json").stdout)

    assert [row["open_ms"] for row in rows] == [
        row["open_ms"] for row in played.stores().ledger.decisions("XAUUSD", 4)[::-1]
    ]
    assert all(row["close"] is None and row["decision"] for row in rows)


def test_events_filtered_are_looked_for_behind_the_newest(played: TradingSystem) -> None:
    expected = [event for _, _, event in played.stores().bus.recent(100_000) if event.type is EventType.POSITION_CLOSED]

    result = verb(played, "events", "-n", "2", "--type", "position_closed", "--symbol", "XAUUSD", "--json")

    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(printed) == 2
    assert [event["correlation_id"] for event in printed] == [event.correlation_id for event in expected[-2:]]
    assert printed[0].keys() == {"id", "at_ms", *Event.model_fields}


def test_events_in_a_pipe_are_a_line_each_in_utc(played: TradingSystem) -> None:
    result = verb(played, "events", "-n", "4", COLUMNS="160")

    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all(line[10:20].endswith("Z") and "XAUUSD" in line for line in lines), lines


@pytest.mark.parametrize("as_json", [True, False])
def test_events_followed_show_what_comes_and_end_quietly_on_ctrl_c(played: TradingSystem, as_json: bool) -> None:
    arguments = ["-A", "tasks", "trading", "events", "--follow", "-n", "1", "--type", "SERVICE_ERROR"]
    played.stores().bus.publish([Event(type=EventType.SERVICE_ERROR, symbol="BTCUSD", reason="first")])
    process = started(played, *arguments, *(["--json"] if as_json else []))
    watchdog = threading.Timer(COMMAND_LIMIT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        played.stores().bus.publish(
            [Event(type=EventType.SERVICE_STARTED, symbol="BTCUSD"), Event(type=EventType.SERVICE_ERROR, reason="next")]
        )
        while "next" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended before the event"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    finally:
        watchdog.cancel()
        process.kill()

    assert (process.returncode, out, err) == (0, "", "")
    assert not any("SERVICE_STARTED" in line for line in lines)
    assert as_json == all(line.startswith("{") for line in lines)


def test_reader_of_a_pipe_that_goes_away_is_no_error(played: TradingSystem) -> None:
    process = started(played, "-A", "tasks", "trading", "events", "--follow", "--json", "-n", "5")
    watchdog = threading.Timer(COMMAND_LIMIT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        bus = played.stores().bus
        while process.poll() is None:
            bus.publish([Event(type=EventType.SERVICE_STOPPED, symbol="BTCUSD", reason="one more")])
            threading.Event().wait(0.05)
        err = process.stderr.read()
        process.stderr.close()
    finally:
        watchdog.cancel()
        process.kill()

    assert (process.returncode, err) == (0, "")


@pytest.mark.long
def test_control_without_a_worker_ends_with_four_and_changes_nothing_later(
    make_system: MakeSystem, tmp_path: Path
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 50, seed=3))
    system = make_system({"XAUUSD": file_symbol(path)})

    exit_code, out, err = celery(system, "-A", "tasks", "trading", "pause", "XAUUSD", "--timeout", "1")
    assert (exit_code, out) == (ExitCode.UNANSWERED, "")
    assert "no worker runs" in err
    assert "trading up" in err

    system.worker("XAUUSD")
    exit_code, out, err = celery(system, "-A", "tasks", "trading", "restart", "XAUUSD", "--timeout", "50", "--json")
    assert (exit_code, err) == (0, "")
    assert json.loads(out)[0]["before"] == "running", "the request that had expired was done"


def test_control_verbs_change_the_ledger_and_report_it(make_system: MakeSystem, tmp_path: Path) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 50, seed=3))
    system = make_system({name: file_symbol(path) for name in ("XAUUSD", "BTCUSD")})
    system.worker("XAUUSD")

    def control(*arguments: str) -> Any:
        exit_code, out, err = celery(system, "trading", *arguments, "--timeout", "50", "--json")
        assert (exit_code, err) == (0, "")
        return {answer["symbol"]: (answer["before"], answer["now"]) for answer in json.loads(out)}

    assert control("pause", "XAUUSD", "--reason", "news") == {"XAUUSD": ("running", "paused")}
    assert system.stores().ledger.desired("XAUUSD") == "paused"
    assert control("stop", "BTCUSD") == {"BTCUSD": ("running", "stopped")}
    assert control("resume", "--all") == {"XAUUSD": ("paused", "running")}, "a stopped symbol stays stopped"
    assert control("start", "--all") == {"XAUUSD": ("running", "running"), "BTCUSD": ("stopped", "running")}
    reasons = [event.reason for _, _, event in system.stores().bus.recent(100)]
    assert "news" in reasons


def test_redis_that_is_gone_ends_with_three_and_the_ledger_is_still_read(
    make_system: MakeSystem, own_redis: RedisServer, tmp_path: Path
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 50, seed=3))
    system = make_system({"XAUUSD": file_symbol(path)})
    own_redis.kill()

    for arguments in (("status",), ("events",), ("decisions", "XAUUSD"), ("pause", "XAUUSD"), ("events", "-f")):
        result = verb(system, *arguments)
        assert result.exit_code == ExitCode.OUTSIDE, result.output
        assert "TRADING__REDIS_URL" in result.stderr
        assert own_redis.plan.password not in result.output
    assert verb(system, "positions").exit_code == 0
    assert verb(system, "doctor").exit_code == ExitCode.NO


def test_config_fault_ends_celery_with_two_and_no_traceback(played: TradingSystem) -> None:
    wrong = {"TRADING__SYMBOLS__XAUUSD__TIMEFRAME": "7x"}

    exit_code, out, err = celery(played, "-A", "tasks", "trading", "status", **wrong)

    assert (exit_code, out) == (ExitCode.USAGE, "")
    assert "symbols.XAUUSD.timeframe: found '7x'" in err
    assert "Traceback" not in err
