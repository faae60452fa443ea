"""Consistent snapshot of a whole database while others write."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from adapters.database import read_only
from trading.errors import Rejected

BATCH_ROWS = 1_000
_IDLE_LIMIT_S = 120
"""PostgreSQL ends a transaction that idles this long; a snapshot idles while a batch is written elsewhere."""


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a read-only transaction that sees only commits before its first statement.

    Results are fetched in batches of `BATCH_ROWS`. No writer waits for the snapshot. On SQLite the write-ahead log
    grows while it is open.
    """
    with read_only(engine).connect() as connection:
        if engine.dialect.name == "postgresql":
            view = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            view.execute(sa.text(f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_LIMIT_S}s'"))
        else:
            view = connection
            view.exec_driver_sql("BEGIN")
            view.exec_driver_sql("SELECT count(*) FROM sqlite_master").close()  # the first read takes the view
        yield view.execution_options(yield_per=BATCH_ROWS)


def read_file(file: Path) -> Engine:
    """Create an engine for a SQLite file that is only read.

    Raises:
        Rejected: The file does not exist.
    """
    if not file.is_file():
        raise Rejected("no_such_file", f"the file {file} does not exist")
    url = f"file:{quote(str(file.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(url, uri=True, isolation_level=None)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def counts(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the number of rows of each table."""
    counted = {name: sa.select(sa.func.count()).select_from(sa.table(name)) for name in sorted(names)}
    return {name: connection.execute(count).scalar_one() for name, count in counted.items()}
