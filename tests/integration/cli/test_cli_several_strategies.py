"""Output of the commands for a symbol with two strategies, and the effect of a reload on them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from configs.diff import compare
from configs.loading import load_system
from configs.snapshot import content_of
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

GOLD = "XAUUSD"
CANDLES = 200
PARAMS = {"fast": 3, "slow": 8, "atr_period": 2}
BOTH = {
    "cross": {"name": "sma_cross", "params": PARAMS},
    "twin": {"name": "sma_cross", "params": PARAMS, "risk": {"sizing": "fixed_units", "units": 3}},
}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system of one symbol whose two strategies always speak at the same candle, and have decided on some."""
    folder = tmp_path_factory.mktemp("several")
    server = RedisServer(folder / "redis").start()
    path = write_candles(folder / "gold.csv", generated_candles(GOLD, CANDLES, seed=3))
    venue = {"kind": "paper", "fill_at": "close"}
    system = TradingSystem(
        folder / "system", server, {GOLD: file_symbol(path, strategy=None, strategies=BOTH, venue=venue)}
    )
    pipeline = system.pipeline(GOLD)
    for _ in range(CANDLES):
        pipeline.advance(AdvanceSymbol(GOLD))
        if len(system.stores().ledger.exposure(GOLD).positions) == len(BOTH):
            break
    yield system
    system.stop()
    server.stop()


def describe(system: TradingSystem, *arguments: str) -> Any:
    result = CliRunner().invoke(trading, [*arguments, "--json"], env=dict(system.environment))
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def last_signal(system: TradingSystem) -> list[dict[str, Any]]:
    rows = [row for row in describe(system, "decisions", GOLD, "-n", "50") if row["outcome"]]
    return [row for row in rows if row["open_ms"] == rows[-1]["open_ms"]]


def test_decisions_have_a_row_for_each_strategy_that_spoke(played: TradingSystem) -> None:
    rows = last_signal(played)

    assert [(row["strategy"], row["outcome"]) for row in rows] == [("cross", "accepted"), ("twin", "accepted")]
    assert [row["decision"].partition(": ")[0] for row in rows] == ["cross", "twin"]


def test_positions_and_status_name_the_strategies(played: TradingSystem) -> None:
    held = {row["strategy"]: abs(row["units"]) for row in describe(played, "positions")}
    assert held == {"cross": 1.0, "twin": 3.0}
    assert [row["strategy"] for row in describe(played, "status")["symbols"]] == ["cross, twin"]


def test_explain_reports_of_each_strategy_its_own_orders(played: TradingSystem) -> None:
    open_ms = last_signal(played)[0]["open_ms"]
    when = datetime.fromtimestamp(open_ms / 1000, UTC).isoformat()
    first, second = describe(played, "explain", GOLD, when)

    assert (first["strategy"], second["strategy"]) == ("cross", "twin")
    for one in (first, second):
        assert one["headline"].startswith("traded")
        assert {order["request"]["strategy"] for order in one["orders"]} == {one["strategy"]}
        assert not one["notes"]
    assert describe(played, "explain", GOLD, when, "--strategy", "twin") == second


def test_explain_of_a_strategy_that_is_not_there_names_those_that_are(played: TradingSystem) -> None:
    arguments = ["explain", GOLD, "2026-03-02T00:00Z", "--strategy", "nobody"]
    result = CliRunner().invoke(trading, arguments, env=dict(played.environment))

    assert result.exit_code == ExitCode.USAGE
    assert "strategies: cross, twin" in result.output


def test_check_strategy_tries_each_or_the_one_that_is_named(played: TradingSystem) -> None:
    assert [one["strategy"] for one in describe(played, "check-strategy", "--symbol", GOLD, "-n", "30")] == [
        "cross",
        "twin",
    ]
    assert describe(played, "check-strategy", "twin", "--symbol", GOLD, "-n", "30", "fast=4")["params"]["fast"] == 4


def test_strategy_that_holds_a_position_cannot_be_taken_out_and_another_can_come(played: TradingSystem) -> None:
    folder = played.folder / "configs"
    old = content_of(load_system(folder, {}), folder)
    for kept, count in (({"cross": BOTH["cross"]}, 1), (BOTH | {"third": BOTH["cross"]}, 0)):
        new = json.loads(json.dumps(old))
        new["symbols"][GOLD]["strategies"] = kept
        refusals = compare(old, new, played.stores().ledger.exposure).refusals
        assert len(refusals) == count
        assert all("positions are open: " in line and "strategies.twin.name" in line for line in refusals)
