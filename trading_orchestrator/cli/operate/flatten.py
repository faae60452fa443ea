"""`trading flatten`: close all that is open of symbols, now."""

from collections.abc import Sequence

import click

from tasks.engine.stages import FLATTEN
from trading.lifecycle import DesiredState
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.operate.control import TIMEOUT, Answer, Request, ask, need_redis
from trading_orchestrator.cli.output import print_json

GOOD = ("flat", "closing")
"""Outcomes after which nobody has to ask again."""


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--reason", required=True, help="Why, for the record.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
@click.pass_context
def flatten(ctx: click.Context, symbols: tuple[str, ...], reason: str, timeout_s: float, as_json: bool) -> None:
    """Close all that is open of symbols, without a signal.

    Each symbol's own worker does it, between two chains. Entries that are on their way are withdrawn. What is on its
    way out is not sent twice, so it may be asked for again. It works while a symbol is paused or quarantined, and is
    refused while one is stopped or halted. Exit code 1 when something could not be closed.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why")
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols]
        need_redis(access)
    answers = ask([Request(one, FLATTEN, {"symbol": one, "reason": reason}) for one in names], timeout_s=timeout_s)
    if as_json:
        print_json(answers)
    else:
        _tell(answers)
    ctx.exit(ExitCode.OK if all(answer["outcome"] in GOOD for answer in answers) else ExitCode.NO)


def _tell(answers: Sequence[Answer]) -> None:
    for answer in answers:
        symbol, outcome = answer["symbol"], answer["outcome"]
        click.echo(f"{symbol}: {outcome}" + (f": {answer['refused']}" if answer["refused"] else ""))
        for strategy, said in answer["positions"].items():
            click.echo(f"  {strategy}: {said['reason']}")
        for order in answer["unsettled"]:
            click.echo(f"  on its way: {order}")
        if outcome in GOOD and answer["desired"] == DesiredState.RUNNING:
            click.echo(
                f"  {symbol} runs, and may open again at its next signal: celery -A tasks trading pause {symbol}"
            )
