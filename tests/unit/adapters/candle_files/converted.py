"""Files of other programs, converted, for the tests of candle files."""

import gzip
from pathlib import Path

import pandas as pd

NOW_MS = int(pd.Timestamp("2026-06-01T00:00Z").timestamp() * 1000)
ROWS = ((1.0, 1.3, 0.9, 1.2, 10.0), (1.2, 1.4, 1.1, 1.3, 20.0), (1.3, 1.5, 1.2, 1.4, 30.0))
AT_NINE = (1704187800000, 1704187860000, 1704187920000)  # 2 January 2024, 09:30, 09:31 and 09:32 UTC
WRITTEN: dict[str, tuple[str, str | None]] = {
    "own": (
        "timestamp,open,high,low,close,volume\n"
        "2024-01-02T09:30:00Z,1,1.3,0.9,1.2,10\n2024-01-02T09:31:00Z,1.2,1.4,1.1,1.3,20\n"
        "2024-01-02T09:32:00Z,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "metatrader 5": (
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.01.02\t11:30:00\t1\t1.3\t0.9\t1.2\t10\t0\t5\n2024.01.02\t11:31:00\t1.2\t1.4\t1.1\t1.3\t20\t0\t5\n"
        "2024.01.02\t11:32:00\t1.3\t1.5\t1.2\t1.4\t30\t0\t5\n",
        "America/New_York+7h",
    ),
    "metatrader 4": (
        "2024.01.02,09:30,1,1.3,0.9,1.2,10\n2024.01.02,09:31,1.2,1.4,1.1,1.3,20\n2024.01.02,09:32,1.3,1.5,1.2,1.4,30\n",
        "UTC",
    ),
    "binance in milliseconds": (
        "1704187800000,1,1.3,0.9,1.2,10,1704187859999,0,3,0,0,0\n"
        "1704187860000,1.2,1.4,1.1,1.3,20,1704187919999,0,3,0,0,0\n"
        "1704187920000,1.3,1.5,1.2,1.4,30,1704187979999,0,3,0,0,0\n",
        None,
    ),
    "binance in microseconds from the second row on": (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n"
        "1704187800000,1,1.3,0.9,1.2,10,1704187859999,0,3,0,0,0\n"
        "1704187860000000,1.2,1.4,1.1,1.3,20,1704187919999999,0,3,0,0,0\n"
        "1704187920000000,1.3,1.5,1.2,1.4,30,1704187979999999,0,3,0,0,0\n",
        None,
    ),
    "dukascopy in GMT": (
        "Gmt time,Open,High,Low,Close,Volume\n"
        "02.01.2024 09:30:00.000,1,1.3,0.9,1.2,10\n02.01.2024 09:31:00.000,1.2,1.4,1.1,1.3,20\n"
        "02.01.2024 09:32:00.000,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "dukascopy in local time": (
        "Local time,Open,High,Low,Close,Volume\n"
        "02.01.2024 10:30:00.000 GMT+0100,1,1.3,0.9,1.2,10\n02.01.2024 10:31:00.000 GMT+0100,1.2,1.4,1.1,1.3,20\n"
        "02.01.2024 10:32:00.000 GMT+0100,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "with a line above the header, newest first": (
        "https://www.example.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
        "1704187920,2024-01-02 09:32:00,BTC/USDT,1.3,1.5,1.2,1.4,30,99\n"
        "1704187860,2024-01-02 09:31:00,BTC/USDT,1.2,1.4,1.1,1.3,20,99\n"
        "1704187800,2024-01-02 09:30:00,BTC/USDT,1,1.3,0.9,1.2,10,99\n",
        None,
    ),
    "histdata": (
        "20240102 043000;1;1.3;0.9;1.2;10\n20240102 043100;1.2;1.4;1.1;1.3;20\n20240102 043200;1.3;1.5;1.2;1.4;30\n",
        "America/New_York",
    ),
    "kraken": (
        "1704187800,1,1.3,0.9,1.2,10,4\n1704187860,1.2,1.4,1.1,1.3,20,4\n1704187920,1.3,1.5,1.2,1.4,30,4\n",
        None,
    ),
    "with decimal commas": (
        "Date;Time;Open;High;Low;Close;Volume\n"
        "02.01.2024;09:30;1,0;1,3;0,9;1,2;10\n02.01.2024;09:31;1,2;1,4;1,1;1,3;20\n02.01.2024;09:32;1,3;1,5;1,2;1,4;30\n",
        "UTC",
    ),
    "with quotes, spaces and another order": (
        '"Close", "Low", "High", "Open", "Vol", "Datetime"\n'
        '"1.2", "0.9", "1.3", "1", "10", "2024-01-02 09:30:00+00:00"\n'
        '"1.3", "1.1", "1.4", "1.2", "20", "2024-01-02 09:31:00+00:00"\n'
        '"1.4", "1.2", "1.5", "1.3", "30", "2024-01-02 09:32:00+00:00"\n',
        None,
    ),
    "with UTC behind the time": (
        "time,o,h,l,c,v\n2024-01-02 09:30:00 UTC,1,1.3,0.9,1.2,10\n2024-01-02 09:31:00 UTC,1.2,1.4,1.1,1.3,20\n"
        "2024-01-02 09:32:00 UTC,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "packed into one number": (
        "date,open,high,low,close,volume\n20240102093000,1,1.3,0.9,1.2,10\n20240102093100,1.2,1.4,1.1,1.3,20\n"
        "20240102093200,1.3,1.5,1.2,1.4,30\n",
        "UTC",
    ),
}


def written(folder: Path, text: str, name: str = "in.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def own_rows(*lines: str) -> str:
    return "\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n"


def minutes(*opens: int, price: float = 1.0) -> list[str]:
    return [f"2024-01-02T09:{minute:02}:00Z,{price},{price},{price},{price},1" for minute in opens]
