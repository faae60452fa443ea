"""`trading backtest --report`: write the HTML report."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import yaml

from configs.loading import SystemConfig
from trading.backtest import BacktestRun
from trading.backtest.report import Report
from trading.formatting import format_price
from trading.orders.fill_terms import FillTerms
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.html_report import Making, page_of

LONGEST_NAME = 240
"""Bytes of a file name: most file systems allow 255, and the page is first written under a longer name."""

_COUNTED = ("numpy", "pandas", "TA-Lib", "litecharts")
_FILLS_AT = {
    "next_open": "market orders fill at the open of the next candle",
    "close": "market orders fill at the close of the candle that gave the signal",
}
_RULES = (
    "A stop or target fills at the open if the open is at or beyond its price; otherwise it fills at its own price if "
    "the candle touches it. If a candle touches both, the stop fills.",
    "Stops pay spread and slippage, targets do not. Each candle is decided at its own close.",
)


def writable(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Reject a file that cannot be written, before the backtest runs."""
    if path is None:
        return None
    if not path.name:
        raise click.BadParameter("the name is empty; name a file, such as report.html")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise click.BadParameter(f"the name is too long; at most {LONGEST_NAME} bytes are allowed")
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is not a regular file and would be replaced; name another one")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"{path}: the folder does not exist ({folder}); create it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise click.BadParameter(f"{path} is not writable; name another file")
    return path


def write_page(path: Path, result: BacktestRun, report: Report, system: SystemConfig) -> None:
    """Write the page atomically; replace an existing file.

    Raises:
        Failed: The file cannot be written.
    """
    page = page_of(result, report, making_of(result, system, _command(sys.argv)))
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(page, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise Failed(ExitCode.NO, f"--report {path}: {error.strerror}; name another file") from error


def making_of(result: BacktestRun, system: SystemConfig, command: str) -> Making:
    """Return how a page was made: time, command, configuration and versions."""
    fills = [_fill_terms_text(symbol, system.symbols[symbol].backtest_fills(symbol)) for symbol in result.candles]
    return Making(
        made_at=datetime.now(UTC),
        command=command,
        settings=_settings(result, system),
        fills=[*fills, *_RULES],
        versions={
            "trading-orchestrator": version("trading-orchestrator"),
            "Python": platform.python_version(),
            **{name: version(name) for name in _COUNTED},
        },
    )


def _fill_terms_text(symbol: str, terms: FillTerms) -> str:
    return (
        f"{symbol}: {_FILLS_AT[terms.fill_at]}; spread {format_price(terms.spread)}, half of it paid at each market "
        f"and stop fill; slippage {format_price(terms.slippage)}; commission {_commission_text(terms)}."
    )


def _commission_text(terms: FillTerms) -> str:
    parts = [
        (terms.commission_bps, "basis points of each fill"),
        (terms.commission_per_unit, "for each unit"),
        (terms.commission_per_order, "for each order"),
    ]
    text = " plus ".join(f"{format_price(amount)} {what}" for amount, what in parts if amount)
    least = f", at least {format_price(terms.min_commission)} for each order" if terms.min_commission else ""
    return (text or "0 basis points of each fill") + least


def _settings(result: BacktestRun, system: SystemConfig) -> str:
    """Return the effective configuration as YAML, including defaults; sources have no part in a backtest."""
    symbols = {
        symbol: system.symbols[symbol].model_dump(mode="json", exclude={"source"}, exclude_none=True)
        for symbol in result.candles
    }
    account = system.account.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump({"account": account, "symbols": symbols}, sort_keys=False, allow_unicode=True)
    return text


def _command(arguments: Sequence[str]) -> str:
    return shlex.join([Path(arguments[0]).name, *arguments[1:]])
