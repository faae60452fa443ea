"""The paper venue's own books in SQL: orders, fills and positions, separate from our ledger."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.engine import Connection, Engine, RowMapping

from adapters.database import read_only
from trading.orders.equity_size import EquitySize
from trading.orders.matching import Book, Change, Moved, Resting
from trading.orders.orders import Fill, Leg, OpenOrder, OrderState, Side, VenueOrder, VenuePosition

_CREATE_LOCK = 0x7061_7065_72  # an arbitrary number, the same in every process
_RESTING = OrderState.ACCEPTED.value

metadata = sa.MetaData()

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER increments automatically in SQLite

venue_table = sa.Table(
    "paper_venue",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
)
books_table = sa.Table(
    "paper_books",
    metadata,
    sa.Column("symbol", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, primary_key=True),
    sa.Column("units", sa.Double, nullable=False),
    sa.Column("average_price", sa.Double, nullable=False),
    sa.Column("acted_ms", sa.BigInteger, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
)
orders_table = sa.Table(
    "paper_orders",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("client_order_id", sa.String, nullable=False, unique=True),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("leg", sa.String, nullable=False),
    sa.Column("side", sa.String, nullable=False),
    sa.Column("units", sa.Double, nullable=False),
    sa.Column("price", sa.Double, nullable=False),
    sa.Column("decided_ms", sa.BigInteger, nullable=False),
    sa.Column("stop_loss", sa.Double),
    sa.Column("take_profit", sa.Double),
    sa.Column("at_fill", sa.JSON(none_as_null=True)),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("filled_units", sa.Double, nullable=False),
    sa.Index("paper_orders_resting", "symbol", "state", "strategy", "number"),
)
fills_table = sa.Table(
    "paper_fills",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fill_id", sa.String, nullable=False, unique=True),
    sa.Column("client_order_id", sa.String, nullable=False),
    sa.Column("symbol", sa.String, nullable=False),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("leg", sa.String, nullable=False),
    sa.Column("side", sa.String, nullable=False),
    sa.Column("units", sa.Double, nullable=False),
    sa.Column("price", sa.Double, nullable=False),
    sa.Column("fee", sa.Double, nullable=False),
    sa.Column("market_ms", sa.BigInteger, nullable=False),
    sa.Index("paper_fills_of_symbol", "symbol", "sequence"),
)

_b, _o, _f = books_table.c, orders_table.c, fills_table.c

# the hot path: one statement reads everything that a candle could change
_OPEN_BOOKS = (
    sa.select(
        _b.strategy.label("book"),
        _b.units.label("held"),
        _b.average_price,
        _b.acted_ms,
        _b.last_sequence,
        _o.client_order_id,
        _o.leg,
        _o.side,
        _o.units,
        _o.price,
        _o.decided_ms,
        _o.stop_loss,
        _o.take_profit,
        _o.at_fill,
    )
    .select_from(
        books_table.outerjoin(
            orders_table,
            sa.and_(_o.symbol == _b.symbol, _o.strategy == _b.strategy, _o.state == sa.literal(_RESTING)),
        )
    )
    .where(_b.symbol == sa.bindparam("symbol"))
    .order_by(_b.strategy, _o.number)
)
_RESTING_ORDERS = (
    sa.select(orders_table, _b.units.label("held"))
    .join(books_table, sa.and_(_b.symbol == _o.symbol, _b.strategy == _o.strategy))
    .where(_o.symbol == sa.bindparam("symbol"), _o.state == sa.literal(_RESTING))
    .order_by(_o.number)
)
_FIND = sa.select(orders_table).where(_o.client_order_id == sa.bindparam("id"))
_NEWEST_ENTRY = (
    sa.select(_f.client_order_id)
    .where(
        _f.symbol == sa.bindparam("symbol"),
        _f.strategy == sa.bindparam("strategy"),
        _f.leg == sa.literal(Leg.ENTRY.value),
    )
    .order_by(_f.sequence.desc())
    .limit(1)
)
_FILLS = sa.select(fills_table).where(_f.symbol == sa.bindparam("symbol"), _f.sequence > sa.bindparam("after"))
_CASH = -sa.func.coalesce(
    sa.func.sum(sa.case((_f.side == Side.BUY.value, 1), else_=-1) * _f.units * _f.price + _f.fee), 0.0
)
_WORTH = sa.func.coalesce(sa.func.sum(_b.units * _b.average_price), 0.0)


def create_tables(engine: Engine) -> None:
    """Create what is missing; several processes may do so at once.

    SQLite takes its write lock when the transaction begins, PostgreSQL an advisory lock: one creates, the others wait.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
        metadata.create_all(connection)
        _add_missing_columns(connection)
        if connection.execute(sa.select(venue_table.c.id)).first() is None:
            connection.execute(venue_table.insert().values(id=1, last_sequence=0))


