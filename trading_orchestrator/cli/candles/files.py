"""What the verbs that read files of candles share: options, trading hours of a symbol, and faults of files."""

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

LOOK = "celery -A tasks trading candles check"


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
TIME_FORMAT = click.option("--time-format", metavar="FORMAT", help="How times are written, such as '%d/%m/%Y %H:%M'.")
TIMEZONE = click.option(
    "--timezone", "zone", callback=_read_zone, metavar="ZONE", help="Of times without an offset, such as UTC."
)
TIMEFRAME = click.option(
    "--timeframe", callback=read_timeframe, metavar="TIMEFRAME", help="Of the candles; else the distance of most."
)


@contextmanager
def telling_file_faults() -> Iterator[None]:
    """Tell of a file that cannot be used, with exit code 1."""
    try:
        yield
    except CandleFileError as error:
        raise Failed(ExitCode.NO, str(error)) from error


def hours_of(symbol: str | None) -> tuple[Session | None, str | None]:
    """Return trading hours and timeframe of a configured symbol, None where none is named."""
    if symbol is None:
        return None, None
    with Access() as access:
        config = access.system.symbols[access.known(symbol)]
    return config.session, config.timeframe


def length_of(file: Path, raw: RawCandles) -> int:
    """Return the length of the candles in milliseconds: the distance that most have.

    Raises:
        CandleFileError: There are too few of them.
    """
    times = np.unique(raw.open_ms[raw.open_ms != NO_TIME])
    length_ms = usual_spacing_ms(times)
    if length_ms is None:
        raise CandleFileError(f"{file}: to see the timeframe two times are needed, and {len(times)} can be read")
    return length_ms


def told_length(file: Path, raw: RawCandles, timeframe: str | None) -> int:
    """Return the length of the candles in milliseconds: that of `timeframe`, else the distance that most have."""
    if timeframe is not None:
        return timeframe_ms(timeframe)
    try:
        return length_of(file, raw)
    except CandleFileError as error:
        raise CandleFileError(f"{error}; say it with --timeframe") from error


def is_playable(candles: Candles, timeframe: str) -> bool:
    """Return whether a file source would take candles for those of their timeframe."""
    return usual_spacing_ms(candles.open_ms) in (None, timeframe_ms(timeframe))


def read_strictly(file: Path) -> tuple[Candles, str]:
    """Return the candles of a file and their timeframe.

    Raises:
        CandleFileError: The system would not play the file as it is.
    """
    timeframe = timeframe_of(length_of(file, read_raw(file)))
    fault = refusal_of(file, timeframe)
    if timeframe is None or fault is not None:
        raise CandleFileError(f"{fault}\nlook at it: {look_at(file)}")
    return read_candles(file, timeframe=timeframe), timeframe


def refusal_of(file: Path, timeframe: str | None) -> str | None:
    """Return why the system would not play a file, None when it would."""
    if timeframe is None:
        return f"{file}: its candles are not whole minutes, hours or days apart"
    try:
        fault = first_fault(read_candles(file, timeframe=timeframe), timeframe=timeframe)
    except ValueError as error:
        return str(error)
    return None if fault is None else f"{fault}; {place_of(file, fault.open_ms)}"


def look_at(file: Path) -> str:
    """Return the command line that says what is wrong with a file."""
    return f"{LOOK} {shlex.quote(str(file))}"


def left_out_words(columns: Sequence[str]) -> str:
    """Return what to say of columns that are not read; nothing when there are none."""
    return f"; columns not read: {', '.join(columns)}" if columns else ""
