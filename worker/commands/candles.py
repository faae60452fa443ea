"""`trading candles`: check, convert and resample files of candles."""

import click

from worker.commands.candles_check import check
from worker.commands.candles_make import convert_file, resample_file
from worker.commands.groups import Verb


@click.group(cls=Verb)
def candles() -> None:
    """Check, convert and resample files of candles.

    CSV (plain or gzipped) and Parquet, as this system writes them or as others do: MetaTrader, Binance, Dukascopy and
    most that have a header.
    """


for command in (check, convert_file, resample_file):
    candles.add_command(command)
