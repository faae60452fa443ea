"""`trading fence`: a fence in the future is visible in health and status, and an operator sets it back."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapters.symbol_store.journal import JournalReader
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import START_MS, generated_candles, write_candles
from trading.events.decisions import NO_SIGNAL
from trading.indicators.regime import Regime
from trading.market.candles import Candles
from trading.ports.symbol_store import Commit
from trading.risk.verdict import RiskDecision
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

SYMBOL = "XAUUSD"
COUNT = 60
DECIDED = 30
MINUTE_MS = 60_000
FUTURE_MS = 7_258_118_400_000
TO_MS = START_MS + (DECIDED - 1) * MINUTE_MS
TO = "2026-03-02T00:29Z"
REASON = ("--reason", "a forged candle of 2200")


@pytest.fixture
def system(make_system: Callable[..., TradingSystem], tmp_path: Path) -> TradingSystem:
    """A symbol that has decided half of its recording, and whose fence and cursor were moved to the year 2200."""
    generated = generated_candles(SYMBOL, COUNT)
    system = make_system({SYMBOL: file_symbol(write_candles(tmp_path / "gold.csv", generated))})
    pipeline = system.pipeline(SYMBOL)
    while system.cursor_ms(SYMBOL) < TO_MS:
        pipeline.advance(AdvanceSymbol(SYMBOL))
    forged = Candles(generated.open_ms[:1] * 0 + FUTURE_MS, generated.values[:1])
    stores = system.stores()
    stores.ledger.decide(SYMBOL, "sma_cross", FUTURE_MS, lambda _: RiskDecision("forged", "forged"), correlation_id="c")
    stores.store.commit(Commit(SYMBOL, "1m", TO_MS, forged, [NO_SIGNAL], [Regime.UNKNOWN]), [])
    return system


def call(system: TradingSystem, *arguments: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env={**system.environment, "COLUMNS": "200"})


def printed_json(system: TradingSystem, *arguments: str) -> Any:
    result = call(system, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def journal(system: TradingSystem) -> list[int]:
    reader = JournalReader(system.stores().redis, system.settings.namespace, SYMBOL)
    return [entry.open_ms for entry in reader.between()]


def test_fence_in_the_future_is_shown_by_fence_health_and_status(system: TradingSystem) -> None:
    [shown] = printed_json(system, "fence", "show")
    health = call(system, "health", "--json")
    [status] = printed_json(system, "status")["symbols"]

    assert shown["cursor_ms"] == FUTURE_MS
    assert shown["fences"] == [{"strategy": "sma_cross", "fence_ms": FUTURE_MS}]
    assert "2200-01-01" in shown["ahead"]
    assert health.exit_code == ExitCode.NO
    kinds = [one["kind"] for one in json.loads(health.stdout)["symbols"][SYMBOL]["sicknesses"]]
    assert kinds == ["fence_ahead"]
    assert (status["state"], status["ahead"], status["error"]) == ("error", shown["ahead"], shown["ahead"])


def test_reset_lets_the_symbol_decide_the_rest_of_its_candles_once(system: TradingSystem) -> None:
    orders = system.stores().ledger.orders(SYMBOL)
    answer = printed_json(system, "fence", "reset", SYMBOL, "--to", TO, *REASON, "--by", "ann")
    assert [(one["strategy"], one["before_ms"], one["after_ms"]) for one in answer["changes"]] == [
        ("", FUTURE_MS, TO_MS),
        ("sma_cross", FUTURE_MS, TO_MS),
    ]

    system.worker(SYMBOL)
    last_ms = START_MS + (COUNT - 1) * MINUTE_MS
    with system.client() as client:
        send_tick(client, SYMBOL, tick_id=f"tick:{SYMBOL}:{uuid.uuid4()}", life_s=60)
        system.wait_until(lambda: system.cursor_ms(SYMBOL) == last_ms, "the end of the recording")

    decided = [row["open_ms"] for row in system.stores().ledger.decisions(SYMBOL, 1_000)]
    assert len(decided) == len(set(decided))
    assert journal(system) == [START_MS + place * MINUTE_MS for place in range(COUNT)][-len(journal(system)) :]
    assert journal(system)[-1] == last_ms
    kept = {row["client_order_id"] for row in orders}
    assert kept <= {row["client_order_id"] for row in system.stores().ledger.orders(SYMBOL, 1_000)}
    assert call(system, "health", "--json").exit_code == 0
    [shown] = printed_json(system, "fence", "show", SYMBOL)
    assert [(one["by"], one["reason"]) for one in shown["resets"]] == [("ann", REASON[1])] * 2
    assert call(system, "ledger", "verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "2026-03-02T00:29:30Z", *REASON), "no candle of 1m opens then"),
        (("--to", "2190-01-01", *REASON), "lies in the future"),
        (("--to", TO, "--reason", " "), "--reason is empty"),
        (("--to", "yesterday", *REASON), "expected an ISO time"),
        (REASON, "Missing option '--to'"),
        (("--to", TO), "Missing option '--reason'"),
    ],
)
def test_reset_with_a_wrong_request_changes_nothing(
    system: TradingSystem, arguments: tuple[str, ...], message: str
) -> None:
    result = call(system, "fence", "reset", SYMBOL, *arguments)

    assert result.exit_code == ExitCode.USAGE
    assert message in result.output.replace("\n", " ")
    assert system.stores().ledger.fence(SYMBOL) == FUTURE_MS
    assert system.cursor_ms(SYMBOL) == FUTURE_MS


def test_tables_of_fence_are_readable(system: TradingSystem) -> None:
    done = call(system, "fence", "reset", SYMBOL, "--to", TO, *REASON)
    shown = call(system, "fence", "show")

    assert "fence of sma_cross: 2200-01-01 00:00 UTC -> 2026-03-02 00:29 UTC" in done.output
    assert "a forged candle of 2200" in shown.output
