"""Back up a running database consistently to one SQLite file; `adapters.backup.restore` restores it.

The copy is written under another name and linked to its own after verification. An interrupted backup leaves
`<name>.<random>.partial`, which can be removed.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection, Engine

from adapters.backup.snapshot import BATCH_ROWS, counts, read_file, snapshot
from adapters.database import create_engine, is_transient
from adapters.ledger import tables
from adapters.ledger.schema import head_revision, migrate, schema_revision
from adapters.venues import paper_books
from trading.errors import Broken, Rejected, Transient
from trading.structs import replace

PAGES_A_STEP = 256
Progress = Callable[[int, int], None]
"""Receives the work done and the total, in pages or rows."""


class Shape(Struct, frozen=True):
    """Tables of a database.

    Attributes:
        name: Name in messages.
        make: Creates the tables in an empty database, without rows.
        premade: Tables that have initial rows.
    """

    name: str
    metadata: sa.MetaData
    make: Callable[[Engine], object]
    premade: frozenset[str] = frozenset()


LEDGER = Shape("ledger", tables.metadata, migrate)
PAPER = Shape(
    "paper books",
    paper_books.metadata,
    paper_books.metadata.create_all,
    premade=frozenset({paper_books.venue_table.name}),
)


class Copied(Struct, frozen=True):
    """Result of a backup: the number of rows of each table, and the file with its size."""

    file: Path
    rows_by_table: Mapping[str, int]
    size_bytes: int

    @property
    def rows(self) -> int:
        return sum(self.rows_by_table.values())


def backup(engine: Engine, shape: Shape, file: Path, progress: Progress) -> Copied:
    """Copy a database into a new SQLite file while others write to it.

    The schema of the source is not checked.

    Raises:
        Rejected: The file exists already, or cannot be created.
        Transient: The source did not answer, or the disk is full.
        Broken: The copy differs from the source and was deleted.
    """
    shape = _present_shape(engine, shape)
    with _translated_driver_errors(), _growing(file) as partial:
        with snapshot(engine) as source:
            names = sa.inspect(source).get_table_names() if engine.dialect.name == "sqlite" else shape.metadata.tables
            expected = counts(source, names)
            if engine.dialect.name == "sqlite":
                _copy_pages(source, partial, progress)
            else:
                _copy_rows(source, shape, partial, expected, progress)
        _check_whole(partial, expected)
        _write_through(partial)
        size_bytes = partial.stat().st_size
        _publish_file(partial, file)
    return Copied(file, expected, size_bytes)


def _present_shape(engine: Engine, shape: Shape) -> Shape:
    """Return the shape of a ledger on PostgreSQL, which may have an older schema."""
    found = schema_revision(engine) if shape is LEDGER and engine.dialect.name == "postgresql" else None
    if found in (None, head_revision()):
        return shape
    older = sa.MetaData()
    older.reflect(engine, only=lambda name, _: name in shape.metadata.tables)
    return replace(shape, metadata=older, make=lambda target: migrate(target, found))


def copy_tables(
    source: Connection, target: Connection, chosen: Collection[sa.Table], whole: int, progress: Progress
) -> None:
    """Copy all rows of tables, each in the order of its primary key; referenced tables come first."""
    done = 0
    for table in chosen:
        rows = source.execute(sa.select(table).order_by(*table.primary_key))
        for batch in rows.mappings().partitions(BATCH_ROWS):
            target.execute(sa.insert(table), [dict(row) for row in batch])
            done += len(batch)
            progress(done, whole)


@contextmanager
def _growing(file: Path) -> Iterator[Path]:
    """Yield a private temporary file beside `file`, and remove it at the end."""
    if file.exists():
        raise _exists(file)
    folder = file.absolute().parent
    try:
        handle, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".partial", dir=folder)
    except OSError as error:
        raise Rejected("no_such_folder", f"no file can be made in {folder}: {error.strerror}") from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
    finally:
        for left in ("", "-wal", "-shm", "-journal"):
            partial.with_name(partial.name + left).unlink(missing_ok=True)


@contextmanager
def _translated_driver_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_transient(error):
            raise Transient("backup", str(error)) from error
        raise Broken(f"the backup failed: {error}") from error


def _copy_pages(source: Connection, partial: Path, progress: Progress) -> None:
    """Copy page by page with SQLite's own backup; the open view keeps writers from restarting it without end."""
    target = sqlite3.connect(partial, isolation_level=None)
    try:
        report = lambda _, left, whole: progress(whole - left, whole)  # noqa: E731
        _driver(source).backup(target, pages=PAGES_A_STEP, progress=report)
        _as_one_file(target)
    finally:
        target.close()


def _copy_rows(
    source: Connection, shape: Shape, partial: Path, expected: Mapping[str, int], progress: Progress
) -> None:
    engine = create_engine(f"sqlite:///{partial}", where="backup")
    try:
        shape.make(engine)
        with engine.begin() as target:
            copy_tables(source, target, shape.metadata.sorted_tables, sum(expected.values()), progress)
        with engine.connect() as target:
            _as_one_file(_driver(target))
    finally:
        engine.dispose()


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _as_one_file(connection: sqlite3.Connection) -> None:
    """Switch a copy off the write-ahead log, so that it is one file."""
    connection.execute("PRAGMA journal_mode=DELETE").close()


def _check_whole(partial: Path, expected: Mapping[str, int]) -> None:
    engine = read_file(partial)
    with snapshot(engine) as copy:
        verdict = copy.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        found = counts(copy, expected)
    if verdict != ["ok"]:
        raise Broken(f"the copy is damaged and was deleted: {'; '.join(map(str, verdict[:3]))}")
    if found != expected:
        raise Broken(f"the copy has {found} rows, expected {expected}; it was deleted")


def _write_through(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish_file(partial: Path, file: Path) -> None:
    """Give the copy its own name; a file created there meanwhile is kept."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise _exists(file) from None
    except OSError:  # a file system without links
        if file.exists():
            raise _exists(file) from None
        partial.rename(file)
    _write_through(file.absolute().parent)


def _exists(file: Path) -> Rejected:
    return Rejected("file_exists", f"{file} exists already, and a backup overwrites no file; choose another name")
