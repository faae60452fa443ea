"""`trading candles convert` and `resample`: write candle files from other candle files."""

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from adapters.candle_files import (
    NO_TIME,
    SUFFIXES,
    CandleFileError,
    Converted,
    RawCandles,
    convert,
    read_raw,
    write_candles,
)
from adapters.candle_files.adjust import check_stamps
from adapters.candle_files.play import fits_timeframe
from configs.plugins.candle_files import CandleFileOptions
from trading.formatting import format_minute
from trading.market.candles import Candles
from trading.market.quality import usual_spacing_ms
from trading.market.resampling import IncompleteReason, Resampled, resample
from trading.market.timeframes import timeframe_of
from trading.structs import asdict
from trading_orchestrator.cli.candles.files import (
    FILE,
    JSON,
    NON_POSITIVE,
    TIMEFRAME,
    candle_timeframe,
    exit_on_file_error,
    ignored_columns_text,
    read_strictly,
    read_timeframe,
    terms_of,
)
from trading_orchestrator.cli.candles.options import candle_file_options
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import Column, make_console, print_json, table

OUT = click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT")
SHOWN = 3
FORCE = click.option("--force", is_flag=True, help="Replace OUT if it exists.")


@click.command("convert")
@FILE
@OUT
@TIMEFRAME
@click.option("--symbol", metavar="SYMBOL", help="Use timeframe and trading hours of a configured symbol.")
@NON_POSITIVE
@candle_file_options
@FORCE
@JSON
def convert_file(
    file: Path,
    out: Path,
    timeframe: str | None,
    symbol: str | None,
    allow_non_positive: bool,
    options: CandleFileOptions,
    force: bool,
    as_json: bool,
) -> None:
    """Convert FILE to OUT, in the layout that a file source plays.

    Candles are sorted; duplicates and unusable rows are dropped and counted by reason. OUT ends in .csv, .csv.gz or
    .parquet.
    """
    _check_out(file, out, is_forced=force)
    terms = terms_of(symbol, file, options, allow_non_positive=allow_non_positive)
    timeframe = timeframe or terms.timeframe
    with exit_on_file_error():
        raw = read_raw(file, terms.options)
        _check_timeframe(file, raw, timeframe)
        if not terms.options.stamped_at_close:
            check_stamps(str(file), raw.open_ms, candle_timeframe(file, raw, timeframe))
        try:
            done = convert(
                raw,
                now_ms=int(time.time() * 1000),
                timeframe=timeframe,
                stamped_at_close=terms.options.stamped_at_close,
                clip=terms.options.clip,
                drop_closed=terms.options.drop_closed,
                are_open=terms.session.are_open if terms.session else None,
                allow_non_positive=terms.allow_non_positive,
            )
        except CandleFileError as error:
            raise CandleFileError(f"{file}: {error}") from error
        write_candles(out, done.candles, overwrite=force)
    if as_json:
        print_json(_converted(file, out, raw, done))
    else:
        _print_converted(file, out, raw, done)


@click.command("resample")
@FILE
@OUT
@click.option(
    "--timeframe", "to", callback=read_timeframe, required=True, metavar="TIMEFRAME", help="Timeframe of OUT."
)
@click.option("--partial", is_flag=True, help="Include incomplete candles.")
@click.option("--symbol", metavar="SYMBOL", help="Use the trading hours of a configured symbol.")
@candle_file_options
@FORCE
@JSON
def resample_file(
    file: Path,
    out: Path,
    to: str,
    partial: bool,
    symbol: str | None,
    options: CandleFileOptions,
    force: bool,
    as_json: bool,
) -> None:
    """Resample the candles of FILE to a longer timeframe and write them to OUT.

    Candles begin at whole multiples of the timeframe, UTC; weeks on Monday, months on their first day. With a time
    zone, as in 1d@America/New_York,17:00, days, weeks and months begin at that hour of the zone. An incomplete candle
    is omitted and counted by reason: a candle is missing while the market was open, or FILE begins or ends within it. A
    few minutes missing next to a break, as `candles check` lists them, do not make a candle incomplete. Without
    --symbol the trading hours are guessed. Gaps are kept.
    """
    _check_out(file, out, is_forced=force)
    terms = terms_of(symbol, file, options)
    session = terms.session
    with exit_on_file_error():
        source, timeframe = read_strictly(file, terms._replace(timeframe=None))
        try:
            are_open = session.are_open if session else None
            done = resample(source, timeframe=timeframe, to=to, keep_partial=partial, are_open=are_open)
        except ValueError as error:
            raise Failed(ExitCode.USAGE, str(error)) from error
        if not len(done.candles):
            raise CandleFileError(f"{file}: no candle of {to} is complete\n{_incomplete_text(done, to)}")
        write_candles(out, done.candles, overwrite=force)
    if as_json:
        print_json(_resampled(file, out, source, timeframe, to, done))
    else:
        _print_resampled(out, source, timeframe, to, done, symbol)


def _check_out(file: Path, out: Path, *, is_forced: bool) -> None:
    """Reject an unusable OUT before the work is done."""
    fault = ""
    if not out.name.endswith(SUFFIXES):
        fault = f"the name must end in {', '.join(SUFFIXES)}"
    elif not out.absolute().parent.is_dir():
        fault = f"the folder {out.parent} does not exist"
    elif out.exists() and out.samefile(file):
        fault = "is the input file; write to another one"
    elif out.exists() and not is_forced:
        fault = "exists already; --force replaces it"
    if fault:
        raise Failed(ExitCode.USAGE, f"{out}: {fault}")


