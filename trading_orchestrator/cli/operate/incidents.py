"""`trading incidents` and `resolve`: conditions that need an operator, and their resolution."""

import getpass
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from tasks.engine.stages import RESOLVE
from trading.formatting import format_second
from trading.incidents.incident import IncidentKind
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.inspect.books import JSON, LIMIT
from trading_orchestrator.cli.operate.control import TIMEOUT, Request, require_redis, send_requests
from trading_orchestrator.cli.output import MIDDLE, Column, make_console, print_json, table
from trading_orchestrator.cli.params import Finite, Whole

Row = dict[str, Any]


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--all", "is_all", is_flag=True, help="Include resolved incidents.")
@LIMIT
@JSON
def incidents(symbols: tuple[str, ...], is_all: bool, limit: int, as_json: bool) -> None:
    """Show the conditions that need an operator, newest last.

    Without SYMBOL, of all symbols. A halting incident keeps its symbol from sending orders until it is resolved.
    """
    with Access() as access:
        chosen: tuple[str | None, ...] = symbols or (None,)
        rows = [row for one in chosen for row in access.ledger.incidents(one, only_open=not is_all, limit=limit)]
        for symbol in symbols if not rows else ():
            access.known(symbol)  # a symbol that is no longer configured may still have rows
    rows = sorted(rows, key=lambda row: int(row["id"]))[-limit:]
    if as_json:
        print_json([{**row, "told_at_ms": row["published_at_ms"]} for row in rows])  # its name before 0.2
        return
    console = make_console()
    if rows:
        console.show(table(COLUMNS, rows, width=console.width))
    else:
        scope = f" of {', '.join(symbols)}" if symbols else ""
        console.show(Text(f"no {'' if is_all else 'open '}incidents{scope}"))


@click.command()
@click.argument("identity", type=Whole(1), metavar="ID")
@click.option("--reason", required=True, help="Finding and action taken, to record.")
@click.option("--adopt", is_flag=True, help="Record the venue's position in the ledger.")
@click.option("--strategy", metavar="NAME", help="Strategy that owns the position, if ambiguous.")
@click.option(
    "--price",
    type=Finite(min=0, min_open=True),
    metavar="PRICE",
    help="Price at which the difference is booked; default: the venue's average price.",
)
@click.option("--by", default=getpass.getuser, show_default="the user of this shell", help="Operator to record.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def resolve(
    identity: int,
    reason: str,
    adopt: bool,
    strategy: str | None,
    price: float | None,
    by: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Resolve an incident, so that its symbol can send orders again.

    ID is its number in `incidents`. Exit code 1 when no open incident has this number. --adopt records the venue's
    position in the ledger, marked as adopted. It works only for position_mismatch, foreign_fill and unowned_position,
    and only while the difference is still the one that the incident states.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; state the finding and the action taken")
    if not adopt and (strategy or price):
        raise click.UsageError("--strategy and --price require --adopt")
    with Access() as access:
        require_redis(access)
        incident = access.ledger.incident(identity)
        if incident is None:
            raise _no_such(identity)
        arguments = {"identity": identity, "reason": reason, "by": by}
        if adopt or (incident.kind is IncidentKind.ORDER_LOST and incident.symbol in access.system.symbols):
            arguments["symbol"] = access.known(incident.symbol)  # its own worker reads the venue
        if adopt:
            arguments |= {"adopt": True, "strategy": strategy, "price": price}
        (row,) = send_requests([Request(f"incident {identity}", RESOLVE, arguments)], timeout_s=timeout_s)
        left = access.ledger.incidents(incident.symbol)[::-1]
    if row is None:
        raise _no_such(identity)
    if as_json:
        print_json(row)
    else:
        _print_resolved(row, left)


def _no_such(identity: int) -> Failed:
    return Failed(ExitCode.NO, f"no open incident has the number {identity}\nsee celery -A tasks trading incidents")


def _print_resolved(row: Row, left: Sequence[Row]) -> None:
    """Print the resolution and the symbol's remaining incidents."""
    for step in row.get("adopted", ()):
        click.echo(f"adopted for {row['strategy']}: {step}")
    if row.get("found"):
        click.echo(row["found"])
    click.echo(f"incident {row['id']} of {row['symbol']} is resolved: {row['kind']}: {row['reason']}")
    if others := [number for number in row.get("closed", ()) if number != row["id"]]:
        click.echo(f"also resolved: {', '.join(map(str, others))}")
    for one in left:
        click.echo(f"still open: incident {one['id']}, {one['kind']}: {one['reason']}")


def _finding(row: Row) -> Text:
    if row["resolved_at_ms"] is None:
        return Text(row["reason"])
    return Text.assemble(
        row["reason"], (f"\nresolved {format_second(row['resolved_at_ms'])}: {row['resolution']}", "dim")
    )


def _halts(row: Row) -> Text:
    if row["resolved_at_ms"] is not None:
        return Text("resolved", style="dim")
    return Text("halts", style="bold red") if row["halts"] else Text("open", style="yellow")


COLUMNS = (
    Column("id", lambda row: str(row["id"]), is_number=True, style="bold"),
    Column("since (UTC)", lambda row: format_second(row["opened_at_ms"])),
    Column("symbol", lambda row: row["symbol"], style="bold"),
    Column("state", _halts),
    Column("kind", lambda row: row["kind"]),
    Column("key", lambda row: row["key"], least_width=MIDDLE, style="dim"),
    Column("finding", _finding, is_prose=True),
)
