"""Backup and verify while a writer writes: each reads one moment of the ledger."""

import multiprocessing
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, backup
from adapters.backup.snapshot import read_file
from tests.fixtures.ledger_copies import count_of, look, silent
from tests.fixtures.trades import trade_for_ever

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")
pytestmark = pytest.mark.timeout(180)


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