def _add_missing_columns(connection: Connection) -> None:
    """Add the columns that the books of an older version do not have; they are null in existing rows."""
    known = {column["name"] for column in sa.inspect(connection).get_columns(orders_table.name)}
    if _o.at_fill.name not in known:
        connection.execute(sa.text(f"ALTER TABLE {orders_table.name} ADD COLUMN {_o.at_fill.name} JSON"))


class BooksReader:
    """Reads the books, without waiting for a writer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = read_only(engine)

    def open_books(self, symbol: str) -> tuple[dict[str, Book], int]:
        """Return the symbol's books by strategy, and the sequence number of its newest fill, 0 for none."""
        with self._engine.connect() as connection:
            return _open_books(connection, symbol)

    def find(self, client_order_id: str) -> VenueOrder | None:
        with self._engine.connect() as connection:
            return _find(connection, client_order_id)

    def fills(self, symbol: str, after: int) -> list[Fill]:
        with self._engine.connect() as connection:
            rows = connection.execute(_FILLS.order_by(_f.sequence), {"symbol": symbol, "after": after})
            return [_fill(row) for row in rows.mappings()]

    def resting(self, symbol: str) -> list[OpenOrder]:
        with self._engine.connect() as connection:
            return [_open_order(symbol, row) for row in connection.execute(_RESTING_ORDERS, {"symbol": symbol})]

    def positions(self) -> list[VenuePosition]:
        columns = (_b.symbol, _b.strategy, _b.units, _b.average_price)
        query = sa.select(*columns).where(_b.units != 0).order_by(_b.symbol, _b.strategy)
        with self._engine.connect() as connection:
            return [VenuePosition(*row) for row in connection.execute(query)]

    def cash(self) -> float:
        """Return the cash flow of all fills, in quote currency, after fees."""
        with self._engine.connect() as connection:
            return float(connection.execute(sa.select(_CASH)).scalar_one())

    def realised(self) -> float:
        """Return `cash` plus the open positions at their average prices: profit realised, after fees."""
        cash, worth = sa.select(_CASH).scalar_subquery(), sa.select(_WORTH).scalar_subquery()
        with self._engine.connect() as connection:  # one statement, because both must be of the same moment
            return float(connection.execute(sa.select(cash + worth)).scalar_one())


