"""`trading candles`: check, convert and resample candle files."""

import click

from trading_orchestrator.cli.candles.check import check
from trading_orchestrator.cli.candles.convert import convert_file, resample_file
from trading_orchestrator.cli.params import CommandGroup


@click.group(cls=CommandGroup)
def candles() -> None:
    """Check, convert and resample candle files.

    Reads CSV (plain or gzipped) and Parquet in this system's layout, those of MetaTrader, Binance and Dukascopy, and
    most layouts with a header.
    """


for command in (check, convert_file, resample_file):
    candles.add_command(command)
