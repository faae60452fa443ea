"""The engine on a real PostgreSQL: failures that are retried, and the connections that are replaced."""

import logging

import pytest
import sqlalchemy as sa

from adapters.database import create_engine, read_only
from adapters.ledger.schema import migrate
from adapters.ledger.tables import fences
from tests.integration.ledger.database.rows import FENCE
from trading.errors import Transient


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
