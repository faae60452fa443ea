"""Engines for the ledger's databases, SQLite and PostgreSQL, with the same guarantees on both.

A transaction of a plain engine may write, and on SQLite it takes the write lock when it begins; `read_only(engine)`
returns a view that never waits for a writer. Driver errors that a retry may resolve are raised as `Transient`; where
the connection itself is at fault, as after a switch-over to another server, all pooled connections are replaced.

An engine must not cross a fork: create it in the process that uses it (in a prefork worker, in the child). A connection
opened before a fork is rejected after it.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Dialect, Engine, ExceptionContext

from trading.errors import Broken, Transient

LOCK_TIMEOUT_S = 8
"""Shorter than the time limit of a step, so that the step ends with `Transient` and is not killed."""
_CONNECT_TIMEOUT_S = 5
_READ_ONLY = "trading_read_only"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_PUBLIC_OPTIONS = frozenset(
    {
        *("host", "hostaddr", "port", "dbname", "target_session_attrs", "load_balance_hosts", "application_name"),
        *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "gssencmode", "channel_binding", "client_encoding"),
        *("timeout", "uri", "mode", "cache", "check_same_thread", "isolation_level"),
    }
)
"""Options in a URL whose values may be shown; any other, such as `password` or `options`, may hold a secret."""
_TRANSIENT_SQLITE = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
)
_READ_ONLY_PARAMETERS = ("default_transaction_read_only", "in_hot_standby")
_UNUSABLE_CONNECTION = frozenset(
    {
        "25006",  # read-only transaction: the server was demoted to a standby, or set read-only for a switch-over
        "25P02",  # in a failed transaction
        "25P03",  # idle for too long in a transaction, the server closed the connection
        "25P04",  # transaction timeout, the server closed the connection
        "26000",  # unknown prepared statement: a pooler changed the server behind the connection
        "42P05",  # prepared statement exists already: the same
        "40003",  # statement completion unknown
        "57P01",  # shutdown by an administrator
        "57P02",  # shutdown after a crash
        "57P03",  # starting up, shutting down or in recovery
        "57P04",  # database dropped
        "57P05",  # idle for too long, the server closed the connection
    }
)
"""SQLSTATEs after which a retry needs another connection; those of class 08, lost connections, are of this kind too."""


def create_engine(url: str, *, where: str = "ledger") -> Engine:
    """Create an engine for `sqlite:///path/to/file` or `postgresql://user:password@host/database`.

    The engine connects later. For SQLite the folder of the file is created. The lock timeout is `LOCK_TIMEOUT_S` unless
    the URL sets one: `?timeout=5` in seconds for SQLite, `?options=...` for PostgreSQL. A PostgreSQL URL of several
    hosts, `postgresql:///database?host=first:5432&host=second:5432`, connects to the one that accepts writes.

    Args:
        where: Names this database in the `Transient` errors of the engine.

    Raises:
        ValueError: Another kind of database, or SQLite without a file, which processes cannot share.
        Transient: The folder of an SQLite file cannot be created.
    """
    parsed = sa.make_url(url)
    if parsed.drivername in _POSTGRESQL:
        engine = _postgresql(parsed)
    elif parsed.get_backend_name() == "sqlite":
        engine = _sqlite(parsed, where)
    else:
        raise ValueError(f"database {parsed.drivername!r}: allowed are sqlite:///file and postgresql://...")
    event.listen(engine, "handle_error", _translator(where))
    event.listen(engine, "connect", _remember_process)
    event.listen(engine, "checkout", _refuse_other_process)
    return engine


def masked_url(url: str) -> str:
    """Return a database URL to show: without its password, and without values of options that may hold secrets."""
    parsed = sa.make_url(url)
    hidden = dict.fromkeys(parsed.query.keys() - _PUBLIC_OPTIONS, "***")
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def checkpoint(url: str, *, is_last: bool) -> None:
    """Move SQLite's write-ahead log into the database file, so that a copy of the file alone is complete.

    Does nothing for another database or a missing file. While another process reads, a part of the log may stay.

    Args:
        is_last: No other process is expected to use the file, so the log is emptied too. That holds the write lock
            while it waits for readers; otherwise nothing waits.

    Raises:
        Transient: The file cannot be written.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not Path(parsed.database or "").is_file():
        return
    engine = create_engine(url)
    try:
        with read_only(engine).connect() as connection:
            connection.exec_driver_sql(f"PRAGMA wal_checkpoint({'TRUNCATE' if is_last else 'PASSIVE'})")
    finally:
        engine.dispose()


def read_only(engine: Engine) -> Engine:
    """Return a view of `engine`, on the same connections, for reading only.

    Each statement sees the newest commit; read values that must be consistent in one statement.
    """
    return engine.execution_options(**{_READ_ONLY: True})


