"""`trading doctor`: check the environment of the system."""

import click
from rich.text import Text

from configs.settings import load_settings
from trading.structs import asdict
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.output import Column, make_console, print_json, table
from trading_orchestrator.launcher.doctor import examine
from worker.checks.check import Check, Health, is_fit

STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check everything that the system depends on.

    Prints the finding, and the action where one is needed, for configuration, Redis, ledger, paper books, clocks and
    disks. Exit code 1 when a check fails.
    """
    checks = examine(load_settings())
    is_well = is_fit(checks)
    if as_json:
        print_json({"ok": is_well, "checks": [asdict(check) for check in checks]})
    else:
        console = make_console()
        console.show(table(COLUMNS, checks, width=console.width))
    ctx.exit(ExitCode.OK if is_well else ExitCode.NO)


def _found(check: Check) -> Text:
    return Text.assemble(check.found, *([("\n" + check.remedy, "yellow")] if check.remedy else []))


COLUMNS = (
    Column("check", lambda check: check.name, style="bold"),
    Column("", lambda check: Text(check.health.value, style=STYLES[check.health])),
    Column("finding and action", _found, is_prose=True),
)
