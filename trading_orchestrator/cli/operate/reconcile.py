"""`trading reconcile`: compare ledger and venue now."""

from collections.abc import Sequence

import click

from tasks.engine.stages import RECONCILE
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.operate.control import TIMEOUT, Answer, Request, require_redis, send_requests
from trading_orchestrator.cli.output import print_json

GOOD = ("agreed", "disabled")
"""Outcomes that need no action; `disabled`: the configuration sends no orders."""


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--reason", default="requested on the command line", show_default=True, help="Reason to record.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
@click.pass_context
def reconcile(ctx: click.Context, symbols: tuple[str, ...], reason: str, timeout_s: float, as_json: bool) -> None:
    """Settle open orders and compare the ledger with the venue.

    Without SYMBOL, of all symbols. Each symbol's own worker reconciles between two pipeline runs. Exit code 1 when an
    order could not be settled or an incident needs an operator.
    """
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols] or list(access.system.symbols)
        require_redis(access)
    requests = [Request(one, RECONCILE, {"symbol": one, "reason": reason}) for one in names]
    answers = send_requests(requests, timeout_s=timeout_s)
    if as_json:
        print_json(answers)
    else:
        _print_result(answers)
    ctx.exit(ExitCode.OK if all(answer["outcome"] in GOOD for answer in answers) else ExitCode.NO)


def _print_result(answers: Sequence[Answer]) -> None:
    for answer in answers:
        click.echo(f"{answer['symbol']}: {answer['outcome']}")
        for action in answer["actions"]:
            click.echo(f"  {action['action']}: {action['found']}")
