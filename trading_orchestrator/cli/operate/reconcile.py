"""`trading reconcile`: compare ledger and venue now."""

from collections.abc import Sequence

import click

from tasks.engine.stages import RECONCILE
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.operate.control import TIMEOUT, Answer, Request, ask, need_redis
from trading_orchestrator.cli.output import print_json

GOOD = ("agreed", "disabled")
"""Outcomes after which nobody has to do anything; `disabled` where the configuration lets nothing be sent."""


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--reason", default="asked for on the command line", show_default=True, help="Why, for the record.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
@click.pass_context
def reconcile(ctx: click.Context, symbols: tuple[str, ...], reason: str, timeout_s: float, as_json: bool) -> None:
    """Settle open orders, and compare ledger and venue.

    Of all symbols, or of those named. Each symbol's own worker does it, between two chains. Exit code 1 when something
    could not be settled, or a person must look at it.
    """
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols] or list(access.system.symbols)
        need_redis(access)
    requests = [Request(one, RECONCILE, {"symbol": one, "reason": reason}) for one in names]
    answers = ask(requests, timeout_s=timeout_s)
    if as_json:
        print_json(answers)
    else:
        _tell(answers)
    ctx.exit(ExitCode.OK if all(answer["outcome"] in GOOD for answer in answers) else ExitCode.NO)


def _tell(answers: Sequence[Answer]) -> None:
    for answer in answers:
        click.echo(f"{answer['symbol']}: {answer['outcome']}")
        for action in answer["actions"]:
            click.echo(f"  {action['action']}: {action['found']}")
