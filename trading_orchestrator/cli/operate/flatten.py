"""`trading flatten`: close the open positions of symbols now."""

from collections.abc import Sequence

import click

from tasks.engine.stages import FLATTEN
from trading.lifecycle import DesiredState
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.operate.control import TIMEOUT, Answer, Request, require_redis, send_requests
from trading_orchestrator.cli.output import print_json

GOOD = ("flat", "closing")
"""Outcomes that need no further request."""


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--reason", required=True, help="Reason to record.")
@click.option("--pause", is_flag=True, help="Pause the symbols first, so that their next signal opens nothing.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
@click.pass_context
def flatten(
    ctx: click.Context, symbols: tuple[str, ...], reason: str, pause: bool, timeout_s: float, as_json: bool
) -> None:
    """Close all open positions of symbols.

    Each symbol's own worker closes them between two pipeline runs and cancels pending entries. An exit that is already
    pending is not sent twice, so the command can be repeated. A symbol that runs may open a position again at its next
    signal, unless --pause is given. Paused and quarantined symbols can be flattened; halted ones are rejected, and
    stopped ones without --pause. Exit code 1 when a position could not be closed.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; state a reason")
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols]
        require_redis(access)
    options = {"reason": reason, **({"pause": True} if pause else {})}
    answers = send_requests([Request(one, FLATTEN, {"symbol": one, **options}) for one in names], timeout_s=timeout_s)
    if as_json:
        print_json(answers)
    else:
        _print_result(answers)
    ctx.exit(ExitCode.OK if all(answer["outcome"] in GOOD for answer in answers) else ExitCode.NO)


def _print_result(answers: Sequence[Answer]) -> None:
    for answer in answers:
        symbol, outcome = answer["symbol"], answer["outcome"]
        click.echo(f"{symbol}: {outcome}" + (f": {answer['refused']}" if answer["refused"] else ""))
        for strategy, rejection in answer["positions"].items():
            click.echo(f"  {strategy}: {rejection['reason']}")
        for strategy, reason in answer["failed"].items():
            click.echo(f"  {strategy}: {reason}")
        for order in answer["unsettled"]:
            click.echo(f"  pending: {order}")
        if outcome in GOOD and answer["desired"] == DesiredState.RUNNING:
            click.echo(
                f"  {symbol} is running and may open a position at its next signal; to prevent that: "
                f"celery -A tasks trading pause {symbol} (or flatten --pause)"
            )
        if answer["desired"] == DesiredState.PAUSED:
            click.echo(f"  {symbol} is paused and opens nothing until: celery -A tasks trading resume {symbol}")
