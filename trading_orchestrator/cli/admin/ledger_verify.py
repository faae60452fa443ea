"""`trading ledger verify`: check the ledger against its own fills."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from rich.text import Text
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER
from adapters.backup.restore import revision_of
from adapters.backup.snapshot import read_file, snapshot
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Findings, recompute, rows_to_look_at
from adapters.ledger.schema import head_revision
from configs.errors import ConfigError
from trading.formatting import format_money
from trading.structs import asdict
from trading_orchestrator.cli.context import Access, shown_ledger
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import Column, make_console, print_json, progress_bar, table


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False), metavar="[FILE]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Verify the ledger, or a backup FILE, against its own fills.

    Recomputes positions, realised profit, daily results, filled units and cash, and checks the constraints between
    orders, decisions and reservations on every row. Reads a consistent snapshot, while the system runs. Exit code 1
    when something differs.
    """
    if file is not None and not file.name:
        raise click.UsageError("the name is empty; name a backup, or omit it to verify the ledger")
    with Access() as access:
        where = str(file) if file else shown_ledger(access)
        with _engine(access, file) as engine, snapshot(engine) as view, progress_bar("verifying") as bar:
            bar.show(0, rows_to_look_at(view))
            findings = recompute(view, bar.advance)
            check_rules(view, findings, bar.advance)
        decimals = _known_decimals(access)
    if as_json:
        print_json(_as_dict(where, findings))
    else:
        _print_result(where, findings, decimals)
    ctx.exit(ExitCode.NO if findings.number else ExitCode.OK)


@contextmanager
def _engine(access: Access, file: Path | None) -> Iterator[Engine]:
    if file is None:
        access.ledger  # noqa: B018  # raises when the schema is not the required one
        yield access.engine
        return
    found = revision_of(file, LEDGER)
    if found != head_revision():
        needed = f"its schema is at {found}, this code needs {head_revision()}"
        raise Failed(ExitCode.NO, f"{file}: {needed}\nrestore it into an empty ledger; the restore migrates it")
    yield read_file(file)


def _as_dict(where: str, findings: Findings) -> dict[str, Any]:
    accounts = {
        name: {"realised": books.realised.value, "cash": books.cash.value, "open_value": books.open_value.value}
        for name, books in findings.books.items()
    }
    return {
        "ok": not findings.number,
        "ledger": where,
        "fills": findings.fills,
        "accounts": accounts,
        "differences": [asdict(difference) for difference in findings.differences],
        "differences_number": findings.number,
    }


def _known_decimals(access: Access) -> Mapping[str, int]:
    """Return the decimals of money of the configured account; none if a backup is verified without a configuration."""
    with suppress(ConfigError):
        return {access.system.account.name: access.system.account.money_decimals}
    return {}


def _print_result(where: str, findings: Findings, decimals: Mapping[str, int]) -> None:
    console = make_console()
    if findings.differences:
        console.show(table(COLUMNS, findings.differences, width=console.width))
    if findings.number > len(findings.differences):
        click.echo(f"and {findings.number - len(findings.differences):,} more")
    for name, books in findings.books.items():
        realised, cash = (_money(total.value, decimals.get(name)) for total in (books.realised, books.cash))
        click.echo(f"account {name}: realised {realised}, cash {cash}")
    verdict = f"{findings.number:,} differences" if findings.number else "no differences"
    click.echo(f"ledger {where}: {findings.fills:,} fills, {verdict}")


def _money(amount: float, decimals: int | None) -> str:
    """Format an amount; with all its digits if the currency of its account is not configured here."""
    return f"{amount:,.12g}" if decimals is None else format_money(amount, decimals)


COLUMNS = (
    Column("check", lambda row: row.check, style="bold"),
    Column("where", lambda row: row.where, is_prose=True),
    Column("found", lambda row: Text(row.found, style="red"), is_prose=True),
    Column("expected", lambda row: row.expected, is_prose=True),
)
