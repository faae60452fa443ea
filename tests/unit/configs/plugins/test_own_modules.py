"""The user's modules are imported anew where a file has changed, and errors quote the line that ran."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.plugins.own_modules import import_own, source_digest
from configs.plugins.strategies import code_of, load_strategy
from trading.strategies.errors import own_lines

STRATEGY = """\
from trading.strategies import SignalBuilder, Strategy

import steps_of_mine


class Mine(Strategy):
    def indicators(self):
        return {}

    def signals(self, rows):
        raise ValueError(steps_of_mine.NUMBER)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_here.py").write_text(STRATEGY)
    (tmp_path / "steps_of_mine.py").write_text("NUMBER = 1\n")
    yield tmp_path
    for name in ("mine_here", "steps_of_mine"):
        sys.modules.pop(name, None)


def fault_of(name: str = "mine_here:Mine") -> str:
    try:
        load_strategy(name, {}).signals(None)  # type: ignore[arg-type]  # it raises before it looks at its rows
    except ValueError as error:
        return str(error)
    pytest.fail("it raises")


def test_module_unchanged_on_disk_is_not_imported_again(folder: Path) -> None:
    assert import_own("mine_here") is import_own("mine_here")


def test_helper_edited_within_the_same_second_is_used_by_the_strategy(folder: Path) -> None:
    assert fault_of() == "1"
    before = code_of(["mine_here:Mine"])

    (folder / "steps_of_mine.py").write_text("NUMBER = 2\n")

    assert fault_of() == "2"
    assert code_of(["mine_here:Mine"]) != before


def test_helper_imported_anew_for_one_strategy_is_not_old_in_another(folder: Path) -> None:
    (folder / "second_here.py").write_text("from steps_of_mine import NUMBER\n")
    import_own("mine_here")
    import_own("second_here")
    (folder / "steps_of_mine.py").write_text("NUMBER = 3\n")

    import_own("mine_here")

    assert import_own("second_here").NUMBER == 3
    del sys.modules["second_here"]


def test_import_that_failed_in_a_helper_works_once_the_helper_is_corrected(folder: Path) -> None:
    (folder / "mine_here.py").write_text("from steps_of_mine import MISSING\n" + STRATEGY)
    with pytest.raises(ValueError, match="cannot be imported"):
        load_strategy("mine_here:Mine", {})

    (folder / "steps_of_mine.py").write_text("NUMBER = 4\nMISSING = 0\n")

    assert fault_of() == "4"


def test_error_of_former_code_quotes_the_line_that_ran(folder: Path) -> None:
    old = load_strategy("mine_here:Mine", {})
    (folder / "mine_here.py").write_text(STRATEGY.replace("raise ValueError(steps", "return (steps"))

    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is the number of the helper
        old.signals(None)  # type: ignore[arg-type]  # as above

    assert own_lines(caught.value)[-1].endswith("in signals: raise ValueError(steps_of_mine.NUMBER)")
    assert "raise ValueError(steps_of_mine.NUMBER)" in "".join(traceback.format_exception(caught.value))

    load_strategy("mine_here:Mine", {})  # other services run the new code in this process

    assert own_lines(caught.value)[-1].endswith("in signals: raise ValueError(steps_of_mine.NUMBER)")


def test_digest_of_a_shipped_strategy_is_empty() -> None:
    load_strategy("sma_cross", {})

    assert (code_of(["sma_cross"]), source_digest("trading.strategies")) == ("", "")
