"""Copies of a ledger that is written to: consistent, whole or not there, and good for either kind of database."""

import json
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from click.testing import CliRunner, Result
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, PAPER, backup
from adapters.backup.restore import restore
from adapters.backup.snapshot import read_file, snapshot
from adapters.database import create_engine
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Findings, recompute
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from adapters.ledger.tables import decisions, fills, incidents, metadata
from adapters.venues.paper_books import create_tables
from tests.fixtures.apps.system import ROOT
from tests.fixtures.trades import ACCOUNT, BALANCE, PlayedLedger, judge_entry, trade_for_ever
from trading.errors import Rejected
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")

pytestmark = pytest.mark.timeout(180)


def silent(_done: int, _whole: int) -> None:
    """Take the progress, and show nothing."""


def look(engine: Engine) -> Findings:
    with snapshot(engine) as view:
        findings = recompute(view, lambda _: None)
        check_rules(view, findings, lambda _: None)
    return findings


def rows_of(engine: Engine, tables: sa.MetaData = metadata) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for name, table in tables.tables.items()
        }


def verb(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env=environ)


def ledger_url(url: str) -> str:
    """Return a URL as the settings take it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def test_backup_restored_into_either_kind_gives_equal_rows(
    played: PlayedLedger, engine: Engine, tmp_path: Path
) -> None:
    restored = restore(played.file, engine, LEDGER, silent)
    again = backup(engine, LEDGER, tmp_path / "again.sqlite3", silent)

    expected = rows_of(read_file(played.file))
    assert rows_of(engine) == expected
    assert rows_of(read_file(again.file)) == expected
    assert restored == {name: len(rows) for name, rows in expected.items()}
    assert restored["fills"] > 20
    assert restored["incidents"] == 2
    assert look(engine).differences == []


def test_restored_ledger_goes_on_counting_after_its_rows(played: PlayedLedger, engine: Engine) -> None:
    restore(played.file, engine, LEDGER, silent)
    with engine.connect() as connection:
        newest: int = connection.execute(sa.select(sa.func.max(decisions.c.id))).scalar_one()
    ledger = SqlLedger(engine, ACCOUNT, BALANCE)

    decided = ledger.decide("XAUUSD", "later", 60_000, judge_entry("XAUUSD", "later", 60_000), correlation_id="c")

    assert decided.intents
    with engine.connect() as connection:
        chosen = sa.select(decisions.c.id).where(decisions.c.strategy == "later")
        assert connection.execute(chosen).scalar_one() > newest


def test_backup_while_a_writer_writes_is_of_one_moment(engine: Engine, tmp_path: Path) -> None:
    url = engine.url.render_as_string(hide_password=False)
    writer = multiprocessing.get_context("spawn").Process(target=trade_for_ever, args=(url,))
    writer.start()
    try:
        wait_for_fills(engine, 50)
        copies = []
        for number in range(3):
            copies.append(backup(engine, LEDGER, tmp_path / f"copy-{number}.sqlite3", silent))
            wait_for_fills(engine, copies[-1].rows_by_table["fills"] + 10)
        assert writer.is_alive(), "the writer has failed"
    finally:
        writer.kill()
        writer.join()

    found = [look(read_file(copy.file)) for copy in copies]
    assert [findings.differences for findings in found] == [[], [], []]
    assert [findings.fills for findings in found] == [copy.rows_by_table["fills"] for copy in copies]
    assert found[0].fills < found[-1].fills, "nothing was written between the copies"


def test_verify_while_a_writer_writes_sees_one_moment(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    writer = multiprocessing.get_context("spawn").Process(target=trade_for_ever, args=(url,))
    writer.start()
    try:
        wait_for_fills(engine, 30)
        found = []
        for _ in range(5):
            found.append(look(engine))
            wait_for_fills(engine, found[-1].fills + 2)
        assert writer.is_alive(), "the writer has failed"
    finally:
        writer.kill()
        writer.join()

    assert [findings.differences for findings in found] == [[]] * 5
    assert found[0].fills < found[-1].fills


def wait_for_fills(engine: Engine, count: int) -> None:
    deadline = time.monotonic() + 60
    while count_of(engine) < count:
        assert time.monotonic() < deadline, f"no {count} fills in time"
        time.sleep(0.02)


def count_of(engine: Engine) -> int:
    with engine.connect() as connection:
        number: int = connection.execute(sa.select(sa.func.count()).select_from(fills)).scalar_one()
    return number


KILLED = """
import sys, threading
from pathlib import Path
from adapters.backup.backup import LEDGER, backup
from adapters.database import create_engine
import adapters.backup.backup, adapters.backup.snapshot
adapters.backup.backup.PAGES_A_STEP = 1
adapters.backup.backup.BATCH_ROWS = 20

def tell(done, whole):
    print(done, whole, flush=True)
    if 2 * done > whole:
        threading.Event().wait()  # until it is killed

