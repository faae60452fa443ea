"""One unchanging view of a whole database, while others go on writing."""

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
"""PostgreSQL ends a transaction that idles as long; ours idles while a batch is written elsewhere."""


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees what was committed at its first statement, and nothing later; it never writes.

    Results come in batches of `BATCH_ROWS`, however many there are. No writer waits for it. On SQLite the write-ahead
    log grows as long as it is open.
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
    """Make an engine for a SQLite file that is only read.

    Raises:
        Rejected: There is no such file.
    """
    if not file.is_file():
        raise Rejected("no_such_file", f"there is no file {file}")
    url = f"file:{quote(str(file.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(url, uri=True, isolation_level=None)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def counts(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the number of rows of each table."""
    counted = {name: sa.select(sa.func.count()).select_from(sa.table(name)) for name in sorted(names)}
    return {name: connection.execute(count).scalar_one() for name, count in counted.items()}
