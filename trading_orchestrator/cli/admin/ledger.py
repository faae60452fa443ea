"""`trading ledger`: migrate, back up, restore and verify the ledger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, PAPER, Copied, Shape, backup
from adapters.backup.restore import restore
from adapters.database import create_engine
from adapters.ledger.schema import head_revision, migrate
from adapters.venues.paper_books import create_tables
from configs.settings import PREFIX
from trading_orchestrator.cli.admin.ledger_verify import verify
from trading_orchestrator.cli.context import MIGRATE, Access, ledger_revision, shown_ledger
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import print_json, progress_bar
from trading_orchestrator.cli.params import CommandGroup
from worker.checks.machine import sqlite_file

T = TypeVar("T")
PAPER_URL = f"{PREFIX}PAPER_URL"

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _named(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Reject an empty file name, which would mean the current folder."""
    if path is not None and not path.name:
        raise click.BadParameter("the name is empty; name a file, such as ledger.sqlite3")
    return path


FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False), callback=_named)


@click.group(cls=CommandGroup)
def ledger() -> None:
    """Migrate, back up, restore and verify the ledger."""


@ledger.command("migrate")
@JSON
def migrate_(as_json: bool) -> None:
    """Migrate the ledger to the schema that this code needs; create it if it does not exist."""
    with Access() as access:
        before = ledger_revision(access)
        migrate(access.engine)
        now = ledger_revision(access)
        if as_json:
            print_json({"ledger": shown_ledger(access), "before": before, "revision": now})
        elif before == now:
            click.echo(f"ledger {shown_ledger(access)} is already at revision {now}")
        else:
            click.echo(f"ledger {shown_ledger(access)} is now at revision {now}, before: {before or 'none'}")


@ledger.command()
@JSON
@click.pass_context
def revision(ctx: click.Context, as_json: bool) -> None:
    """Show the ledger's schema revision and the required one; exit code 1 when they differ."""
    with Access() as access:
        found, needed = ledger_revision(access), head_revision()
        if as_json:
            print_json({"ledger": shown_ledger(access), "revision": found, "needed": needed})
        else:
            remedy = "" if found == needed else f"\nrun: {MIGRATE}"
            click.echo(f"ledger {shown_ledger(access)}: at {found or 'none'}, this code needs {needed}{remedy}")
    ctx.exit(ExitCode.OK if found == needed else ExitCode.NO)


@ledger.command("backup")
@FILE
@click.option(
    "--paper",
    "paper_file",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_named,
    metavar="FILE",
    help="Also copy the paper venue's books, into this file.",
)
@JSON
def backup_(file: Path, paper_file: Path | None, as_json: bool) -> None:
    """Copy the ledger into a new SQLite FILE, while the system runs.

    The copy is a consistent snapshot, on every kind of database, and is checked before FILE appears. The paper books
    are copied after the ledger: they may hold later fills, which the ledger then fetches, but never lack earlier ones.
    """
    if paper_file is not None and paper_file.absolute() == file.absolute():
        raise click.UsageError("--paper and FILE are the same file; name another one for --paper")
    with Access() as access:
        if paper_file is not None:
            _need_paper(access)
        copies = [_copied(_ledger_to_copy(access), LEDGER, file)]
        if paper_file is not None:
            copies.append(_on_paper(access, lambda engine: _copied(engine, PAPER, paper_file)))
    if as_json:
        print_json({"copies": [_as_dict(copy) for copy in copies]})
        return
    for copy in copies:
        click.echo(f"{copy.file}: {copy.rows:,} rows, {copy.size_bytes / 1e6:,.1f} MB, checked")


@ledger.command("restore")
@FILE
@click.option(
    "--paper",
    "paper_file",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_named,
    metavar="FILE",
    help="Also restore the paper venue's books, from this file.",
)
@JSON
def restore_(file: Path, paper_file: Path | None, as_json: bool) -> None:
    """Restore a backup FILE into an empty ledger.

    Stop the system first. The target must be migrated and hold no rows; it may be another kind of database than the
    original. Either all rows are written or none.
    """
    with Access() as access:
        rows = {"ledger": sum(_restored(_ledger_at_head(access), LEDGER, file).values())}
        if paper_file is not None:
            rows["paper"] = _on_paper(access, lambda engine: _paper_restored(engine, paper_file))
        where = shown_ledger(access)
    if as_json:
        print_json({"ledger": where, "rows": rows})
    else:
        click.echo(f"ledger {where}: {', '.join(f'{count:,} rows of the {name}' for name, count in rows.items())}")


ledger.add_command(verify)


def _ledger_to_copy(access: Access) -> Engine:
    """Return the ledger's engine without a check of its schema, so that a backup is possible before a migration."""
    return _ledger_at_head(access) if ledger_revision(access) is None else access.engine


def _ledger_at_head(access: Access) -> Engine:
    access.ledger  # noqa: B018  # raises when the schema is not the required one
    return access.engine


def _copied(engine: Engine, shape: Shape, file: Path) -> Copied:
    with progress_bar(f"copying the {shape.name}") as bar:
        return backup(engine, shape, file, bar.show)


def _restored(engine: Engine, shape: Shape, file: Path) -> dict[str, int]:
    with progress_bar(f"restoring the {shape.name}") as bar:
        return dict(restore(file, engine, shape, bar.show))


def _paper_restored(engine: Engine, file: Path) -> int:
    create_tables(engine)
    return sum(_restored(engine, PAPER, file).values())


def _need_paper(access: Access) -> None:
    """Reject missing paper books: SQLite would create an empty file."""
    file = sqlite_file(access.settings.paper_url.get_secret_value())
    if file is not None and not file.exists():
        raise Failed(ExitCode.OUTSIDE, f"{file} holds no paper books\nomit --paper, or correct {PAPER_URL}")


def _on_paper(access: Access, work: Callable[[Engine], T]) -> T:
    engine = create_engine(access.settings.paper_url.get_secret_value(), where="paper")
    try:
        return work(engine)
    finally:
        engine.dispose()


def _as_dict(copy: Copied) -> dict[str, Any]:
    return {"file": str(copy.file), "rows": dict(copy.rows_by_table), "size_bytes": copy.size_bytes}
