"""The remedy of each finding of `trading candles check`."""

from collections.abc import Mapping

DROPS = "candles convert drops such rows"

REMEDIES: Mapping[str, str] = {
    "no time": f"--time-format FORMAT or --column time=NAME; {DROPS}",
    "not a number": f"--decimal SIGN; --column volume=none if only the volume is missing; {DROPS}",
    "not positive": "--allow-non-positive-prices, and allow_non_positive_prices: true for the symbol, if prices may be "
    f"zero or below; else {DROPS}",
    "crossed": f"--clip widens high and low; --column names exchanged columns; {DROPS}",
    "negative volume": f"--column volume=NAME or volume=none; {DROPS}",
    "before 1970": f"{DROPS}",
    "duplicate": "candles convert keeps the last one; --where NAME=VALUE chooses one of several securities",
    "unsorted": "candles convert sorts the rows",
    "off the grid": f"--stamped-at-close, --timezone ZONE or --timeframe TIMEFRAME; {DROPS}",
    "unfinished": "candles convert drops candles that are not over; read the file again later",
    "gap": "download the missing candles; a backtest reports them and continues; --symbol NAME takes its trading hours",
    "outside hours": "--drop-closed leaves them out; else correct --timezone, or the session of the symbol",
    "closed hours": "they are left out of play; candles convert --drop-closed writes a file without them",
    "time zone": "--timezone ZONE, such as America/New_York+7h",
    "time unit": "--time-format seconds or --time-format milliseconds, if the unit is wrong",
    "jump": "compare with another source: a split, another contract or another unit; --where chooses one contract",
    "thin end": "download the last candle again, or end a backtest before it with --to",
}
"""By the name of the check."""
