"""`trading candles convert` and `resample`: files of candles made of others."""

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
    Zone,
    convert,
    read_raw,
    write_candles,
)
from trading.formatting import format_minute
from trading.market.candles import Candles
from trading.market.quality import timeframe_of, usual_spacing_ms
from trading.market.resampling import IncompleteReason, Resampled, resample
from trading.structs import asdict
from trading_orchestrator.cli.candles.files import (
    FILE,
    JSON,
    TIME_FORMAT,
    TIMEFRAME,
    TIMEZONE,
    hours_of,
    is_playable,
    left_out_words,
    read_strictly,
    read_timeframe,
    telling_file_faults,
    told_length,
)
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import Column, make_console, print_json, table

OUT = click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT")
SHOWN = 3
FORCE = click.option("--force", is_flag=True, help="Replace OUT where it is there already.")


@click.command("convert")
@FILE
@OUT
@TIMEFRAME
@TIMEZONE
@TIME_FORMAT
@click.option("--stamped-at-close", is_flag=True, help="The times are those at which candles end, not begin.")
@FORCE
@JSON
def convert_file(
    file: Path,
    out: Path,
    timeframe: str | None,
    zone: Zone | None,
    time_format: str | None,
    stamped_at_close: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the candles of FILE to OUT, as a file source plays them.

    Sorted, each time once, and only what can be used; each row that is dropped is counted with the reason. OUT ends in
    .csv, .csv.gz or .parquet.
    """
    _check_out(file, out, is_forced=force)
    now_ms = int(time.time() * 1000)
    with telling_file_faults():
        raw = read_raw(file, zone=zone, time_format=time_format)
        _check_timeframe(file, raw, timeframe)
        try:
            done = convert(raw, now_ms=now_ms, timeframe=timeframe, stamped_at_close=stamped_at_close)
        except CandleFileError as error:
            raise CandleFileError(f"{file}: {error}") from error
        write_candles(out, done.candles, overwrite=force)
    if as_json:
        print_json(_converted(file, out, raw, done))
    else:
        _tell_converted(file, out, raw, done)


@click.command("resample")
@FILE
@OUT
@click.option("--timeframe", "to", callback=read_timeframe, required=True, metavar="TIMEFRAME", help="The longer one.")
@click.option("--partial", is_flag=True, help="Also candles of which shorter ones are missing.")
@click.option("--symbol", metavar="SYMBOL", help="While this configured symbol's market is closed, none is missing.")
@FORCE
@JSON
def resample_file(
    file: Path, out: Path, to: str, partial: bool, symbol: str | None, force: bool, as_json: bool
) -> None:
    """Make longer candles of those in FILE, and write them to OUT.

    They begin at whole multiples of the timeframe, UTC. One with a hole is left out, and counted with the reason: a
    candle is missing while the market was open, or FILE begins or ends within it. A few minutes that are missing next
    to a break, as `candles check` tells them, make no hole. Without --symbol the trading hours are guessed. A gap stays
    a gap.
    """
    _check_out(file, out, is_forced=force)
    session, _ = hours_of(symbol)
    with telling_file_faults():
        source, timeframe = read_strictly(file)
        try:
            are_open = session.are_open if session else None
            done = resample(source, timeframe=timeframe, to=to, keep_partial=partial, are_open=are_open)
        except ValueError as error:
            raise Failed(ExitCode.USAGE, str(error)) from error
        if not len(done.candles):
            raise CandleFileError(f"{file}: no candle of {to} is whole\n{_left_out_words(done, to)}")
        write_candles(out, done.candles, overwrite=force)
    if as_json:
        print_json(_resampled(file, out, source, timeframe, to, done))
    else:
        _tell_resampled(out, source, timeframe, to, done, symbol)


def _check_out(file: Path, out: Path, *, is_forced: bool) -> None:
    """Say what is wrong with OUT before the work is done."""
    fault = ""
    if not out.name.endswith(SUFFIXES):
        fault = f"allowed endings are {', '.join(SUFFIXES)}"
    elif not out.absolute().parent.is_dir():
        fault = f"there is no folder {out.parent}"
    elif out.exists() and out.samefile(file):
        fault = "is the file that is read; write to another one"
    elif out.exists() and not is_forced:
        fault = "is there already; --force replaces it"
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
        "dropped": [asdict(loss) for loss in done.losses],
        "is_playable": is_playable(done.candles, done.timeframe),
    }


def _tell_converted(file: Path, out: Path, raw: RawCandles, done: Converted) -> None:
    console = make_console()
    console.show(Text(f"{file}: {raw.layout}{left_out_words(raw.left_out)}\n"))
    if done.losses:
        console.show(table(DROPPED, done.losses, width=console.width))
        click.echo("")
    if not raw.has_volume:
        click.echo("it has no volume: 0 is written")
    if done.moved:
        click.echo(f"put in order, because they stood after a later one: {done.moved:,}")
    dropped = sum(loss.count for loss in done.losses)
    click.echo(f"{done.rows:,} rows in, {len(done.candles):,} candles of {done.timeframe} out, {dropped:,} dropped")
    _tell_written(out, done.candles)
    _tell_unplayable(done.candles, done.timeframe)


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
        "is_playable": is_playable(done.candles, to),
    }


LACKS = {
    IncompleteReason.START: "the file begins within it",
    IncompleteReason.HOLE: "candles are missing while the market was open",
    IncompleteReason.END: "the file ends within it",
}


def _tell_resampled(out: Path, source: Candles, timeframe: str, to: str, done: Resampled, symbol: str | None) -> None:
    hours = f"trading hours of {symbol}" if symbol else "trading hours guessed (see --symbol)"
    click.echo(f"{len(source):,} candles of {timeframe} in, {len(done.candles):,} of {to} out; {hours}")
    if len(done.at_edges):
        first = _times(done.at_edges)
        click.echo(f"{len(done.at_edges):,} lack but a few candles next to a break, and count as whole: {first}")
    if len(done.left_out):
        click.echo(_left_out_words(done, to))
    if len(done.partial):
        click.echo(f"{len(done.partial):,} of them are not whole\n{_lack_lines(done)}")
    _tell_written(out, done.candles)
    _tell_unplayable(done.candles, to)


def _left_out_words(done: Resampled, to: str) -> str:
    count = f"{len(done.left_out):,} of {to} left out because not whole, with {done.unused:,} candles"
    return f"{count} (--partial makes them, too)\n{_lack_lines(done)}"


def _lack_lines(done: Resampled) -> str:
    return "\n".join(f"  {len(at):,} x {LACKS[reason]}: {_times(at)}" for reason, at in done.lacking.items() if len(at))


def _times(opens: NDArray[np.int64]) -> str:
    """Return the first few times in words."""
    return (
        ", ".join(format_minute(at) for at in opens[:SHOWN].tolist()) + (", ..." if len(opens) > SHOWN else "") + " UTC"
    )


def _tell_unplayable(candles: Candles, timeframe: str) -> None:
    if not is_playable(candles, timeframe):
        click.echo(_unplayable_words(candles.open_ms, timeframe))


def _check_timeframe(file: Path, raw: RawCandles, timeframe: str | None) -> None:
    """Refuse a longer timeframe than that of the candles: of minutes taken for hours most would be dropped."""
    length_ms = told_length(file, raw, timeframe)
    opens = raw.open_ms[raw.open_ms != NO_TIME]
    if (usual_spacing_ms(opens) or length_ms) < length_ms:
        words = _unplayable_words(opens, timeframe or "")
        raise CandleFileError(f"{file}: {words}; leave --timeframe out, or make longer ones with candles resample")


def _unplayable_words(opens: NDArray[np.int64], timeframe: str) -> str:
    apart_ms = usual_spacing_ms(opens) or 0
    apart = timeframe_of(apart_ms) or f"{apart_ms / 1000:g} s"
    return f"most candles are {apart} apart: a file source does not play them as candles of {timeframe}"


def _tell_written(out: Path, candles: Candles) -> None:
    click.echo(f"{out}: {format_minute(int(candles.open_ms[0]))} to {format_minute(candles.last_open_ms)} UTC")
