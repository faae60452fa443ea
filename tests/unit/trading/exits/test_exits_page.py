"""The hook of docs/reference/exits.md: it loads, is sound, and does in a replay what the page says of it."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.backtest.backtest import run_backtest
from configs.plugins.strategies import load_strategy
from tests.fakes import system_config
from trading.events.decisions import DecisionKind, describe
from trading.strategies import PositionRule
from trading.strategy_checks import CheckName, Report, examine
from trading.strategy_checks.synthetic_series import made_up
from trading_orchestrator.testing.candles import SYMBOL, make_candles

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "exits.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
FAULTY = """
class Faulty(Patient):
    kept: list = []
    fault: str = ""

    def manage_position(self, row, position):
        if self.fault == "raises":
            return row["no_such_column"]
        if self.fault == "answers":
            return 99.0
        if self.fault == "nan":
            return MoveStop(float("nan"), "no price")
        if self.fault == "keeps":
            self.kept.append(1)
            return ExitNow(f"asked {len(self.kept)} times")
        if self.fault == "changes":
            row["close"] = 0.0
        return None
"""


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the import path of a module with the example of the page."""
    (tmp_path / "my_exits.py").write_text(EXAMPLE + FAULTY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_exits", raising=False)
    return "my_exits"


def tried(name: str, **params: Any) -> Report:
    return examine(lambda: load_strategy(name, params), made_up(260, (1,))[:1], rows_limit=6, least_rows=3, rows=40)


def test_hook_of_the_page_is_found_and_sound(hook: str) -> None:
    assert isinstance(load_strategy(f"{hook}:Patient", {}), PositionRule)
    assert tried(f"{hook}:Patient", fast=3, slow=8, atr_period=5).findings == []


@pytest.mark.parametrize(
    ("fault", "check", "found"),
    [
        ("raises", CheckName.ERROR, "KeyError: 'no_such_column'"),
        ("answers", CheckName.ERROR, "99.0"),
        ("nan", CheckName.NAN, "nan"),
        ("keeps", CheckName.REPEAT, "exit: asked 2 times"),
        ("changes", CheckName.MUTATION, "another row"),
    ],
)
def test_faulty_hook_is_found_by_its_check(hook: str, fault: str, check: CheckName, found: str) -> None:
    report = tried(f"{hook}:Faulty", fault=fault, fast=3, slow=8, atr_period=5)

    findings = [one for one in report.of(check) if one.column == "manage_position"]
    assert findings
    assert findings[0].found.partition("; ")[0] == found
    assert ("my_exits.py, line " in findings[0].found) == (fault == "raises")


def test_hook_of_the_page_in_a_replay_moves_stops_and_ends_what_goes_nowhere(hook: str) -> None:
    params = {"fast": 3, "slow": 8, "atr_period": 5, "stop_atr": 3.0, "target_atr": 0.0, "most_minutes": 8}
    config = system_config({"name": f"{hook}:Patient", "params": params}, venue={"kind": "paper", "fill_at": "close"})
    series = make_candles(600, seed=2)

    found = run_backtest(config, {SYMBOL: series})

    journal = found.journals[SYMBOL].decisions
    texts = [describe(made) for made in journal]
    assert any("manage_position: one ATR behind the slow average" in text for text in texts)
    ended = [text for text in texts if "manage_position: less than one ATR made in 8 minutes" in text]
    assert ended
    assert {one.side for one in found.decisions if one.reason in ended} == {"close"}
    assert {one.said for one in found.decisions if one.reason in ended} == {
        "manage_position: less than one ATR made in 8 minutes"
    }
    assert journal == run_backtest(config, {SYMBOL: series}, batch=1).journals[SYMBOL].decisions
    moves = [one for made in journal for one in made if one.kind is DecisionKind.STOP_MOVED]
    assert np.isfinite([one.stop_after or np.nan for one in moves]).all()
