"""The engines and the migrations, on SQLite and on a real PostgreSQL."""

import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from adapters.database import LOCK_TIMEOUT_S, create_engine, read_only, upsert
from adapters.ledger.schema import alembic_config, head_revision, migrate, schema_revision
from adapters.ledger.tables import account_days, decisions, fences, fills, incidents, metadata, stop_moves
from tests.fixtures.servers.databases import patient
from trading.errors import Broken, Transient

pytest_plugins = ("tests.fixtures.servers.databases",)

FENCE = {"account": "main", "symbol": "XAUUSD", "strategy": "trend"}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def migrate_in_process(url: str) -> str | None:
    engine = create_engine(url)
    migrate(engine)
    return schema_revision(engine)


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


def test_migrate_twice_ends_at_head(engine: Engine) -> None:
    assert schema_revision(engine) is None
    migrate(engine)
    migrate(engine)
    assert schema_revision(engine) == head_revision()


def test_migrate_schema_equals_tables(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrate_processes_at_once_all_end_at_head(database_url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        revisions = list(pool.map(migrate_in_process, [patient(database_url)] * 4))
    assert revisions == [head_revision()] * 4


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


def test_postgresql_nobody_listens_is_transient_without_password(caplog: pytest.LogCaptureFixture) -> None:
    engine = create_engine("postgresql://trader:hush-hush@127.0.0.1:1/ledger", where="books")
    with caplog.at_level(logging.DEBUG), pytest.raises(Transient, match=r"books: ") as raised:
        engine.connect()
    assert "hush-hush" not in f"{raised.value} {engine!r} {caplog.text}"


def test_postgresql_killed_connection_recovers_on_next_use(postgres_url: str) -> None:
    engine, other = create_engine(postgres_url), create_engine(postgres_url)
    kill = sa.text("SELECT pg_terminate_backend(:pid)")
    with engine.connect() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with other.begin() as killer:
            killer.execute(kill, {"pid": pid})
        with pytest.raises(Transient):
            connection.execute(sa.text("SELECT 1"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    other.dispose()


@pytest.mark.parametrize(
    ("sqlstate", "is_retried", "is_replaced"),
    [
        ("25006", True, True),
        ("25P02", True, True),
        ("25P03", True, True),
        ("25P04", True, True),
        ("26000", True, True),
        ("42P05", True, True),
        ("40003", True, True),
        ("57P01", True, True),
        ("57P02", True, True),
        ("57P03", True, True),
        ("57P04", True, True),
        ("57P05", True, True),
        ("08000", True, True),
        ("08001", True, True),
        ("08003", True, True),
        ("08006", True, True),
        ("08P01", True, True),
        ("40001", True, False),
        ("40P01", True, False),
        ("53100", True, False),
        ("53200", True, False),
        ("53300", True, False),
        ("55P03", True, False),
        ("57014", True, False),
        ("22012", False, False),
        ("23505", False, False),
        ("25001", False, False),
        ("42601", False, False),
        ("42P01", False, False),
        ("XX000", False, False),
        ("XX001", False, False),
    ],
)
def test_postgresql_error_of_a_server_is_retried_or_not_on_the_same_connection_or_another(
    postgres_url: str, sqlstate: str, *, is_retried: bool, is_replaced: bool
) -> None:
    engine = create_engine(postgres_url)
    pid = sa.text("SELECT pg_backend_pid()")
    with engine.connect() as connection:
        first = connection.execute(pid).scalar_one()
    failure: type[Exception] = Transient if is_retried else sa.exc.DBAPIError

    with pytest.raises(failure), engine.begin() as connection:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '{sqlstate}'; END $$")

    with engine.connect() as connection:
        assert (connection.execute(pid).scalar_one() != first) is is_replaced
    engine.dispose()


def test_postgresql_session_that_became_read_only_is_replaced_on_next_use(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    migrate(engine)
    insert = sa.insert(fences).values({**FENCE, "open_ms": 60_000})
    with engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
        with pytest.raises(Transient, match="ledger: cannot execute INSERT in a read-only transaction"):
            connection.execute(insert)

    with engine.begin() as connection:
        connection.execute(insert)

    with read_only(engine).connect() as reader:
        assert reader.execute(sa.select(fences.c.open_ms)).scalars().all() == [60_000]
    engine.dispose()


def test_postgresql_reader_of_a_server_that_became_read_only_connects_anew(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    reading = read_only(engine)
    with reading.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()

    with reading.connect() as connection:
        assert connection.exec_driver_sql("SHOW default_transaction_read_only").scalar_one() == "off"
    engine.dispose()


def test_postgresql_server_that_is_always_read_only_can_be_read(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    engine = create_engine(url.render_as_string(hide_password=False))
    for _ in range(3):
        with read_only(engine).connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    engine.dispose()


def test_postgresql_statement_after_an_ignored_error_is_transient(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        with pytest.raises(sa.exc.ProgrammingError):
            connection.exec_driver_sql("SELECT no_such_column")
        with pytest.raises(Transient, match="current transaction is aborted"):
            connection.exec_driver_sql("SELECT 1")
    engine.dispose()


def test_postgresql_transaction_past_its_timeout_is_transient(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).update_query_dict({"options": "-c transaction_timeout=50"})
    engine = create_engine(url.render_as_string(hide_password=False))
    with pytest.raises(Transient, match="transaction timeout"), engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(30)")
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://trader:hush-hush@localhost/ledger"])
def test_create_engine_unsuitable_database_is_rejected_without_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///|allowed are") as raised:
        create_engine(url)
    assert "hush-hush" not in str(raised.value)


def test_migrate_of_an_older_ledger_counts_its_incidents_as_reported_and_its_rows_as_traded(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            sa.text(
                "INSERT INTO incidents (account, symbol, kind, key, halts, reason, details, opened_at_ms) "
                "VALUES ('main', 'XAUUSD', 'stuck', 'k', false, 'why', '{}', 7)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, "
                "correlation_id, written_at_ms) VALUES ('main', 'XAUUSD', 's', 1, 'refused', 'r', 'r', false, 'c', 1)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO fills (account, fill_id, sequence, client_order_id, symbol, strategy, leg, side, units, "
                "price, fee, market_ms, realised) "
                "VALUES ('main', 'f', 1, 'o', 'XAUUSD', 's', 'entry', 'buy', 1, 1, 0, 1, 0)"
            )
        )
    migrate(engine)

    with engine.connect() as connection:
        told = connection.execute(sa.select(incidents.c.published_at_ms)).scalar_one()
        origin = connection.execute(sa.select(decisions.c.origin)).scalar_one()
        adjustment = connection.execute(sa.select(fills.c.adjustment)).scalar_one()
    assert (told, origin, adjustment) == (7, "signal", 0)


OLD_DECISION = sa.text(
    "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, correlation_id, "
    "written_at_ms, origin, checks) "
    "VALUES ('main', 'XAUUSD', 's', :open_ms, 'refused', :rule, :reason, false, 'c', 1, 'signal', :checks)"
)
OLD_MOVE = sa.text(
    "INSERT INTO stop_moves (account, symbol, strategy, open_ms, entry_id, price_after, reason, correlation_id, "
    "written_at_ms) VALUES ('main', 'XAUUSD', 's', :open_ms, 'e', 1, :reason, 'c', 1)"
)
REVERSAL = "close 2 units at 100, -1.00 before fees: cross; then"


@pytest.mark.parametrize(
    ("rule", "reason", "checks", "expected"),
    [
        ("ok", "buy 1 units at 100", None, (None, None, None, None)),
        ("stopped", "XAUUSD is stopped", "[]", (None, "stopped", None, None)),
        ("halted", "a person must look first: lost: 2 units", "[]", (None, None, "lost: 2 units", None)),
        ("quarantined", "no entries: it hangs: twice", "[]", (None, None, None, "it hangs: twice")),
        ("quarantined", f"{REVERSAL} no entries: it hangs", "[]", (None, None, None, "it hangs")),
        ("paused", "XAUUSD is paused: no entries", "[]", (None, "paused", None, None)),
        ("paused", f"{REVERSAL} XAUUSD is paused: no entries", "[]", (None, "paused", None, None)),
        ("paused", "the symbol is paused: nothing is opened", "[]", (None, None, None, None)),
        (
            "ok",
            "close 1 units at 99: trailing_stop: 2 below the close of 100",
            '[{"rule": "exit_rule", "is_met": true, "reason": "trailing_stop: 2 below the close of 100"}]',
            ("trailing_stop", None, None, None),
        ),
        (
            "ok",
            "close 1 units at 99: cross",
            '[{"rule": "nothing_to_close", "is_met": true, "reason": "the exit_rule of mine: a name"}]',
            (None, None, None, None),
        ),
    ],
)
def test_migrate_of_decisions_of_0_1_0_reads_their_state_and_exit_rule(
    engine: Engine, rule: str, reason: str, checks: str | None, expected: tuple[str | None, ...]
) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(OLD_DECISION, {"open_ms": 1, "rule": rule, "reason": reason, "checks": checks})
    migrate(engine)

    columns = (decisions.c.exit_rule, decisions.c.desired, decisions.c.halted, decisions.c.quarantined)
    with engine.connect() as connection:
        assert tuple(connection.execute(sa.select(*columns)).one()) == expected


def test_migrate_of_stop_moves_of_0_1_0_reads_the_rule_that_asked(engine: Engine) -> None:
    reasons = [
        "trailing_stop: 2 below",
        "break_even: the close",
        "manage_position: x: y",
        "trailing_stopped: x",
        "by hand",
    ]
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for place, reason in enumerate(reasons):
            connection.execute(OLD_MOVE, {"open_ms": place, "reason": reason})
    migrate(engine)

    with engine.connect() as connection:
        found = connection.execute(sa.select(stop_moves.c.rule).order_by(stop_moves.c.open_ms)).scalars().all()
    assert found == ["trailing_stop", "break_even", "manage_position", None, None]


def test_migrate_of_a_ledger_from_before_published_at_ms_keeps_what_was_published(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        for key, at_ms in (("published", "5"), ("waiting", "NULL")):
            connection.execute(
                sa.text(
                    "INSERT INTO incidents (account, symbol, kind, key, halts, reason, details, opened_at_ms, "
                    "told_at_ms) "
                    f"VALUES ('main', 'XAUUSD', 'stuck', '{key}', false, 'why', '{{}}', 3, {at_ms})"
                )
            )
    migrate(engine)

    with engine.connect() as connection:
        found = connection.execute(sa.select(incidents.c.key, incidents.c.published_at_ms)).all()
    assert sorted(tuple(row) for row in found) == [("published", 5), ("waiting", None)]


def test_migrate_of_a_ledger_with_one_drawdown_rule_names_which_of_the_two_it_was(engine: Engine) -> None:
    latch, headroom = "a person must look first: x", "5.00 lost since the peak 100.00, 0.00 at open stops"
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for open_ms, reason in enumerate((latch, headroom)):
            connection.execute(
                sa.text(
                    "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, "
                    "correlation_id, written_at_ms, checks) VALUES ('main', 'XAUUSD', 's', :open_ms, 'refused', "
                    "'max_drawdown', :reason, true, 'c', 1, :checks)"
                ),
                {
                    "open_ms": open_ms,
                    "reason": reason,
                    "checks": json.dumps([{"rule": "max_drawdown", "is_met": False, "reason": reason}]),
                },
            )
    migrate(engine)

    with engine.connect() as connection:
        rows = connection.execute(sa.select(decisions.c.rule, decisions.c.checks).order_by(decisions.c.open_ms)).all()
    assert [row.rule for row in rows] == ["drawdown_latch", "drawdown_headroom"]
    assert [row.checks[0]["rule"] for row in rows] == ["drawdown_latch", "drawdown_headroom"]