class BooksWriter:
    """Changes the books within one transaction, which holds the venue's lock; made by `writing`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        locked = sa.select(venue_table.c.last_sequence).with_for_update()
        self._first = self.sequence = int(connection.execute(locked).scalar_one())

    def open_books(self, symbol: str) -> tuple[dict[str, Book], int]:
        return _open_books(self._connection, symbol)

    def find(self, client_order_id: str) -> VenueOrder | None:
        return _find(self._connection, client_order_id)

    def place(self, symbol: str, strategy: str, orders: Sequence[Resting]) -> None:
        """Record waiting orders."""
        if not orders:
            return
        owner = {"symbol": symbol, "strategy": strategy, "state": _RESTING, "filled_units": 0.0}
        rows = [{**structs.asdict(order), **owner, "at_fill": _json_of(order)} for order in orders]
        self._connection.execute(orders_table.insert(), rows)

    def open_book(self, symbol: str, strategy: str) -> None:
        """Create an empty book if it is missing."""
        key = sa.and_(_b.symbol == symbol, _b.strategy == strategy)
        if self._connection.execute(sa.select(_b.symbol).where(key)).first() is None:
            empty = Book()
            row = {"units": empty.units, "average_price": empty.average_price, "acted_ms": empty.acted_ms}
            values = {"symbol": symbol, "strategy": strategy, **row, "last_sequence": 0}
            self._connection.execute(books_table.insert().values(values))

    def settle(self, settled: Sequence[tuple[str, OrderState, float]]) -> None:
        """Record final states of orders."""
        for order_id, state, filled_units in settled:
            ended = {"state": state.value, "filled_units": filled_units}
            self._connection.execute(orders_table.update().where(_o.client_order_id == order_id).values(ended))

    def apply(self, symbol: str, strategy: str, change: Change) -> None:
        """Record the changes of one moment in a book."""
        self.place(symbol, strategy, change.placed)
        self.settle(change.settled)
        rows = []
        for execution in change.executions:
            self.sequence += 1
            fill_id = f"{execution.client_order_id}-1"
            rows.append({**structs.asdict(execution), "sequence": self.sequence, "fill_id": fill_id})
        book: dict[str, Any] = {
            "units": change.book.units,
            "average_price": change.book.average_price,
            "acted_ms": change.book.acted_ms,
        }
        if rows:
            owner = {"symbol": symbol, "strategy": strategy}
            self._connection.execute(fills_table.insert(), [{**row, **owner} for row in rows])
            book["last_sequence"] = self.sequence
        key = sa.and_(_b.symbol == symbol, _b.strategy == strategy)
        self._connection.execute(books_table.update().where(key).values(book))

    def owner_of(self, entry_id: str) -> tuple[str, str, str | None]:
        """Return symbol and strategy of an entry, and the entry that filled last in their book; None for none."""
        entry = self._connection.execute(_FIND, {"id": entry_id}).mappings().first()
        if entry is None:
            return "", "", None
        owner = {"symbol": entry["symbol"], "strategy": entry["strategy"]}
        return owner["symbol"], owner["strategy"], self._connection.execute(_NEWEST_ENTRY, owner).scalar()

    def rest(self, symbol: str, strategy: str, moved: Moved, *, is_new: bool) -> None:
        """Record the new price of a stop; one that was cancelled rests again."""
        if is_new:
            self.place(symbol, strategy, [moved.stop])
        else:
            is_stop = _o.client_order_id == moved.stop.client_order_id
            row = {"price": moved.stop.price, "units": moved.stop.units, "state": _RESTING}
            self._connection.execute(orders_table.update().where(is_stop).values(row))
        key = sa.and_(_b.symbol == symbol, _b.strategy == strategy)
        self._connection.execute(books_table.update().where(key).values(acted_ms=moved.book.acted_ms))

    def close(self) -> None:
        """Record the newest sequence number, at the end of the transaction."""
        if self.sequence != self._first:
            self._connection.execute(venue_table.update().values(last_sequence=self.sequence))


@contextmanager
def writing(engine: Engine) -> Iterator[BooksWriter]:
    """Open an exclusive write transaction on this venue's books.

    One lock for all symbols ensures that sequence numbers become visible in ascending order.
    """
    with engine.begin() as connection:
        writer = BooksWriter(connection)
        yield writer
        writer.close()


def _open_books(connection: Connection, symbol: str) -> tuple[dict[str, Book], int]:
    rows = connection.execute(_OPEN_BOOKS, {"symbol": symbol}).all()
    orders: dict[str, list[Resting]] = {}
    for row in rows:
        waiting = orders.setdefault(row.book, [])
        if row.client_order_id is not None:
            waiting.append(_resting(row))
    books = {row.book: Book(row.held, row.average_price, row.acted_ms, tuple(orders[row.book])) for row in rows}
    return books, max((row.last_sequence for row in rows), default=0)


def _resting(row: Any) -> Resting:
    return Resting(
        row.client_order_id,
        Leg(row.leg),
        Side(row.side),
        row.units,
        row.price,
        row.decided_ms,
        row.stop_loss,
        row.take_profit,
        None if row.at_fill is None else EquitySize(**row.at_fill),
    )


def _json_of(order: Resting) -> dict[str, Any] | None:
    return None if order.at_fill is None else structs.asdict(order.at_fill)


def _find(connection: Connection, client_order_id: str) -> VenueOrder | None:
    row = connection.execute(_FIND, {"id": client_order_id}).mappings().first()
    if row is None:
        return None
    return VenueOrder(client_order_id, f"paper-{row['number']}", OrderState(row["state"]), row["filled_units"])


def _open_order(symbol: str, row: Any) -> OpenOrder:
    """Convert a resting order; a protective one has the size of the open position."""
    is_market = Leg(row.leg) in (Leg.ENTRY, Leg.EXIT)
    units, price = (row.units, None) if is_market else (abs(row.held), row.price)
    return OpenOrder(row.client_order_id, f"paper-{row.number}", symbol, Side(row.side), units, price)


def _fill(row: RowMapping) -> Fill:
    columns: Mapping[str, Any] = {str(name): value for name, value in row.items()}
    return Fill(**{**columns, "leg": Leg(columns["leg"]), "side": Side(columns["side"])})
