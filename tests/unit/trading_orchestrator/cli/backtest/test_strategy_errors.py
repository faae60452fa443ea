"""The commands' output for a faulty strategy: one message, the user's own line, no traceback of ours."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.fixtures.apps.system import ROOT, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

MINE = """\
from trading.indicators import sma
from trading.strategies import Signals, Strategy

class Always(Strategy):
    def indicators(self):
        return {"mean": sma(3)}
    def signals(self, rows):
        return Signals(len(rows)).buy((rows["close"] > 0).to_numpy(), reason="always")

class HookRaises(Always):
    def manage_position(self, row, position):
        raise RuntimeError("boom")

class Nothing(Always):
    def signals(self, rows):
        pass

class TakesTheClose(Always):
    def indicators(self):
        return {"close": sma(3)}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb in a folder with strategies of a user's, and one symbol that plays a file."""
    (tmp_path / "mine_for_a_test.py").write_text(MINE)
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 60))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine_for_a_test", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "services.yaml").write_text((ROOT / "configs" / "services.yaml").read_text(), encoding="utf-8")

    def run(strategy: str, *arguments: str) -> Result:
        account = {"name": "test", "starting_balance": 100_000}
        symbol = file_symbol(path, strategy={"name": f"mine_for_a_test:{strategy}"})
        content = {"account": account, "symbols": {"XAUUSD": symbol}}
        (tmp_path / "symbols.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        environ = {"TRADING__CONFIG_DIR": str(tmp_path), "COLUMNS": "200"}
        return CliRunner().invoke(trading, list(arguments), env=environ)

    return run


REPLAY = ("backtest", "--symbol", "XAUUSD")
CHECK = ("check-strategy", "--symbol", "XAUUSD")


def test_replay_of_a_hook_that_raises_is_two_lines_with_symbol_candle_and_the_line_in_its_file(run: Run) -> None:
    result = run("HookRaises", *REPLAY)

    first, second = result.stderr.splitlines()
    assert result.exit_code == ExitCode.NO
    assert first.startswith(
        "error: XAUUSD: strategy mine_for_a_test:HookRaises: manage_position at the candle 2026-03-02 "
    )
    assert first.endswith(" UTC: RuntimeError: boom")
    assert second == '  mine_for_a_test.py, line 12, in manage_position: raise RuntimeError("boom")'


def test_replay_of_signals_that_answer_nothing_reports_where_they_are_defined(run: Run) -> None:
    result = run("Nothing", *REPLAY)

    first, second = result.stderr.splitlines()
    assert result.exit_code == ExitCode.NO
    assert first.endswith("UTC on: answered None; allowed: a SignalBuilder(len(rows))")
    assert second == "  mine_for_a_test.py, line 15, in signals"


@pytest.mark.parametrize(
    "arguments", [("config", "check"), REPLAY, CHECK, ("check-strategy", "mine_for_a_test:TakesTheClose")]
)
def test_indicator_with_the_name_of_a_column_is_rejected_by_each_verb(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("TakesTheClose", *arguments)

    assert result.exit_code == ExitCode.USAGE
    assert "indicators: answered an indicator named 'close'; allowed: " in result.stderr
    assert "the names open_ms, open, high, low, close, volume are reserved" in result.stderr


def test_check_of_a_strategy_that_answers_nothing_reports_of_each_other_check_that_it_was_not_tried(run: Run) -> None:
    result = run("Nothing", *CHECK)

    line_by_check = {line[:11].strip(): line for line in result.stdout.splitlines()}
    assert result.exit_code == ExitCode.NO
    assert "FAIL" in line_by_check["error"]
    for check in ("look-ahead", "window", "nan", "stop side", "repeat", "mutation"):
        assert line_by_check[check].split(maxsplit=len(check.split()))[-1].startswith("not checked")
    assert "No candle could be checked" in result.stdout
