"""Each code block and each command of docs/tutorial/first-strategy.md runs, in the order of the page."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.apps.running import ROOT, Checkout, Terminal
from trading.lifecycle import DesiredState
from trading.strategy_checks import CheckName

pytestmark = pytest.mark.timeout(600)

PAGE = (ROOT / "docs" / "tutorial" / "first-strategy.md").read_text(encoding="utf-8")
TRADING = "celery -A tasks trading"
EXPLAIN = f"{TRADING} explain XAUUSD "
EXPLAINED = {"candle", "indicators", "strategy", "rules", "decision", "orders", "position"}


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return the commands of the page, in order."""
    return [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]


def labels(explained: str) -> set[str]:
    """Return the labels of the lines of `explain`."""
    return {line.split()[0] for line in explained.splitlines() if not line.startswith(" ")}


class Reader:
    """A reader of the page: follows it in a copy of the checkout."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.terminal: Terminal | None = None

    def write_files(self) -> None:
        """Write each Python block into the file that its first line names."""
        for block in blocks("python"):
            (self.checkout.root / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")

    def edit_symbols(self) -> None:
        """Replace the strategy of XAUUSD by the block of the page."""
        file = self.checkout.root / "mine" / "symbols.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content["symbols"]["XAUUSD"] |= yaml.safe_load(blocks("yaml")[0])
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def export(self, command: str) -> None:
        """Set the variables of an `export` for all later commands."""
        self.checkout.environment |= dict(word.split("=") for word in command.split()[1:])

    def entry_ms(self) -> int:
        """Return the open time of the first candle on which an entry was accepted; wait until its order has filled."""
        terminal, checkout = self.terminal, self.checkout
        assert terminal is not None
        terminal.wait_for_output("logs in")

        def accepted() -> list[dict[str, Any]]:
            rows = json.loads(checkout.run(f"{TRADING} decisions XAUUSD --limit 10000 --json"))
            return [row for row in rows if row["outcome"] == "accepted" and "above slow" in row["reason"]]

        with checkout.stores("mine/var") as stores:
            terminal.until(lambda: stores.ledger.fills("XAUUSD"), "filled entry of the strategy")
        return int(accepted()[0]["open_ms"])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    checkout = Checkout(tmp_path_factory.mktemp("tutorial"))
    try:
        yield Reader(checkout)
    finally:
        checkout.close()


def test_tutorial_followed_from_top_to_bottom_shows_what_it_promises(reader: Reader) -> None:
    checkout = reader.checkout
    run = iter(commands())
    assert [next(run), next(run)] == ["make run", ". .venv/bin/activate"]  # the README's test runs both
    reader.write_files()

    checked = checkout.run(next(run))
    assert re.findall(r"^(\S+(?: \S+)?) +ok ", checked, flags=re.MULTILINE) == list(CheckName)

    assert checkout.run(next(run)) == blocks("text")[0]
    assert "<html" in (checkout.root / "report.html").read_text(encoding="utf-8")

    checkout.run(next(run))
    reader.edit_symbols()
    reader.export(next(run))
    assert checkout.run(next(run)) == "ok: 2 symbols: XAUUSD, BTCUSD\n"

    assert next(run) == "make run"
    reader.terminal = checkout.make_run()
    assert next(run) == ". .venv/bin/activate"
    reader.export(next(run))
    entry_ms = reader.entry_ms()
    assert "XAUUSD" in checkout.run(next(run))
    assert "no signal" in checkout.run(next(run))

    explain = next(run)
    assert explain.startswith(EXPLAIN)
    moment = datetime.fromtimestamp(entry_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
    explained = checkout.run(f"{EXPLAIN}{moment}")
    assert labels(explained) >= EXPLAINED
    assert labels(blocks("text")[1]) >= EXPLAINED
    assert "  traded: entry buy 10 at " in explained

    checkout.run(next(run))
    paused = checkout.run(next(run))
    assert "paused" in paused
    checkout.run(next(run))
    with checkout.stores("mine/var") as stores:
        assert stores.ledger.desired("XAUUSD") is DesiredState.RUNNING
    assert list(run) == []
    reader.terminal.interrupt()
    assert reader.terminal.left() == []


def test_tutorial_writes_only_the_files_that_it_names(reader: Reader) -> None:
    new = reader.checkout.listing() - reader.checkout.files
    assert {Path(path).parts[0] for path in new} == {"first_strategy.py", "first_backtest.py", "report.html", "mine"}