def upsert(dialect: Dialect, table: sa.Table, *, add: tuple[str, ...] = ()) -> sa.Insert:
    """Return the statement that inserts a row of `table`, or replaces the row with the same primary key.

    Args:
        add: Columns in which an existing row adds the new value instead of replacing its own.
    """
    insert = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    change = {
        column.name: table.c[column.name] + value if column.name in add else value
        for column, value in zip(table.c, insert.excluded, strict=True)
        if not column.primary_key
    }
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=change)


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may resolve a driver's error, such as a lock timeout, a lost connection or a full disk."""
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF in _TRANSIENT_SQLITE  # the low byte is the primary code, the rest details it
    return type(error).__module__.partition(".")[0] == "psycopg" and _is_transient_postgresql(error)


def _is_transient_postgresql(error: BaseException) -> bool:
    import psycopg  # noqa: PLC0415  # a tenth of a worker's start, and most have SQLite

    return isinstance(error, psycopg.OperationalError) or needs_new_connection(error)


def needs_new_connection(error: BaseException) -> bool:
    """Return whether PostgreSQL's error leaves a connection that serves no retry, although it may still be open."""
    sqlstate = getattr(error, "sqlstate", None) or ""
    return sqlstate in _UNUSABLE_CONNECTION or sqlstate.startswith("08")


def _sqlite(url: URL, where: str) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file, such as sqlite:///ledger.db: its memory is not shared by processes")
    folder = Path(url.database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Transient(where, f"the folder {folder} does not exist and cannot be created: {error.strerror}") from error
    arguments: dict[str, Any] = {"isolation_level": None}  # the driver begins no transaction by itself
    if "timeout" not in url.query:
        arguments["timeout"] = LOCK_TIMEOUT_S
    engine = sa.create_engine(url, connect_args=arguments)
    if "uri" not in url.query:  # with it the database is a URI and no path
        event.listen(engine, "do_connect", _private_file(Path(url.database)))
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: URL) -> Engine:
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "trading"}
    if "options" not in url.query:
        # a hung process must not hold the account's lock without end
        limit_ms = LOCK_TIMEOUT_S * 1000
        arguments["options"] = f"-c lock_timeout={limit_ms} -c idle_in_transaction_session_timeout={limit_ms}"
    if _has_several_hosts(url) and "target_session_attrs" not in url.query:
        arguments["target_session_attrs"] = "read-write"  # a standby accepts connections, too
    private = {name: value for name, value in url.query.items() if name not in _PUBLIC_OPTIONS}
    arguments |= private  # the engine shows its URL in its repr
    url = url.set(drivername="postgresql+psycopg").difference_update_query(private)
    engine = sa.create_engine(
        url, connect_args=arguments, pool_pre_ping=True, pool_size=1, max_overflow=9, pool_timeout=LOCK_TIMEOUT_S
    )
    event.listen(engine, "checkout", _replace_read_only)
    return engine


def _has_several_hosts(url: URL) -> bool:
    host = url.query.get("host", "")
    return "," in host if isinstance(host, str) else len(host) > 1


def _private_file(path: Path) -> Callable[..., None]:
    """Return the listener that creates the file for its owner alone; SQLite gives its other files the same mode."""

    def create(*_: object) -> None:
        with suppress(OSError):  # SQLite meets the same error, which is translated
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    return create


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get(_READ_ONLY, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _translator(where: str) -> Callable[[ExceptionContext], None]:
    def translate(context: ExceptionContext) -> None:
        if context.is_pre_ping:
            return  # the pool replaces a lost connection
        error = context.original_exception
        if needs_new_connection(error):
            context.is_disconnect = True  # invalidates this connection, and those opened before
        if is_transient(error):
            raise Transient(where, str(error).strip()) from error

    return translate


def _remember_process(_connection: object, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _replace_read_only(connection: Any, record: Any, _proxy: object) -> None:
    """Replace a pooled connection whose server became read-only: after a switch-over it would answer with old rows.

    The server reports both parameters (from PostgreSQL 14 on) without being asked, at the latest with the answer to the
    ping. A new connection is used as it is, so that a replica can be read.
    """
    is_read_only = "on" in map(connection.info.parameter_status, _READ_ONLY_PARAMETERS)
    if is_read_only and record.info.get("was_used"):
        raise sa.exc.DisconnectionError("the server became read-only")
    record.info["was_used"] = True


def _refuse_other_process(_connection: object, record: Any, _proxy: object) -> None:
    if record.info["pid"] != os.getpid():
        raise Broken("a database connection crossed a fork: create the engine in the process that uses it")
