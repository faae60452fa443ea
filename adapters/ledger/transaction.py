"""How the ledger of one account is written: one writer at a time.

Every writer holds the account's lock: the database's write lock on SQLite (`BEGIN IMMEDIATE`), the row of the account
on PostgreSQL (`SELECT ... FOR UPDATE`). So what a transaction reads cannot change before it is written.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from adapters.ledger.queries.reads import LedgerReads, mine
from adapters.ledger.tables import accounts

_LOCK = sa.select(accounts.c.account).where(mine(accounts)).with_for_update()
_OPEN_ACCOUNT = postgresql.insert(accounts).on_conflict_do_nothing()


class LedgerWriting(LedgerReads):
    """Opens transactions that write."""

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            self._lock(connection)
            yield connection

    def _lock(self, connection: Connection) -> None:
        """Take the account's lock on PostgreSQL; on SQLite the transaction began with the only one there is."""
        if connection.dialect.name != "postgresql":
            return
        account = {"account": self._account}
        if connection.execute(_LOCK, account).first() is None:
            connection.execute(_OPEN_ACCOUNT, account)
            connection.execute(_LOCK, account).one()
