"""Trading hours, file errors and remedies of the commands that read candle files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from adapters.candle_files import NO_TIME, CandleFileError, RawCandles, read_raw
from adapters.candle_files.adjust import opens_of_closes
from adapters.candle_files.play import check_command, convert_command, place_of, read_candles
from adapters.candle_files.raw_rows import NO_OPTIONS
from configs.plugins.candle_files import CandleFileOptions
from configs.symbols import SymbolConfig
from trading.market.candles import Candles, first_fault
from trading.market.quality import usual_spacing_ms
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe, phase_of, timeframe_ms, timeframe_of
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed


class PlayedFile(NamedTuple):
    """A candle file, and how to read it."""

    path: Path
    options: CandleFileOptions


def read_timeframe(ctx: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Check a timeframe of the command line."""
    try:
        return text if text is None or timeframe_ms(text) else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
TIMEFRAME = click.option(
    "--timeframe",
    callback=read_timeframe,
    metavar="TIMEFRAME",
    help="Timeframe of FILE; default: the usual spacing.",
)
NON_POSITIVE = click.option(
    "--allow-non-positive-prices",
    "allow_non_positive",
    is_flag=True,
    help="Prices may be zero or negative, as of oil in April 2020; default: as the symbol says.",
)


@contextmanager
def exit_on_file_error() -> Iterator[None]:
    """Report an unusable file and exit with code 1."""
    try:
        yield
    except CandleFileError as error:
        raise Failed(ExitCode.NO, str(error)) from error


class Terms(NamedTuple):
    """The terms of the candles of a file that the file does not hold.

    Attributes:
        session: Trading hours; None if unknown.
        timeframe: Timeframe of the symbol; None without a symbol.
    """

    options: CandleFileOptions
    session: Session | None = None
    timeframe: str | None = None
    allow_non_positive: bool = False


def terms_of(symbol: str | None, file: Path, options: CandleFileOptions, *, allow_non_positive: bool = False) -> Terms:
    """Return the terms of a configured symbol, whose source may name options of the same file."""
    if symbol is None:
        return Terms(options, allow_non_positive=allow_non_positive)
    with Access() as access:
        config = access.system.symbols[access.known(symbol)]
    is_allowed = allow_non_positive or config.allow_non_positive_prices
    return Terms(options_for(config, file, options), config.session, config.timeframe, is_allowed)


def options_for(config: SymbolConfig, file: Path, options: CandleFileOptions) -> CandleFileOptions:
    """Return options, preceded by those of a symbol's source where it plays this file."""
    if file.resolve() != config.source.recorded_file:
        return options
    given = {name: getattr(options, name) for name in options.model_dump(exclude_defaults=True)}
    return config.source.recorded_options.model_copy(update=given)


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


def opens_of(
    raw: RawCandles, timeframe: Timeframe, options: CandleFileOptions
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the open times of the rows; those of the close are moved where the options say so."""
    return opens_of_closes(raw.open_ms, timeframe) if options.stamped_at_close else raw.open_ms


def candle_timeframe(file: Path, raw: RawCandles, timeframe: str | None) -> Timeframe:
    """Return the timeframe of the candles: `timeframe`, else the one of the most frequent spacing."""
    if timeframe is not None:
        return Timeframe.parse(timeframe)
    try:
        return Timeframe.of_spacing(length_of(file, raw))
    except CandleFileError as error:
        raise CandleFileError(f"{error}; set it with --timeframe") from error


def read_strictly(file: Path, terms: Terms) -> tuple[Candles, str]:
    """Return the candles of a file that would be played, and their timeframe.

    Args:
        terms: Those of the symbol that plays it; without a timeframe, the usual spacing is taken.

    Raises:
        CandleFileError: The system cannot play the file.
    """
    options, session = terms.options, terms.session
    timeframe = terms.timeframe or timeframe_of(length_of(file, read_raw(file, options)))
    fault = refusal_of(file, timeframe, options, session, allow_non_positive=terms.allow_non_positive)
    if timeframe is None or fault is not None:
        raise CandleFileError(f"{fault}\n{remedy(file, options)}")
    return read_candles(file, timeframe=timeframe, options=options, session=session), timeframe


def refusal_of(
    file: Path,
    timeframe: str | None,
    options: CandleFileOptions = NO_OPTIONS,
    session: Session | None = None,
    *,
    allow_non_positive: bool = False,
) -> str | None:
    """Return the reason why the system cannot play a file; None when it can."""
    if timeframe is None:
        return f"{file}: the spacing of its candles is not whole minutes, hours or days; set it with --timeframe"
    try:
        candles = read_candles(file, timeframe=timeframe, options=options, session=session)
    except ValueError as error:
        return str(error)
    phase_ms = phase_of(candles.open_ms, Timeframe.parse(timeframe))
    fault = first_fault(candles, timeframe=timeframe, phase_ms=phase_ms, allow_non_positive=allow_non_positive)
    return None if fault is None else f"{fault}; {place_of(file, fault.open_ms, options, timeframe=timeframe)}"


def remedy(file: Path, options: CandleFileOptions = NO_OPTIONS) -> str:
    """Return the actions for a file that cannot be used: the commands that check it, and that write what is usable."""
    return (
        f"list what is wrong with it, and the remedies: {check_command(file, options)}\n"
        f"write a file of the candles that can be played: {convert_command(file, options)}"
    )


def ignored_columns_text(columns: Sequence[str]) -> str:
    """Return a clause on the columns that are not read; empty when there are none."""
    return f"; columns not read: {', '.join(columns)}" if columns else ""
