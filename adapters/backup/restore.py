"""Restore a backup into an empty database, SQLite or PostgreSQL."""

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from adapters.backup.backup import LEDGER, Progress, Shape, copy_tables
from adapters.backup.snapshot import counts, read_file, snapshot
from adapters.database import create_engine
from adapters.ledger.schema import head_revision, migrate, schema_revision
from trading.errors import Broken, Rejected


def restore(file: Path, engine: Engine, shape: Shape, progress: Progress) -> Mapping[str, int]:
    """Write all rows of a backup into an empty database, in one transaction, and return their number by table.

    The tables of the target must exist. A backup with an older schema is migrated in a copy.

    Raises:
        Rejected: The target has rows already, the file does not exist, or it is not a backup of this kind.
        Transient: The target did not answer.
        Broken: The number of restored rows differs; nothing was written.
    """
    with tempfile.TemporaryDirectory(prefix="restore-") as folder:
        source_engine = read_file(_up_to_date(file, shape, Path(folder)))
        with snapshot(source_engine) as source, engine.begin() as target:
            expected = counts(source, shape.metadata.tables)
            _lock_tables(target, shape)
            _refuse_rows(target, shape)
            _empty_premade(target, shape)
            copy_tables(source, target, shape.metadata.sorted_tables, sum(expected.values()), progress)
            _advance_sequences(target, shape)
            found = counts(target, shape.metadata.tables)
            if found != expected:
                raise Broken(f"restored {found} rows, expected {expected}; nothing was written")
    return expected


def revision_of(file: Path, shape: Shape) -> str | None:
    """Return the revision of a backup's schema; None when it has none.

    Raises:
        Rejected: The file does not exist, or is not a backup of this kind.
    """
    engine = read_file(file)
    try:
        found = set(sa.inspect(engine).get_table_names())
        known = schema_revision(engine) if "alembic_version" in found else None
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        raise Rejected("no_backup", f"{file} is not a SQLite database: {error}") from error
    if known is None and not set(shape.metadata.tables) <= found:
        raise Rejected("no_backup", f"{file} is not a backup of a {shape.name}; its tables are {sorted(found)}")
    return known


def _up_to_date(file: Path, shape: Shape, folder: Path) -> Path:
    found = revision_of(file, shape)
    if (found is not None) != (shape is LEDGER):
        raise Rejected("no_backup", f"{file} is not a backup of a {shape.name}")
    if found is None or found == head_revision():
        return file
    copy = folder / "older.sqlite3"
    shutil.copyfile(file, copy)
    engine = create_engine(f"sqlite:///{copy}", where="backup")
    try:
        migrate(engine)
    finally:
        engine.dispose()
    return copy


def _lock_tables(target: Connection, shape: Shape) -> None:
    """Lock out writers until the end; on SQLite the transaction already holds the only lock."""
    if target.dialect.name == "postgresql":
        quote = target.dialect.identifier_preparer.quote
        target.execute(sa.text(f"LOCK TABLE {', '.join(map(quote, shape.metadata.tables))} IN EXCLUSIVE MODE"))


def _refuse_rows(target: Connection, shape: Shape) -> None:
    rows = counts(target, set(shape.metadata.tables) - shape.premade)
    if full := {name: count for name, count in rows.items() if count}:
        tables = ", ".join(f"{name}: {count}" for name, count in full.items())
        raise Rejected("not_empty", f"the {shape.name} has rows already ({tables}); restore into an empty one")


def _empty_premade(target: Connection, shape: Shape) -> None:
    for name in shape.premade:
        target.execute(sa.delete(shape.metadata.tables[name]))


def _advance_sequences(target: Connection, shape: Shape) -> None:
    """Set PostgreSQL's sequences after the restored rows; SQLite does so by itself."""
    if target.dialect.name != "postgresql":
        return
    for table in shape.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        newest = target.execute(sa.select(sa.func.max(column))).scalar()
        if newest is not None and target.execute(sa.select(sequence)).scalar() is not None:
            target.execute(sa.select(sa.func.setval(sequence, newest)))
