"""`trading backtest --report`: the page, with what it was made with."""

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
from trading.orders.matching import FillTerms
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.html_report import Making, page_of

LONGEST_NAME = 240
"""Bytes of a file's name: most file systems allow 255, and the page is first written under a longer one."""

_COUNTED = ("numpy", "pandas", "TA-Lib", "litecharts")
_FILLS_AT = {
    "next_open": "market orders fill at the open of the next candle",
    "close": "market orders fill at the close of the candle decided on",
}
_RULES = (
    "A stop or target that the open is at or beyond fills at the open; else a stop that the candle touches fills at "
    "its price, else a target does: where one candle holds both, the stop is hit.",
    "Stops pay spread and slippage, targets do not. Each candle is decided on at its own close.",
)


def writable(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before the replay is run."""
    if path is None:
        return None
    if not path.name:
        raise click.BadParameter("the name is empty; name a file, such as report.html")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise click.BadParameter(f"the name is too long; allowed are {LONGEST_NAME} bytes")
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is no plain file, and a report would take its place; name another one")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"{path}: there is no folder {folder}; make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise click.BadParameter(f"{path} may not be written; name another file")
    return path


def write_page(path: Path, result: BacktestRun, report: Report, system: SystemConfig) -> None:
    """Write the page; a file that is there is replaced, as a whole.

    Raises:
        Failed: It cannot be written.
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
    """Return how a page was made: when, by which command, with which configuration and versions."""
    fills = [_told(symbol, system.symbols[symbol].venue.backtest_fills(symbol)) for symbol in result.candles]
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


def _told(symbol: str, terms: FillTerms) -> str:
    return (
        f"{symbol}: {_FILLS_AT[terms.fill_at]}; spread {terms.spread:g}, half of it paid at each market and stop fill; "
        f"slippage {terms.slippage:g}; commission {terms.commission_bps:g} basis points of each fill."
    )


def _settings(result: BacktestRun, system: SystemConfig) -> str:
    """Return what was in force, defaults too, as `symbols.yaml` would say it; sources play no part in a replay."""
    symbols = {
        symbol: system.symbols[symbol].model_dump(mode="json", exclude={"source"}, exclude_none=True)
        for symbol in result.candles
    }
    account = system.account.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump({"account": account, "symbols": symbols}, sort_keys=False, allow_unicode=True)
    return text


def _command(arguments: Sequence[str]) -> str:
    return shlex.join([Path(arguments[0]).name, *arguments[1:]])
