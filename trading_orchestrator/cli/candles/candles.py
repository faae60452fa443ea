"""`trading candles`: check, convert and resample files of candles."""

import click

from trading_orchestrator.cli.candles.check import check
from trading_orchestrator.cli.candles.convert import convert_file, resample_file
from trading_orchestrator.cli.params import CommandGroup


@click.group(cls=CommandGroup)
def candles() -> None:
    """Check, convert and resample files of candles.

    CSV (plain or gzipped) and Parquet, as this system writes them or as others do: MetaTrader, Binance, Dukascopy and
    most that have a header.
    """


for command in (check, convert_file, resample_file):
    candles.add_command(command)
