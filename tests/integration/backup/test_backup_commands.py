"""Backup, restore and verify on the command line."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from adapters.backup.backup import LEDGER
from adapters.backup.restore import restore
from adapters.database import create_engine
from adapters.ledger.schema import migrate
from adapters.ledger.tables import decisions, incidents
from tests.fixtures.apps.system import ROOT
from tests.fixtures.ledger_copies import count_of, rows_of, silent
from tests.fixtures.trades import ACCOUNT, PlayedLedger
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")
pytestmark = pytest.mark.timeout(180)


def verb(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env=environ)


def ledger_url(url: str) -> str:
    """Return a URL as the settings take it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_backup_of_an_older_ledger_of_either_kind_comes_back_migrated(
    database_url: str, revision: str, tmp_path: Path
) -> None:
    source = create_engine(database_url)
    migrate(source, revision)
    row = dict.fromkeys(("account", "symbol", "strategy", "outcome", "rule", "reason", "correlation_id"), "x")
    details = {"units": 0.1, "of": ["a", None]}
    with source.begin() as connection:
        connection.execute(sa.insert(decisions), {**row, "open_ms": 1, "breached": True, "written_at_ms": 1})
        if revision == "0002":
            incident = {"account": "x", "symbol": "x", "kind": "stuck", "key": "k", "halts": False, "reason": "why"}
            connection.execute(sa.insert(incidents), {**incident, "details": details, "opened_at_ms": 7})
    environ = {"TRADING__LEDGER_URL": ledger_url(database_url), "TRADING__CONFIG_DIR": str(ROOT / "configs")}
    copied = verb(environ, "ledger", "backup", str(tmp_path / "copy.sqlite3"))
    source.dispose()
    assert copied.exit_code == 0, copied.output

    target = create_engine(f"sqlite:///{tmp_path}/target.sqlite3")
    migrate(target)
    restore(tmp_path / "copy.sqlite3", target, LEDGER, silent)
    with target.connect() as connection:
        known = connection.execute(sa.select(decisions.c.breached, decisions.c.origin)).all()
        found = connection.execute(sa.select(incidents.c.details, incidents.c.published_at_ms)).all()
    target.dispose()
    assert known == [(True, "signal")]
    assert found == ([(details, 7)] if revision == "0002" else [])


def test_backup_verify_and_restore_on_the_command_line(played: PlayedLedger, database_url: str, tmp_path: Path) -> None:
    engine = create_engine(database_url)
    migrate(engine)
    environ = {"TRADING__VAR_DIR": str(tmp_path / "var"), "TRADING__LEDGER_URL": ledger_url(database_url)}
    environ["TRADING__CONFIG_DIR"] = str(ROOT / "configs")
    ours, paper = tmp_path / "ours.sqlite3", tmp_path / "paper.sqlite3"

    restored = verb(environ, "ledger", "restore", str(played.file), "--paper", str(played.paper_file), "--json")
    copied = verb(environ, "ledger", "backup", str(ours), "--paper", str(paper), "--json")
    verified = verb(environ, "ledger", "verify", "--json")
    of_copy = verb(environ, "ledger", "verify", str(ours))
    again = verb(environ, "ledger", "backup", str(ours))

    assert [each.exit_code for each in (restored, copied, verified, of_copy)] == [0] * 4, restored.output
    assert json.loads(restored.stdout)["rows"]["ledger"] == sum(map(len, rows_of(engine).values()))
    assert [Path(copy["file"]) for copy in json.loads(copied.stdout)["copies"]] == [ours, paper]
    answer = json.loads(verified.stdout)
    assert (answer["ok"], answer["fills"], answer["differences"]) == (True, count_of(engine), [])
    assert answer["accounts"][ACCOUNT]["realised"] == pytest.approx(played.realised)
    assert "no differences" in of_copy.stdout
    assert again.exit_code == ExitCode.NO
    assert "exists already" in again.stderr
    engine.dispose()


def test_paper_books_that_are_not_there_are_not_made_by_copying_them(tmp_path: Path) -> None:
    environ = {"TRADING__VAR_DIR": str(tmp_path / "var"), "TRADING__CONFIG_DIR": str(ROOT / "configs")}
    assert verb(environ, "ledger", "migrate").exit_code == 0

    result = verb(environ, "ledger", "backup", str(tmp_path / "one"), "--paper", str(tmp_path / "two"))

    assert result.exit_code == ExitCode.OUTSIDE
    assert "no paper books" in result.stderr
    assert not list(tmp_path.glob("one*")) + list(tmp_path.glob("two*")) + list(tmp_path.glob("var/paper*"))


@pytest.mark.parametrize("content", [None, b"", b"something else, and long enough to be looked at" * 50])
def test_verify_of_a_file_that_is_no_backup_reports_it(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file.sqlite3"
    if content is not None:
        file.write_bytes(content)

    result = verb(
        {"TRADING__VAR_DIR": str(tmp_path), "TRADING__CONFIG_DIR": str(ROOT / "configs")}, "ledger", "verify", str(file)
    )

    assert result.exit_code == ExitCode.NO, result.output
    assert str(file) in result.stderr
