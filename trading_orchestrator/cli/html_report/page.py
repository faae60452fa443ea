"""Build the HTML page of the report; it is self-contained and loads nothing.

Configured values reach the page as escaped text or as JSON, never as markup. Its content security policy allows the
two scripts by their hashes, so that injected scripts cannot run.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from msgspec import Struct

from trading.backtest import BacktestRun, Trade
from trading.backtest.report import Report
from trading.backtest.report.downsampling import thinned
from trading.backtest.report.drawdown import depths
from trading.backtest.report.statistics import trade_return, with_start
from trading.formatting import format_minute
from trading.orders.orders import Side
from trading_orchestrator.cli.html_report import markup
from trading_orchestrator.cli.html_report.candle_encoding import pack

MOST_BARS = 600_000
"""Maximum number of bars on a page, of all symbols, at about 6 bytes each; more candles are merged."""

MOST_TRADES = 20_000
"""Maximum number of trades on a page; the newest are kept."""

_CURVE_PARTS = 1_000
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Making(Struct, frozen=True):
    """Provenance of a page.

    Attributes:
        made_at: Aware instant.
        command: Command line.
        settings: Effective configuration, as text.
        fills: Sentences on how orders were filled.
        versions: Versions of the libraries used, by name.
    """

    made_at: datetime
    command: str
    settings: str
    fills: Sequence[str]
    versions: Mapping[str, str]


def page_of(result: BacktestRun, report: Report, making: Making) -> str:
    """Return the HTML of a report."""
    here = files("trading_orchestrator.cli.html_report")
    library = files("litecharts").joinpath("js/lightweight-charts.js").read_text(encoding="utf-8")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    title = f"Backtest of {', '.join(result.candles)}"
    return Template(here.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=markup.text(title),
        currency=markup.text(result.currency),
        policy=f"{_POLICY}; script-src {_hash(library)} {_hash(script)}",
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        span=markup.text(_span(result)),
        caveat=markup.caveat(report.statistics),
        headlines=markup.headlines(report),
        metrics=markup.metrics(report),
        tables=markup.tables(report),
        fills=markup.sentences(making.fills),
        command=markup.text(making.command),
        settings=markup.text(making.settings),
        made_at=markup.text(f"{making.made_at:%Y-%m-%d %H:%M %Z}"),
        versions=markup.text(", ".join(f"{name} {version}" for name, version in making.versions.items())),
        content=_json(_content(result)),
        library=library,
        script=script,
    )


def _span(result: BacktestRun) -> str:
    spans = [
        f"{symbol} {result.timeframes[symbol]}: {len(candles):,} candles, {format_minute(int(candles.open_ms[0]))} to "
        f"{format_minute(candles.last_open_ms)} UTC"
        for symbol, candles in result.candles.items()
    ]
    return f"account {result.account} · " + " · ".join(spans)


def _content(result: BacktestRun) -> dict[str, Any]:
    """Return the data that the script draws."""
    symbols = list(result.candles)
    start_ms = min(int(candles.open_ms[0]) for candles in result.candles.values())
    at_ms, worth = with_start(result.equity, start_ms, result.starting_balance)
    places = thinned(worth, parts=_CURVE_PARTS)
    return {
        "startingBalance": result.starting_balance,
        "moneyDecimals": result.money_decimals,
        "equity": {
            "time": (at_ms[places] // 1000).tolist(),
            "equity": np.round(worth[places], result.money_decimals).tolist(),
            "drawdown": np.round(depths(worth)[places], 6).tolist(),
        },
        "symbols": [
            pack(symbol, result.timeframes[symbol], candles, most=MOST_BARS // len(symbols))
            for symbol, candles in result.candles.items()
        ],
        "trades": [_row(trade, symbols, result.money_decimals) for trade in result.trades[-MOST_TRADES:]],
        "leftOut": max(len(result.trades) - MOST_TRADES, 0),
    }


def _row(trade: Trade, symbols: Sequence[str], decimals: int) -> list[Any]:
    """Return a trade in the order that `page.js` reads."""
    return [
        symbols.index(trade.symbol),
        trade.strategy,
        trade.side is Side.BUY,
        trade.units,
        trade.entry_ms // 1000,
        trade.entry_price,
        None if trade.exit_ms is None else trade.exit_ms // 1000,
        trade.exit_price,
        round(trade.profit, max(decimals, 4)),
        trade_return(trade),
        trade.exit_reason,
        trade.stop_loss,
        trade.take_profit,
    ]


def _json(content: Any) -> str:
    """Return JSON that cannot close its script element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"
