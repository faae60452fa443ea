"""The engines on SQLite and on a real PostgreSQL: transactions, readers, and the locks of SQLite."""

import os
import threading
from collections.abc import Callable
from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from adapters.database import LOCK_TIMEOUT_S, create_engine, read_only, upsert
from adapters.ledger.schema import migrate
from adapters.ledger.tables import account_days, fences
from tests.fixtures.servers.databases import patient
from tests.integration.ledger.database.rows import FENCE
from trading.errors import Broken, Transient


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked child and return its exit code: 0 when it raised Broken, 1 otherwise."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except Broken:
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_upsert_known_key_replaces_or_adds(engine: Engine) -> None:
    migrate(engine)
    day = {"account": "main", "day": date(2026, 3, 2)}
    with engine.begin() as connection:
        for open_ms in (60_000, 120_000):
            connection.execute(upsert(engine.dialect, fences), {**FENCE, "open_ms": open_ms})
        for realised in (1.5, 2.0):
            statement = upsert(engine.dialect, account_days, add=("realised",))
            connection.execute(statement.values(**day), {"realised": realised})
        assert connection.execute(sa.select(fences.c.open_ms)).scalars().all() == [120_000]
        assert connection.execute(sa.select(account_days.c.realised)).scalars().all() == [3.5]


def test_read_only_while_another_writes_sees_last_commit(engine: Engine) -> None:
    migrate(engine)
    count = sa.select(sa.func.count()).select_from(fences)
    with engine.begin() as writer:
        writer.execute(sa.insert(fences), {**FENCE, "open_ms": 60_000})
        with read_only(engine).connect() as reader:
            assert reader.execute(count).scalar_one() == 0
    with read_only(engine).connect() as reader:
        assert reader.execute(count).scalar_one() == 1


def test_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    migrate(engine)
    row = {**FENCE, "open_ms": 60_000}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(sa.insert(fences), [row, row])
    with read_only(engine).connect() as reader:
        assert reader.execute(sa.select(fences)).all() == []


def test_engine_that_crossed_a_fork_is_rejected(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert in_child(engine.connect) == 0


def test_sqlite_locked_past_timeout_is_transient(sqlite_url: str) -> None:
    engine, impatient = create_engine(sqlite_url), create_engine(f"{sqlite_url}?timeout=0.05")
    with engine.begin(), pytest.raises(Transient, match=r"ledger: database is locked"), impatient.begin():
        pass
    with impatient.begin() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_sqlite_connection_is_durable_and_checks_references(sqlite_url: str) -> None:
    with create_engine(sqlite_url).connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": LOCK_TIMEOUT_S * 1000,
    }


def test_sqlite_writers_at_once_lose_no_update(sqlite_url: str) -> None:
    engine = create_engine(patient(sqlite_url))
    migrate(engine)
    add_one = upsert(engine.dialect, fences)

    def count_up() -> None:
        for _ in range(20):
            with engine.begin() as connection:
                seen = connection.execute(sa.select(fences.c.open_ms)).scalar_one_or_none() or 0
                connection.execute(add_one, {**FENCE, "open_ms": seen + 1})

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with read_only(engine).connect() as reader:
        assert reader.execute(sa.select(fences.c.open_ms)).scalar_one() == 80


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://trader:hush-hush@localhost/ledger"])
def test_create_engine_unsuitable_database_is_rejected_without_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///|allowed are") as raised:
        create_engine(url)
    assert "hush-hush" not in str(raised.value)
