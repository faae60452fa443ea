"""Text that is not ours is printed as it is: no markup, no emoji codes, and nothing that steers the terminal."""

import ast
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adapters.wiring.symbol_status import SymbolStatus
from tests.fixtures.strategies.bracketed import FOREIGN
from trading_orchestrator.cli.admin.symbols_list import ConfigurationState, Listed, Listing
from trading_orchestrator.cli.admin.symbols_list import view as view_symbols
from trading_orchestrator.cli.inspect.decisions import COLUMNS as DECISIONS
from trading_orchestrator.cli.operate.incidents import COLUMNS as INCIDENTS
from trading_orchestrator.cli.output import Column, Output, table
from trading_orchestrator.launcher.console import PlainConsole
from trading_orchestrator.launcher.status_table import Overview, render

ROOT = Path(__file__).parents[4]
WIDTH = 300


def in_table(text: str) -> RenderableType:
    drawn = Table(text, title=text, caption=text)
    drawn.add_row(text)
    return drawn


def in_grid(text: str) -> RenderableType:
    grid = Table.grid()
    grid.add_row("1", text)
    return grid


def in_symbols(text: str) -> RenderableType:
    row = Listed("XAUUSD", "1m", "trend", f"{text}.csv", "1 units", ConfigurationState.CHANGED, [text])
    return view_symbols(Listing(1, [row], trouble=text), width=WIDTH)


def in_live_table(text: str) -> RenderableType:
    row = SymbolStatus("XAUUSD", "error", "running", "1m", text, regime=text, error=text)
    return render([row], Overview(text, 1.0, 5.0, text, text, text, trouble=text), width=WIDTH)


def in_decisions(text: str) -> RenderableType:
    row = {"open_ms": 0, "close": 1.0, "regime": text, "outcome": text, "decision": text}
    return table(DECISIONS, [row], width=WIDTH)


def in_incidents(text: str) -> RenderableType:
    row = {
        "id": 1,
        "opened_at_ms": 0,
        "resolved_at_ms": 0,
        "resolution": text,
        "symbol": "XAUUSD",
        "halts": True,
        "kind": text,
        "key": text,
        "reason": text,
    }
    return table(INCIDENTS, [row], width=WIDTH)


WAYS: list[tuple[Callable[[str], RenderableType], int]] = [
    (str, 1),
    (Text, 1),
    (lambda text: Group(text, Text(text)), 2),
    (lambda text: Columns([text]), 1),
    (in_table, 4),
    (in_grid, 1),
    (lambda text: table((Column(text, str),), [text], width=WIDTH), 2),
    (in_live_table, 7),
    (in_symbols, 3),
    (in_decisions, 3),
    (in_incidents, 4),
]
WAY_NAMES = ["text", "Text", "group", "columns", "table", "grid", "ours", "live", "symbols", "decisions", "incidents"]


def printed(answer: RenderableType, **options: object) -> str:
    file = io.StringIO()
    Output(file=file, width=WIDTH, **options).print(answer)
    return file.getvalue()


@pytest.mark.parametrize(("way", "count"), WAYS, ids=WAY_NAMES)
def test_text_that_looks_like_markup_is_printed_whole(way: Callable[[str], RenderableType], count: int) -> None:
    assert printed(way(FOREIGN)).count(FOREIGN) == count


@pytest.mark.parametrize(("way", "count"), WAYS, ids=WAY_NAMES)
def test_text_that_would_steer_the_terminal_does_not(way: Callable[[str], RenderableType], count: int) -> None:
    shown_text = printed(way("a\x1b[2Jb\x1b]0;title\x07c\x9b1md"), force_terminal=True, color_system=None)

    assert shown_text.count("a[2Jb]0;titlec1md") == count
    assert not set(shown_text) & {"\x1b", "\x07", "\x9b"}


def test_styles_of_ours_are_kept() -> None:
    shown_text = printed(Text("met", style="green"), force_terminal=True, color_system="standard", no_color=False)

    assert shown_text == "\x1b[32mmet\x1b[0m\n"


def test_live_view_is_drawn_by_the_terminal_as_ever_and_shows_text_as_it_is() -> None:
    file = io.StringIO()
    with Live(console=PlainConsole(file=file, width=WIDTH, force_terminal=True), auto_refresh=False) as live:
        live.update(in_live_table(FOREIGN), refresh=True)
        live.update(in_live_table(FOREIGN), refresh=True)

    assert FOREIGN in file.getvalue()
    assert "\x1b[1A" in file.getvalue(), "the second drawing did not go back up over the first"


def test_no_other_console_is_made_and_nothing_requests_markup() -> None:
    wrong = []
    for path in sorted((ROOT / "worker").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_wrong(node):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert wrong == []


def _is_wrong(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    flags = [keyword.value for keyword in call.keywords if keyword.arg in ("markup", "emoji")]
    is_marked = any(not (isinstance(one, ast.Constant) and one.value is False) for one in flags)
    return is_marked or name in {"Console", "from_markup", "render_markup"} or (name == "TextColumn" and not flags)
