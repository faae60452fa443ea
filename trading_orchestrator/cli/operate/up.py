"""`trading up`: the whole system in one terminal."""

import click

from configs.loading import load_system
from configs.settings import load_settings
from trading_orchestrator.cli.params import Whole
from trading_orchestrator.launcher.launcher import run


@click.command()
@click.option(
    "--symbols-per-worker",
    type=Whole(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many symbols share one worker process.",
)
@click.option("--no-table", is_flag=True, help="Log lines instead of the live table.")
@click.option("--no-flower", is_flag=True, help="Do not start Flower.")
@click.pass_context
def up(ctx: click.Context, symbols_per_worker: int, no_table: bool, no_flower: bool) -> None:
    """Start everything: Redis, workers, beat, Flower.

    Runs until Ctrl-C, then shuts down in order; a second Ctrl-C stops at once, with exit code 130.
    """
    settings = load_settings()
    system = load_system(settings.config_dir)
    exit_code = run(settings, system, symbols_per_worker=symbols_per_worker, table=not no_table, flower=not no_flower)
    ctx.exit(exit_code)
