"""Transactions on the ledger of one account: many readers, one writer at a time.

Every writer holds the account's lock: the database's write lock on SQLite (`BEGIN IMMEDIATE`), the row of the account
on PostgreSQL (`SELECT ... FOR UPDATE`). So the rows that a transaction reads cannot change before it writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, CursorResult, Dialect, Engine

from adapters.database import read_only, upsert
from adapters.ledger import tables
from trading.market.trading_days import UTC_DAY, TradingDay

_LOCK = sa.select(tables.accounts.c.account).where(tables.accounts.c.account == bindparam("account")).with_for_update()
_OPEN_ACCOUNT = postgresql.insert(tables.accounts).on_conflict_do_nothing()

Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Upserts(Struct, frozen=True):
    """Statements that insert or replace a row of a table, in the SQL of one database."""

    positions: sa.Insert
    orders: sa.Insert
    accounts: sa.Insert
    fences: sa.Insert
    symbols: sa.Insert
    add_to_day: sa.Insert
    """Adds the realised profit to that of a day that is there."""

    @classmethod
    def of(cls, dialect: Dialect) -> "Upserts":
        return cls(
            positions=upsert(dialect, tables.positions),
            orders=upsert(dialect, tables.orders),
            accounts=upsert(dialect, tables.accounts),
            fences=upsert(dialect, tables.fences),
            symbols=upsert(dialect, tables.symbols),
            add_to_day=upsert(dialect, tables.account_days, add=("realised",)),
        )


class Reader(Struct, frozen=True):
    """An open connection to the ledger of one account.

    Attributes:
        account: Its name, a column of each table.
        starting_balance: In quote currency.
        day: Day of the account.
    """

    connection: Connection
    account: str
    starting_balance: float
    day: TradingDay

    def execute(self, statement: sa.Executable, /, **parameters: Any) -> CursorResult[Any]:
        """Execute a statement that has `account` as a parameter."""
        return self.connection.execute(statement, {"account": self.account, **parameters})


class Transaction(Reader, frozen=True):
    """An open transaction that holds the account's lock; it commits where its `with` block ends without an error."""

    upserts: Upserts

    def write(self, statement: sa.Executable, rows: Rows) -> None:
        """Execute an insert or an update with one row, or with several at once."""
        self.connection.execute(statement, rows)

    def rollback(self) -> None:
        """Undo all of it, as the last action of its `with` block."""
        self.connection.rollback()


class AccountDatabase:
    """Opens connections to the ledger of one account.

    Args:
        engine: Of this process, from `adapters.database.create_engine`; its schema must be migrated.
        account: Name of the account: several may share a database.
        starting_balance: In quote currency.
        day: Day of the account.
    """

    def __init__(self, engine: Engine, account: str, starting_balance: float, day: TradingDay = UTC_DAY) -> None:
        self._engine = engine
        self._reading = read_only(engine)
        self._account = account
        self._starting_balance = starting_balance
        self._day = day
        self._upserts = Upserts.of(engine.dialect)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open a connection that waits for no writer; each of its statements sees the newest commit."""
        with self._reading.connect() as connection:
            yield Reader(connection, self._account, self._starting_balance, self._day)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction, and take the account's lock before anything is read."""
        with self._engine.begin() as connection:
            tx = Transaction(connection, self._account, self._starting_balance, self._day, self._upserts)
            _lock(tx)
            yield tx


def _lock(tx: Transaction) -> None:
    """Take the account's lock on PostgreSQL; on SQLite the transaction began with the only lock there is."""
    if tx.connection.dialect.name != "postgresql":
        return
    if tx.execute(_LOCK).first() is None:
        tx.execute(_OPEN_ACCOUNT)
        tx.execute(_LOCK).one()