backup(create_engine(sys.argv[1]), LEDGER, Path(sys.argv[2]), tell)
"""


def test_backup_killed_midway_leaves_no_file_of_that_name_and_the_next_one_succeeds(
    played: PlayedLedger, engine: Engine, tmp_path: Path
) -> None:
    restore(played.file, engine, LEDGER, silent)
    folder = tmp_path / "copies"
    folder.mkdir()
    file = folder / "copy.sqlite3"
    url = engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            done, whole = map(int, line.split())
            if 2 * done > whole:
                break
        process.send_signal(signal.SIGKILL)
    watchdog.cancel()

    assert process.returncode == -signal.SIGKILL
    assert not file.exists()
    assert [path.suffix for path in folder.iterdir() if path.name.endswith("partial")] == [".partial"]
    assert look(read_file(backup(engine, LEDGER, file, silent).file)).differences == []


def test_backup_that_is_interrupted_removes_what_it_made(played: PlayedLedger, tmp_path: Path) -> None:
    def interrupt(_done: int, _whole: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(read_file(played.file), LEDGER, tmp_path / "copy.sqlite3", interrupt)

    assert list(tmp_path.iterdir()) == []


def test_backup_overwrites_nothing_also_what_came_while_it_ran(played: PlayedLedger, tmp_path: Path) -> None:
    file = tmp_path / "copy.sqlite3"

    def write_meanwhile(_done: int, _whole: int) -> None:
        file.write_text("mine")

    for _ in range(2):  # it comes while the first one runs, and is there for the second one
        with pytest.raises(Rejected, match="exists already"):
            backup(read_file(played.file), LEDGER, file, write_meanwhile)

    assert [path.name for path in tmp_path.iterdir()] == ["copy.sqlite3"]
    assert file.read_text() == "mine"


def test_backup_is_for_its_owner_alone_and_needs_no_second_file(played: PlayedLedger, tmp_path: Path) -> None:
    file = backup(read_file(played.file), LEDGER, tmp_path / "copy.sqlite3", silent).file

    assert file.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*) FROM fills").fetchone()[0] > 20
    assert [path.name for path in tmp_path.iterdir()] == ["copy.sqlite3"]


def test_restore_into_a_ledger_with_rows_is_refused_and_changes_nothing(played: PlayedLedger, engine: Engine) -> None:
    SqlLedger(engine, ACCOUNT, BALANCE).decide(
        "XAUUSD", "s", 60_000, judge_entry("XAUUSD", "s", 60_000), correlation_id="c"
    )
    before = rows_of(engine)

    with pytest.raises(Rejected, match=r"has rows already.*decisions: 1"):
        restore(played.file, engine, LEDGER, silent)

    assert rows_of(engine) == before


def test_restore_that_fails_midway_writes_nothing(played: PlayedLedger, engine: Engine) -> None:
    def fail(done: int, whole: int) -> None:
        if 2 * done > whole:
            raise OSError("pulled the plug")

    with pytest.raises(OSError, match="plug"):
        restore(played.file, engine, LEDGER, fail)

    assert not any(rows_of(engine).values())
    assert restore(played.file, engine, LEDGER, silent)["fills"] > 20


def test_paper_books_come_back_as_they_were(played: PlayedLedger, database_url: str, tmp_path: Path) -> None:
    engine = create_engine(database_url, where="paper")
    create_tables(engine)

    restore(played.paper_file, engine, PAPER, silent)
    again = backup(engine, PAPER, tmp_path / "paper.sqlite3", silent)

    expected = rows_of(read_file(played.paper_file), PAPER.metadata)
    assert rows_of(engine, PAPER.metadata) == expected
    assert rows_of(read_file(again.file), PAPER.metadata) == expected
    assert len(expected["paper_fills"]) > 20
    with pytest.raises(Rejected, match="not a backup of a ledger"):
        restore(played.paper_file, engine, LEDGER, silent)
    engine.dispose()


def write_ledger_of_0001(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", "adapters.ledger:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = dict.fromkeys(("account", "symbol", "strategy", "outcome", "rule", "reason", "correlation_id"), "x")
        connection.execute(sa.insert(decisions), {**row, "open_ms": 1, "breached": False, "written_at_ms": 1})


def test_backup_of_an_older_schema_is_copied_and_restored_at_the_newest(engine: Engine, tmp_path: Path) -> None:
    older = tmp_path / "older.sqlite3"
    source = create_engine(f"sqlite:///{older}")
    write_ledger_of_0001(source)

    copy = backup(source, LEDGER, tmp_path / "copy.sqlite3", silent)
    source.dispose()
    restored = restore(copy.file, engine, LEDGER, silent)

    assert restored["decisions"] == 1
    assert copy.rows_by_table["alembic_version"] == 1
    with closing(sqlite3.connect(f"file:{copy.file}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


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
            told = {"account": "x", "symbol": "x", "kind": "stuck", "key": "k", "halts": False, "reason": "why"}
            connection.execute(sa.insert(incidents), {**told, "details": details, "opened_at_ms": 7})
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
def test_verify_of_a_file_that_is_no_backup_says_so(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file.sqlite3"
    if content is not None:
        file.write_bytes(content)

    result = verb(
        {"TRADING__VAR_DIR": str(tmp_path), "TRADING__CONFIG_DIR": str(ROOT / "configs")}, "ledger", "verify", str(file)
    )

    assert result.exit_code == ExitCode.NO, result.output
    assert str(file) in result.stderr


def test_incident_details_survive_the_way_through_both_kinds(played: PlayedLedger, engine: Engine) -> None:
    restore(played.file, engine, LEDGER, silent)

    with engine.connect() as connection:
        details = connection.execute(sa.select(incidents.c.details).order_by(incidents.c.id)).scalars().all()
    assert details == played.incident_details
