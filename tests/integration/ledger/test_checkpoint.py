"""The write-ahead logs of SQLite at a clean stop: they are in their files."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.database import checkpoint
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles

SYMBOL = "XAUUSD"
KILLED = """
import os, sys
from adapters.database import create_engine
engine = create_engine(sys.argv[1])
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE some (x INTEGER)")
    connection.exec_driver_sql("INSERT INTO some VALUES (1)")
os._exit(0)
"""


def logs(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.glob("*.sqlite3-wal") if path.stat().st_size}


def test_checkpoint_after_a_killed_writer_leaves_everything_in_the_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    subprocess.run([sys.executable, "-c", KILLED, url], check=True)
    assert set(logs(tmp_path)) == {"ledger.sqlite3-wal"}

    checkpoint(url, is_last=True)

    assert logs(tmp_path) == {}
    (tmp_path / "ledger.sqlite3").rename(tmp_path / "copy.sqlite3")
    with sqlite3.connect(tmp_path / "copy.sqlite3") as copy:
        assert copy.execute("SELECT x FROM some").fetchall() == [(1,)]
    copy.close()


def test_checkpoint_of_a_worker_waits_for_no_reader_and_blocks_no_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    subprocess.run([sys.executable, "-c", KILLED, url], check=True)
    with sqlite3.connect(tmp_path / "ledger.sqlite3", timeout=0, isolation_level=None) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT x FROM some").fetchall() == [(1,)]

        checkpoint(url, is_last=False)

        with sqlite3.connect(tmp_path / "ledger.sqlite3", timeout=0, isolation_level=None) as writer:
            writer.execute("INSERT INTO some VALUES (2)")
        writer.close()
    reader.close()


@pytest.mark.parametrize("url", ["sqlite:///none/ledger.sqlite3", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_checkpoint_of_a_missing_file_or_another_database_does_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    checkpoint(url, is_last=True)

    assert list(tmp_path.iterdir()) == []


def test_worker_that_stops_cleanly_leaves_no_write_ahead_log(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    gold = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 60, seed=3))
    system = make_system({SYMBOL: file_symbol(gold)})
    worker = system.worker(SYMBOL)
    beat = system.beat()
    system.wait_until(lambda: len(system.journal(SYMBOL)) > 40, "decisions")
    beat.terminate(30)
    system.stores().close()

    assert worker.terminate(60) == 0

    assert logs(system.folder / "var") == {}
