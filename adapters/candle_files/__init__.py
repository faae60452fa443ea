"""Candle files of other programs: read without silent losses, and convert."""

from adapters.candle_files.convert import Converted, Loss, convert
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.local_times import NO_TIME
from adapters.candle_files.raw_rows import RawCandles, read_raw
from adapters.candle_files.write import SUFFIXES, write_candles
from trading.market.time_zones import Zone, zone_of

__all__ = [
    "NO_TIME",
    "SUFFIXES",
    "CandleFileError",
    "Converted",
    "Loss",
    "RawCandles",
    "Zone",
    "convert",
    "read_raw",
    "write_candles",
    "zone_of",
]
