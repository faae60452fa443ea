"""Restoring a backup: equal rows in either kind of database, all or nothing, at the newest schema."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, PAPER, backup
from adapters.backup.restore import restore
from adapters.backup.snapshot import read_file
from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.tables import decisions, incidents
from adapters.venues.paper_books import create_tables
from tests.fixtures.ledger_copies import look, rows_of, silent
from tests.fixtures.trades import ACCOUNT, BALANCE, PlayedLedger, judge_entry
from trading.errors import Rejected

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")
pytestmark = pytest.mark.timeout(180)


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


def test_restored_ledger_continues_counting_after_its_rows(played: PlayedLedger, engine: Engine) -> None:
    restore(played.file, engine, LEDGER, silent)
    with engine.connect() as connection:
        newest: int = connection.execute(sa.select(sa.func.max(decisions.c.id))).scalar_one()
    ledger = SqlLedger(engine, ACCOUNT, BALANCE)

    decided = ledger.decide("XAUUSD", "later", 60_000, judge_entry("XAUUSD", "later", 60_000), correlation_id="c")

    assert decided.intents
    with engine.connect() as connection:
        chosen = sa.select(decisions.c.id).where(decisions.c.strategy == "later")
        assert connection.execute(chosen).scalar_one() > newest


def test_restore_into_a_ledger_with_rows_is_rejected_and_changes_nothing(played: PlayedLedger, engine: Engine) -> None:
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


def test_incident_details_survive_the_way_through_both_kinds(played: PlayedLedger, engine: Engine) -> None:
    restore(played.file, engine, LEDGER, silent)

    with engine.connect() as connection:
        details = connection.execute(sa.select(incidents.c.details).order_by(incidents.c.id)).scalars().all()
    assert details == played.incident_details