def _converted(file: Path, out: Path, raw: RawCandles, done: Converted) -> dict[str, Any]:
    return {
        "file": str(file),
        "layout": raw.layout,
        "columns_left_out": list(raw.left_out),
        "has_volume": raw.has_volume,
        "rows": done.rows,
        "out": str(out),
        "timeframe": done.timeframe,
        "candles": len(done.candles),
        "first_ms": int(done.candles.open_ms[0]),
        "last_ms": done.candles.last_open_ms,
        "moved": done.moved,
        "clipped": done.clipped,
        "dropped": [asdict(loss) for loss in done.losses],
        "is_playable": fits_timeframe(done.candles, done.timeframe),
    }


def _print_converted(file: Path, out: Path, raw: RawCandles, done: Converted) -> None:
    console = make_console()
    console.show(Text(f"{file}: {raw.layout}{ignored_columns_text(raw.left_out)}\n"))
    if done.losses:
        console.show(table(DROPPED, done.losses, width=console.width))
        click.echo("")
    if not raw.has_volume:
        click.echo("the file has no volume; 0 is written")
    if done.moved:
        click.echo(f"rows sorted because they followed a later one: {done.moved:,}")
    if done.clipped:
        click.echo(f"candles whose high or low was widened to contain open and close: {done.clipped:,}")
    dropped = sum(loss.count for loss in done.losses)
    click.echo(f"{done.rows:,} rows in, {len(done.candles):,} candles of {done.timeframe} out, {dropped:,} dropped")
    _print_written(out, done.candles)
    _print_unplayable(done.candles, done.timeframe)


DROPPED = (
    Column("dropped because", lambda loss: loss.reason, is_prose=True),
    Column("rows", lambda loss: f"{loss.count:,}", is_number=True),
    Column("first lines", lambda loss: ", ".join(f"{line:,}" for line in loss.first_lines[:3])),
)


def _resampled(file: Path, out: Path, source: Candles, timeframe: str, to: str, done: Resampled) -> dict[str, Any]:
    return {
        "file": str(file),
        "timeframe": timeframe,
        "rows": len(source),
        "out": str(out),
        "to": to,
        "candles": len(done.candles),
        "partial": len(done.partial),
        "left_out": len(done.left_out),
        "unused": done.unused,
        "first_left_out_ms": done.left_out[:5].tolist(),
        "lacking": {
            reason.value: {"count": len(times), "first_ms": times[:5].tolist()}
            for reason, times in done.lacking.items()
        },
        "at_edges": {"count": len(done.at_edges), "first_ms": done.at_edges[:5].tolist()},
        "is_playable": fits_timeframe(done.candles, to),
    }


LACKS = {
    IncompleteReason.START: "the file begins within it",
    IncompleteReason.HOLE: "candles are missing while the market was open",
    IncompleteReason.END: "the file ends within it",
}


def _print_resampled(out: Path, source: Candles, timeframe: str, to: str, done: Resampled, symbol: str | None) -> None:
    hours = f"trading hours of {symbol}" if symbol else "trading hours guessed (see --symbol)"
    click.echo(f"{len(source):,} candles of {timeframe} in, {len(done.candles):,} of {to} out; {hours}")
    if len(done.at_edges):
        first = _times(done.at_edges)
        click.echo(f"{len(done.at_edges):,} lack only a few candles next to a break and count as complete: {first}")
    if len(done.left_out):
        click.echo(_incomplete_text(done, to))
    if len(done.partial):
        click.echo(f"{len(done.partial):,} of them are incomplete\n{_incomplete_lines(done)}")
    _print_written(out, done.candles)
    _print_unplayable(done.candles, to)


def _incomplete_text(done: Resampled, to: str) -> str:
    count = f"{len(done.left_out):,} of {to} omitted as incomplete, with {done.unused:,} candles"
    return f"{count} (--partial includes them)\n{_incomplete_lines(done)}"


def _incomplete_lines(done: Resampled) -> str:
    return "\n".join(f"  {len(at):,} x {LACKS[reason]}: {_times(at)}" for reason, at in done.lacking.items() if len(at))


def _times(opens: NDArray[np.int64]) -> str:
    """Return the first few times as text."""
    return (
        ", ".join(format_minute(at) for at in opens[:SHOWN].tolist()) + (", ..." if len(opens) > SHOWN else "") + " UTC"
    )


def _print_unplayable(candles: Candles, timeframe: str) -> None:
    if not fits_timeframe(candles, timeframe):
        click.echo(_unplayable_text(candles.open_ms, timeframe))


def _check_timeframe(file: Path, raw: RawCandles, timeframe: str | None) -> None:
    """Reject a timeframe longer than the candles': of minutes read as hours, most would be dropped."""
    grid = candle_timeframe(file, raw, timeframe)
    opens = raw.open_ms[raw.open_ms != NO_TIME]
    spacing_ms = usual_spacing_ms(opens)
    if spacing_ms is not None and spacing_ms < grid.length_ms and not grid.fits(spacing_ms):
        words = _unplayable_text(opens, timeframe or "")
        raise CandleFileError(f"{file}: {words}; omit --timeframe, or use candles resample for a longer one")


def _unplayable_text(opens: NDArray[np.int64], timeframe: str) -> str:
    apart_ms = usual_spacing_ms(opens) or 0
    apart = timeframe_of(apart_ms) or f"{apart_ms / 1000:g} s"
    return f"most candles are {apart} apart; a file source cannot play them as candles of {timeframe}"


def _print_written(out: Path, candles: Candles) -> None:
    click.echo(f"{out}: {format_minute(int(candles.open_ms[0]))} to {format_minute(candles.last_open_ms)} UTC")
