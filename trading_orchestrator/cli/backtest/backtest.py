"""`trading backtest` on recorded candles, and `trading replay` of a recorded live run."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from adapters.backtest.backtest import run_backtest
from adapters.candle_files.play import Recording, check_command, read_recording
from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system, symbols_file
from configs.plugins.candle_files import CandleFileOptions
from configs.settings import OVERRIDE_SECTIONS, PREFIX, load_settings
from trading.backtest.report import report_of
from trading.errors import UnknownSymbol
from trading_orchestrator.cli.backtest.replay_journal import replay_journal
from trading_orchestrator.cli.backtest.report_file import writable, write_page
from trading_orchestrator.cli.backtest.summary import as_dict, show
from trading_orchestrator.cli.candles.files import PlayedFile, options_for
from trading_orchestrator.cli.candles.gaps import exit_on_bad_candle, missing_in
from trading_orchestrator.cli.candles.options import candle_file_options
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import print_json, progress_bar
from trading_orchestrator.cli.params import Finite, in_order, instant

MOST_PERIODS = 366
"""Days of a year at most: returns are daily."""


@click.command()
@click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="A configured symbol.")
@click.option(
    "--candles",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Its candle file, one for each --symbol in the same order; default: the file of its configured source.",
)
@click.option("--from", "from_ms", callback=instant, metavar="TIME", help="First candle to trade on; UTC.")
@click.option("--to", "to_ms", callback=instant, metavar="TIME", help="End of the range, exclusive; UTC.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a configured value, such as strategy.params.fast=20 or account.max_daily_loss=500; repeatable.",
)
@click.option("--close-at-end", is_flag=True, help="Close open positions at the last close of their symbol.")
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    metavar="FILE",
    help="Write an HTML report that works offline; an existing FILE is replaced.",
)
@click.option(
    "--periods-per-year",
    type=Finite(min=0, min_open=True, max=MOST_PERIODS),
    metavar="NUMBER",
    help="Days per year for annualised metrics; default: 252 for weeks of five days, 304 of six, 365 of seven.",
)
@candle_file_options
@click.option("--definitions", is_flag=True, help="Also print the other Sharpe ratio and volatility, with definitions.")
@click.option("--json", "as_json", is_flag=True, help="Print the full result as one JSON object.")
def backtest(
    symbols: tuple[str, ...],
    files: tuple[Path, ...],
    options: CandleFileOptions,
    from_ms: int | None,
    to_ms: int | None,
    settings: tuple[str, ...],
    close_at_end: bool,
    page: Path | None,
    periods_per_year: float | None,
    definitions: bool = False,
    as_json: bool = False,
) -> None:
    """Run a backtest on recorded candles.

    Uses the services, risk rules, limits and fill rules of live trading, in one process. No orders are sent, and Redis
    and the ledger are not used. Several symbols are merged by time and share the account; of candles that close at the
    same time, the symbol named first is decided first.

    A KEY of --set applies to each --symbol unless it begins with account, services or symbols.NAME. The options that
    read a file apply to each FILE; without --candles they come before the keys of the configured source.
    """
    in_order(from_ms, to_ms)
    if not symbols:
        raise click.UsageError("Missing option '--symbol': name a symbol")
    system = configured(symbols, settings)
    sources = played(system, symbols, files, options)
    recordings = recorded(system, sources)
    candles = {symbol: one.candles for symbol, one in recordings.items()}
    with exit_on_bad_candle(sources), progress_bar("backtest") as bar:
        whole = sum(len(one) for one in candles.values())
        begun_s = time.perf_counter()
        try:
            result = run_backtest(
                system,
                candles,
                from_ms=from_ms,
                to_ms=to_ms,
                close_at_end=close_at_end,
                on_progress=lambda done: bar.show(done, whole),
            )
        except ValueError as error:
            raise Failed(ExitCode.NO, str(error)) from error
        took_s = time.perf_counter() - begun_s
    report = report_of(result, periods_per_year=periods_per_year)
    if page is not None:
        write_page(page, result, report, system)
    missing = {
        symbol: missing_in(one, result.timeframes[symbol], system.symbols[symbol].session, recordings[symbol].closed_ms)
        for symbol, one in result.candles.items()
    }
    closed = {symbol: len(one.closed_ms) for symbol, one in recordings.items()}
    if as_json:
        print_json(as_dict(result, report, missing, closed))
    else:
        show(result, report, missing, closed, took_s, with_other_definitions=definitions)
        if page is not None:
            click.echo(f"report: {page}")


@click.command()
@click.argument("names", nargs=-1, metavar="SYMBOL...")
@click.option("--from", "from_ms", callback=instant, metavar="TIME", help="First candle to replay; UTC.")
@click.option("--to", "to_ms", callback=instant, metavar="TIME", help="End of the range, exclusive; UTC.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a configured value, such as strategy.params.fast=20 or account.max_daily_loss=500; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the full result as one JSON object.")
@click.option("--journal", "journaled", multiple=True, hidden=True)
@click.option("--symbol", "symbols", multiple=True, hidden=True)
@click.option(
    "--candles", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False, exists=True), hidden=True
)
@click.option("--close-at-end", is_flag=True, hidden=True)
@click.option("--report", "page", type=click.Path(path_type=Path, dir_okay=False), callback=writable, hidden=True)
@click.option("--periods-per-year", type=Finite(min=0, min_open=True, max=MOST_PERIODS), hidden=True)
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    settings: tuple[str, ...],
    as_json: bool,
    journaled: tuple[str, ...],
    **of_backtest: Any,
) -> None:
    """Replay a recorded live run and compare the results.

    Feeds the recorded inputs of each SYMBOL, and of the symbols that share its account, to the same services again.
    Prints the first difference, or "identical". Exit code 1 when something differs.

    A KEY of --set applies to each SYMBOL unless it begins with account, services or symbols.NAME.
    """
    in_order(from_ms, to_ms)
    if chosen := (*names, *journaled):
        if journaled:
            _warn_renamed("replay --journal SYMBOL", "replay SYMBOL")
        _refuse_with_journal({f"--{name.replace('_', '-')}": value for name, value in of_backtest.items()})
        replay_journal(configured(chosen, settings), chosen, from_ms=from_ms, to_ms=to_ms, as_json=as_json)
    elif of_backtest["symbols"]:
        _warn_renamed("replay --symbol SYMBOL", "backtest --symbol SYMBOL")
        ctx.invoke(backtest, from_ms=from_ms, to_ms=to_ms, settings=settings, as_json=as_json, **of_backtest)
    else:
        raise click.UsageError("Missing argument 'SYMBOL...': name a symbol; `trading backtest` runs on candle files")


def _warn_renamed(former: str, now: str) -> None:
    click.echo(f"warning: {former} is now {now}; the former spelling is removed in the next release", err=True)


def _refuse_with_journal(given: Mapping[str, object]) -> None:
    """Reject the options of a backtest, which have no effect on a replay."""
    given = {
        {"--files": "--candles", "--page": "--report", "--symbols": "--symbol"}.get(name, name): value
        for name, value in given.items()
    }
    clash = ", ".join(name for name, value in given.items() if value)
    if clash:
        raise click.UsageError(
            f"{clash} cannot be combined with a replay, which uses the recorded candles; allowed are --from, --to, "
            "--set and --json"
        )


def configured(symbols: Sequence[str], settings: Sequence[str]) -> SystemConfig:
    """Load the configuration with the overrides of the command line.

    Raises:
        ConfigError: Lists every error; errors of the command line by their option.
        UnknownSymbol: A symbol is not configured.
    """
    names = dict(_override(text, symbol) for text in settings for symbol in symbols)
    try:
        system = load_system(
            load_settings().config_dir, {**os.environ, **{name: value for name, (_, value) in names.items()}}
        )
    except ConfigError as error:
        raise ConfigError([_with_given_names(fault, names) for fault in error.faults]) from error
    for symbol in symbols:
        if symbol not in system.symbols:
            raise UnknownSymbol(symbol, tuple(system.symbols), symbols_file(load_settings()))
    return system


def recorded(system: SystemConfig, files: Mapping[str, PlayedFile]) -> Mapping[str, Recording]:
    """Read the candles of each symbol."""
    found = {}
    for name, (path, options) in files.items():
        config = system.symbols[name]
        try:
            found[name] = read_recording(path, timeframe=config.timeframe, options=options, session=config.session)
        except ValueError as error:
            look = (
                f"\nlist what is wrong with it, and the remedies: {check_command(path, options)}"
                if path.is_file()
                else ""
            )
            raise Failed(ExitCode.NO, f"{name}: {error}{look}") from error
    return found


def played(
    system: SystemConfig, symbols: Sequence[str], files: Sequence[Path], options: CandleFileOptions
) -> Mapping[str, PlayedFile]:
    """Return the file of each symbol: the one on the command line, else the one of its configured source."""
    if len(set(symbols)) < len(symbols):
        raise click.UsageError(f"a symbol is named twice: {', '.join(symbols)}; name each once")
    if files and len(files) != len(symbols):
        raise click.UsageError(f"{len(symbols)} --symbol and {len(files)} --candles: give one FILE for each symbol")
    given = dict(zip(symbols, files, strict=True)) if files else {}
    return {symbol: _played_file(symbol, system, given.get(symbol), options) for symbol in symbols}


def _played_file(symbol: str, system: SystemConfig, path: Path | None, options: CandleFileOptions) -> PlayedFile:
    config = system.symbols[symbol]
    source, path = config.source, path or config.source.recorded_file
    if path is None:
        raise click.UsageError(f"{symbol} plays no file (its source is {source.kind}); name one with --candles")
    return PlayedFile(path, options_for(config, path, options))


def _override(text: str, symbol: str) -> tuple[str, tuple[str, str]]:
    """Return the equivalent environment variable, and the option with its value."""
    key, is_given, value = text.partition("=")
    if not is_given or not all(key.split(".")) or not value.strip():
        raise click.UsageError(f"--set {text}: expected KEY=VALUE, such as --set risk.units=2")
    parts = key.split(".")
    if parts[0].upper() not in OVERRIDE_SECTIONS:
        parts = ["symbols", symbol, *parts]
    name = PREFIX + "__".join(part.replace("-", "_").replace(".", "_").upper() for part in parts)
    return name, (f"--set {key}", value)


def _with_given_names(fault: str, names: Mapping[str, tuple[str, str]]) -> str:
    for name, (given, _) in names.items():
        fault = fault.replace(name, given)
    return fault
