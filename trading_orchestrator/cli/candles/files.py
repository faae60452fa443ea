"""Options, trading hours and file errors of the commands that read candle files."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

from adapters.candle_files import NO_TIME, CandleFileError, RawCandles, Zone, read_raw, zone_of
from adapters.sources.file import place_of, read_candles
from trading.market.candles import Candles, first_fault, timeframe_ms
from trading.market.quality import timeframe_of, usual_spacing_ms
from trading.market.sessions import Session
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed

CHECK = "celery -A tasks trading candles check"


def _read_zone(ctx: click.Context, option: click.Parameter, text: str | None) -> Zone | None:
    try:
        return None if text is None else zone_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def read_timeframe(ctx: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Check a timeframe of the command line."""
    try:
        return text if text is None or timeframe_ms(text) else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
TIME_FORMAT = click.option("--time-format", metavar="FORMAT", help="Format of times, such as '%d/%m/%Y %H:%M'.")
TIMEZONE = click.option(
    "--timezone", "zone", callback=_read_zone, metavar="ZONE", help="Time zone of times without an offset, such as UTC."
)
TIMEFRAME = click.option(
    "--timeframe",
    callback=read_timeframe,
    metavar="TIMEFRAME",
    help="Timeframe of FILE; default: the usual spacing.",
)


@contextmanager
def exit_on_file_error() -> Iterator[None]:
    """Report an unusable file and exit with code 1."""
    try:
        yield
    except CandleFileError as error:
        raise Failed(ExitCode.NO, str(error)) from error


def hours_of(symbol: str | None) -> tuple[Session | None, str | None]:
    """Return trading hours and timeframe of a configured symbol; None for each when no symbol is named."""
    if symbol is None:
        return None, None
    with Access() as access:
        config = access.system.symbols[access.known(symbol)]
    return config.session, config.timeframe


def length_of(file: Path, raw: RawCandles) -> int:
    """Return the length of the candles in milliseconds: the most frequent spacing.

    Raises:
        CandleFileError: The file has too few candles.
    """
    times = np.unique(raw.open_ms[raw.open_ms != NO_TIME])
    length_ms = usual_spacing_ms(times)
    if length_ms is None:
        raise CandleFileError(f"{file}: {len(times)} times can be read; the timeframe needs at least two")
    return length_ms


def candle_length_ms(file: Path, raw: RawCandles, timeframe: str | None) -> int:
    """Return the length of the candles in milliseconds: that of `timeframe`, else the most frequent spacing."""
    if timeframe is not None:
        return timeframe_ms(timeframe)
    try:
        return length_of(file, raw)
    except CandleFileError as error:
        raise CandleFileError(f"{error}; set it with --timeframe") from error


def is_playable(candles: Candles, timeframe: str) -> bool:
    """Return whether a file source accepts the candles as those of `timeframe`."""
    return usual_spacing_ms(candles.open_ms) in (None, timeframe_ms(timeframe))


def read_strictly(file: Path) -> tuple[Candles, str]:
    """Return the candles of a file and their timeframe.

    Raises:
        CandleFileError: The system cannot play the file.
    """
    timeframe = timeframe_of(length_of(file, read_raw(file)))
    fault = refusal_of(file, timeframe)
    if timeframe is None or fault is not None:
        raise CandleFileError(f"{fault}\n{remedy(file)}")
    return read_candles(file, timeframe=timeframe), timeframe


def refusal_of(file: Path, timeframe: str | None) -> str | None:
    """Return the reason why the system cannot play a file; None when it can."""
    if timeframe is None:
        return f"{file}: the spacing of its candles is not whole minutes, hours or days"
    try:
        fault = first_fault(read_candles(file, timeframe=timeframe), timeframe=timeframe)
    except ValueError as error:
        return str(error)
    return None if fault is None else f"{fault}; {place_of(file, fault.open_ms)}"


def remedy(file: Path) -> str:
    """Return the action for a file that cannot be used: the command that checks it."""
    return f"check it: {CHECK} {shlex.quote(str(file))}"


def ignored_columns_text(columns: Sequence[str]) -> str:
    """Return a clause on the columns that are not read; empty when there are none."""
    return f"; columns not read: {', '.join(columns)}" if columns else ""
