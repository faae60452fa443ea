"""The Python API: its names are sorted, documented and shown, and each block of its page runs."""

import ast
import doctest
import re
from pathlib import Path
from typing import Any

import pytest

import trading_orchestrator
from trading_orchestrator import backtesting

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
RUNNING_SYSTEM = "## A running system"


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_names_have_one_list_in_three_forms() -> None:
    source = Path(trading_orchestrator.__file__).read_text(encoding="utf-8")
    for_type_checkers = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    imported = {
        alias.name: f"{node.module}.{alias.name}" if node.module == "trading_orchestrator" else node.module
        for node in for_type_checkers.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == trading_orchestrator._HOMES
    assert trading_orchestrator.__all__ == sorted(imported)


@pytest.mark.parametrize("name", trading_orchestrator.__all__)
def test_name_is_documented_and_shown_in_an_example(name: str) -> None:
    assert (getattr(trading_orchestrator, name).__doc__ or "").strip()
    assert re.search(rf"\bto\.{name}\b", "\n".join(blocks(PAGE)))


def test_blocks_of_the_page_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "python_api_page"}
    for block in blocks(PAGE.split(RUNNING_SYSTEM)[0]):
        exec(compile(block, "python-api.md", "exec", dont_inherit=True), namespace)

    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [trading_orchestrator, backtesting], ids=lambda module: module.__name__)
def test_doctests_hold(module: Any) -> None:
    found = doctest.testmod(module)

    assert found.attempted > 0
    assert found.failed == 0
