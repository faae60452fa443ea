"""`trading health` and `trading clear-quarantine`."""

import click
from rich.console import Group
from rich.text import Text

from tasks.orchestrators.factory import MultiSymbolTradingOrchestrator
from trading.formatting import format_second
from trading.lifecycle import SymbolState
from trading.orchestration.multi_symbol_orchestrator import SystemHealth
from trading.orchestration.phase import Phase, PhaseKind
from trading.orchestration.symbol_orchestrator import SymbolHealth
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.operate.control import TIMEOUT, Request, require_redis, send_requests
from trading_orchestrator.cli.output import MIDDLE, Column, make_console, print_json, table
from trading_orchestrator.launcher.status_table import STYLES, in_two_lines, uptime

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@JSON
def health(as_json: bool) -> None:
    """Show each symbol's health, its problems and the recovery actions taken.

    Reads Redis and the ledger, so it needs no running worker. Exit code 1 when a symbol is unhealthy.
    """
    with Access() as access:
        found = MultiSymbolTradingOrchestrator.connect(access.settings).check_health()
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found["is_healthy"]:
        raise click.exceptions.Exit(ExitCode.NO)


@click.command("clear-quarantine")
@click.argument("symbol")
@click.option("--reason", required=True, help="Finding and action taken, to record.")
@TIMEOUT
@JSON
def clear_quarantine(symbol: str, reason: str, timeout_s: float, as_json: bool) -> None:
    """Release a symbol from quarantine.

    The symbol restarts, is reconciled with its venue and catches up. Exit code 1 when it was not quarantined.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; state the finding and the action taken")
    with Access() as access:
        access.known(symbol)
        require_redis(access)
    request = Request(symbol, "tasks.clear_quarantine", {"symbol": symbol, "reason": reason})
    (answer,) = send_requests([request], timeout_s=timeout_s)
    if not answer["was_quarantined"]:
        raise Failed(ExitCode.NO, f"{symbol} is not quarantined; its state is {answer['state']}")
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{symbol}: quarantine cleared, {answer['state']}")


def _show(found: SystemHealth) -> None:
    console = make_console()
    is_well = found["is_healthy"]
    head = Text.assemble(
        (
            f"{found['healthy_symbols']} of {found['total_symbols']} symbols are healthy",
            "green" if is_well else "bold red",
        ),
        ("" if found["redis_connected"] else "   Redis does not answer", "bold red"),
    )
    console.show(Group(head, Text(), table(COLUMNS, found["symbols"].values(), width=console.width)))


def _state(row: SymbolHealth) -> Text:
    if row["state"] != SymbolState.RUNNING:
        return Text(row["state"], style=STYLES.get(row["state"], "bold red"))
    kind = PhaseKind(row["phase"])
    phase = Phase(kind, row["market_opens_ms"], row["warmup_candles"] or 0, row["warmup_needed"] or 0)
    return Text(in_two_lines(str(phase)), style=STYLES[kind])


def _wrong(row: SymbolHealth) -> Text:
    if not row["sicknesses"] and row["last_error"]:
        last = row["last_error"]
        return Text(f"none now; last error {format_second(last['at_ms'])} UTC: {last['text']}", style="yellow")
    if not row["sicknesses"]:
        return Text(row["reason"] if not row["is_healthy"] else "-", style="" if row["is_healthy"] else "red")
    lines = [
        Text.assemble((sickness["kind"], "bold red"), f" {sickness['service']}".rstrip(), f": {sickness['reason']}")
        for sickness in row["sicknesses"]
    ]
    return Text("\n").join(lines)


COLUMNS = (
    Column("symbol", lambda row: row["symbol"], style="bold"),
    Column("state", _state),
    Column("for", lambda row: uptime(row["uptime"]) if row["uptime"] else "-"),
    Column("services", lambda row: f"{row['healthy_services']}/{row['total_services']}", is_number=True),
    Column("errors", lambda row: str(row["errors"]), is_number=True),
    Column("wanted", lambda row: row["desired"], least_width=MIDDLE),
    Column("problem", _wrong, is_prose=True),
)
