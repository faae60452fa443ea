"""The templates of a venue and a source: they pass their contract suites here, and as the copy that a user makes."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_orchestrator.templates.__main__ import files_of, main
from trading_orchestrator.templates.tests.test_source import TestAcmeSource
from trading_orchestrator.templates.tests.test_venue import (
    TestAcmeVenue,
    test_venue_without_an_exchange_raises_transient,
)

__all__ = ["TestAcmeSource", "TestAcmeVenue", "test_venue_without_an_exchange_raises_transient"]


def test_copy_under_another_name_passes_its_own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = CliRunner().invoke(main, ["north_sea"])

    assert written.exit_code == 0, written.output
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "class NorthSeaVenue:" in (tmp_path / "north_sea" / "venue.py").read_text()
    assert not [path for path, text in files_of("north_sea").items() if "acme" in text.lower()]


@pytest.mark.parametrize("name", ["Acme", "my-venue", "2nd", ""])
def test_name_that_is_no_package_is_rejected_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, [name])

    assert answer.exit_code == 2
    assert "expected a name of a Python package" in answer.output
    assert list(tmp_path.iterdir()) == []


def test_second_copy_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()
    mine = tmp_path / "acme" / "venue.py"
    mine.write_text("mine")
    answer = CliRunner().invoke(main, ["acme"])

    assert answer.exit_code == 1
    assert f"these files exist: {Path('acme', 'venue.py')}" in answer.output
    assert mine.read_text() == "mine"
    assert not (tmp_path / "pyproject.toml").exists()
