"""The statements of the documents are true: names, the example strategy, and the targets of links."""

import re
import sys
from pathlib import Path

import pytest

from configs.plugins.strategies import load_strategy
from tasks import app, control
from tests.fixtures.apps.running import ROOT
from tests.fixtures.candle_files import generated_candles
from tests.fixtures.readme import README, blocks, own_code, own_strategy
from trading.indicators import compute
from trading.services.chain import ChainOutcome
from trading.strategies import SHIPPED


def test_strategy_of_the_readme_over_candles_buys_with_a_stop_and_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_strategies.py").write_text(own_code(), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_strategies", raising=False)
    named = own_strategy()["strategy"]
    strategy = load_strategy(named["name"], named["params"])
    monkeypatch.delitem(sys.modules, "my_strategies")
    candles = generated_candles("XAUUSD", 3_000)

    rows = compute(candles, strategy.indicators(), window=strategy.startup_candle_count, rows=len(candles)).frame()
    given = strategy.signals(rows).last(len(rows), rows=rows, strategy=named["name"])

    buys = [signal for signal in given if signal.side == "buy"]
    assert buys
    assert all(signal.stop_loss == pytest.approx(signal.price * 0.99) for signal in buys)
    assert {signal.side for signal in given} == {"buy", "close"}


def test_backtest_of_the_readme_prints_its_metrics_and_writes_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "README.md", "exec", dont_inherit=True), {"__name__": "readme"})

    assert "total return" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


def test_readme_names_the_strategies_the_control_tasks_and_the_ends_that_there_are() -> None:
    shipped = re.search(r"Shipped: (.*?)\. Any", README, flags=re.DOTALL)
    ends = re.search(r"records why: (.*?)\. The", README, flags=re.DOTALL)
    assert shipped
    assert ends
    assert set(re.findall(r"`(\w+)`", shipped[1])) == set(SHIPPED)
    assert set(re.findall(r"`([\w-]+)`", ends[1])) <= set(ChainOutcome)
    control_tasks = {name for name in app.tasks if name.startswith("tasks.") and hasattr(control, name[6:])}
    named = set(re.findall(r"(?:`|tasks\.)(\w+_symbol|\w+_all|status|clear_quarantine)\b", README))
    assert {f"tasks.{name}" for name in named} == control_tasks


def links(document: str) -> set[str]:
    """Return what a document points to inside the repository: its links, and the paths that it names."""
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text)
    return (linked | set(named)) - {"", "var/"}


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_document_points_only_to_what_is_there(document: str) -> None:
    assert [target for target in sorted(links(document)) if not (ROOT / target).exists()] == []
