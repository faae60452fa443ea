"""`trading check-strategy` as a user types it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.fixtures.apps.system import ROOT
from tests.fixtures.candle_files import generated_candles, write_candles
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.backtest import check_strategy
from trading_orchestrator.cli.exit_codes import ExitCode

CHEAT = """
from trading.indicators import sma
from trading.strategies import Signals, Strategy

said = 0

class Cheat(Strategy):
    period: int = 3
    def indicators(self):
        return {"mean": sma(self.period)}
    def signals(self, rows):
        rises = rows["close"].shift(-1) > rows["close"]
        return Signals(len(rows)).buy(rises.to_numpy(), stop_loss=rows["mean"].to_numpy() * 1.1, reason="rises")

class Once(Cheat):
    def signals(self, rows):
        global said
        said += 1
        if said > 1:
            raise ValueError("enough")
        return Signals(len(rows))

class Quiet(Cheat):
    def signals(self, rows):
        return Signals(len(rows))
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the verb in a folder with a strategy that cheats, on few candles."""
    (tmp_path / "cheat_for_a_test.py").write_text(CHEAT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "cheat_for_a_test", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_strategy, "SEEDS", (1,))
    monkeypatch.setattr(check_strategy, "MADE_UP_ROWS", 60)

    def run(*arguments: str | Path) -> Result:
        environ = {"TRADING__CONFIG_DIR": str(ROOT / "configs"), "COLUMNS": "200"}
        return CliRunner().invoke(trading, ["check-strategy", *map(str, arguments)], env=environ)

    return run


def answer(result: Result, exit_code: int) -> Any:
    assert result.exit_code == exit_code, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_shipped_strategy_on_made_up_markets_is_sound(run: Run) -> None:
    found = answer(run("ema_cross", "--params", "fast=5", "slow=13", "--params", "stop_atr=1.5", "--json"), ExitCode.OK)

    assert found["ok"]
    assert found["params"] | {"fast": 5, "slow": 13, "stop_atr": 1.5} == found["params"]
    assert (found["rows_limit"], found["least_rows"]) == (6, 3)
    assert [one["series"] for one in found["series"]] == ["trend 1", "range 1", "gaps 1", "flat 1"]
    assert set(found["counts"].values()) == {0}
    assert min(found["tried"].values()) > 0
    assert found["not_tried"] == {}


def test_strategy_that_cheats_ends_with_one_and_reports_where(run: Run) -> None:
    found = answer(run("cheat_for_a_test:Cheat", "--json"), ExitCode.NO)
    shown = run("cheat_for_a_test:Cheat")

    first = found["findings"][0]
    assert first.keys() == {"check", "series", "open_ms", "column", "expected", "found"}
    assert found["counts"]["look-ahead"] > 0 < found["counts"]["stop side"]
    assert shown.exit_code == ExitCode.NO
    line = next(line for line in shown.stdout.splitlines() if line.startswith("look-ahead"))
    assert "FAIL" in line
    assert "side: expected nothing, found buy" in line
    assert "no shift(-1)" in shown.stdout


def test_strategy_without_signals_is_reported_to_prove_little(run: Run) -> None:
    result = run("cheat_for_a_test:Quiet")

    assert result.exit_code == ExitCode.OK
    assert "The strategy gave no signal" in result.stdout
    assert answer(run("cheat_for_a_test:Quiet", "--json"), ExitCode.OK)["not_tried"] == {
        "stop side": "no entry had a stop or a target"
    }


def test_strategy_that_never_answers_twice_has_its_answers_not_compared(run: Run) -> None:
    found = answer(run("cheat_for_a_test:Once", "--json"), ExitCode.NO)

    why = "it did not answer at every evaluation"
    assert found["not_tried"].keys() >= {"look-ahead", "window"}
    assert {found["not_tried"][name] for name in ("look-ahead", "window")} == {why}


def test_strategy_that_needs_more_candles_than_can_be_made_up_is_reported_to_bring_some(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_strategy, "MOST_MADE_UP", 1_000)

    result = run("cheat_for_a_test:Cheat", "period=900")

    assert result.exit_code == ExitCode.NO
    assert "needs 900 candles to begin; at most 1,000 are generated; name a file with --candles" in result.stderr


def test_symbol_gives_candles_strategy_and_parameters(run: Run) -> None:
    found = answer(run("--symbol", "XAUUSD", "-n", "50", "--json", "fast=6"), ExitCode.OK)

    assert (found["strategy"], found["params"]["fast"], found["params"]["slow"]) == ("ema_cross", 6, 13)
    assert [(one["series"], one["candles"]) for one in found["series"]] == [("XAUUSD", 50)]


def test_file_is_evaluated_at_its_newest_candles(run: Run, tmp_path: Path) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 400))

    found = answer(run("sma_cross", "fast=3", "slow=8", "--candles", path, "-n", "100", "--json"), ExitCode.OK)

    assert [(one["series"], one["candles"]) for one in found["series"]] == [("gold.csv", 100)]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "name one strategy"),
        (("ema_cross", "sma_cross"), "name one strategy"),
        (("ema_crosss",), "'ema_crosss' is not the name of a strategy"),
        (("ema_cross", "fats=3"), "did you mean 'fast'?"),
        (("ema_cross", "fast=50", "slow=20"), "fast must be below slow"),
        (("ema_cross", "--params", "fast"), "expected KEY=VALUE"),
        (("ema_cross", "--params", "fast=[1"), "the value is not valid YAML"),
        (("ema_cross", "--symbol", "NOPE"), "known are: XAUUSD"),
        (("cheat_for_a_test:Nobody",), "has no 'Nobody'"),
    ],
)
def test_wrong_usage_reports_what_is_allowed(run: Run, arguments: tuple[str, ...], fault: str) -> None:
    result = run(*arguments)

    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert fault in result.stderr


def test_file_with_too_few_candles_is_rejected_with_the_number_needed(run: Run, tmp_path: Path) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 60))

    result = run("ema_cross", "--candles", path)

    assert result.exit_code == ExitCode.NO
    assert "has 60 candles; the strategy needs 396 to begin" in result.stderr
