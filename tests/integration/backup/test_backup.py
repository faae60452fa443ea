"""Backups of a ledger: whole or absent, for their owner alone, never over another file."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, backup
from adapters.backup.restore import restore
from adapters.backup.snapshot import read_file
from tests.fixtures.apps.system import ROOT
from tests.fixtures.ledger_copies import look, silent
from tests.fixtures.trades import PlayedLedger
from trading.errors import Rejected

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")
pytestmark = pytest.mark.timeout(180)
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
