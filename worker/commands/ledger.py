"""`trading ledger`: the schema of the ledger."""

import click

from adapters.database import head_revision, migrate
from worker.commands.access import MIGRATE, Access, ledger_revision, shown_ledger
from worker.commands.outcome import ExitCode
from worker.commands.output import print_json

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def ledger() -> None:
    """Migrate the ledger, or say how it stands."""


@ledger.command("migrate")
@JSON
def migrate_(as_json: bool) -> None:
    """Bring the ledger to the schema that this code needs; one that is not there is made."""
    with Access() as access:
        before = ledger_revision(access)
        migrate(access.engine)
        now = ledger_revision(access)
        if as_json:
            print_json({"ledger": shown_ledger(access), "before": before, "revision": now})
        elif before == now:
            click.echo(f"ledger {shown_ledger(access)} is at revision {now} already")
        else:
            click.echo(f"ledger {shown_ledger(access)} is now at revision {now}, before: {before or 'none'}")


@ledger.command()
@JSON
@click.pass_context
def revision(ctx: click.Context, as_json: bool) -> None:
    """Show the revision of the schema, and the one that this code needs; exit code 1 when they differ."""
    with Access() as access:
        found, needed = ledger_revision(access), head_revision()
        if as_json:
            print_json({"ledger": shown_ledger(access), "revision": found, "needed": needed})
        else:
            remedy = "" if found == needed else f"\nmake it so: {MIGRATE}"
            click.echo(f"ledger {shown_ledger(access)}: at {found or 'none'}, this code needs {needed}{remedy}")
    ctx.exit(ExitCode.OK if found == needed else ExitCode.NO)
