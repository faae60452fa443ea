"""`trading candles check`: check the quality of a candle file."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from adapters.candle_files import NO_TIME, CandleFileError, RawCandles, read_raw
from adapters.candle_files.adjust import clipped
from adapters.candle_files.play import order_of
from configs.plugins.candle_files import CandleFileOptions
from trading.formatting import format_minute
from trading.market.quality import Found, Market, Place, Severity, examine
from trading_orchestrator.cli.candles.files import (
    FILE,
    JSON,
    NON_POSITIVE,
    TIMEFRAME,
    candle_timeframe,
    exit_on_file_error,
    ignored_columns_text,
    opens_of,
    refusal_of,
    terms_of,
)
from trading_orchestrator.cli.candles.options import candle_file_options
from trading_orchestrator.cli.candles.remedies import REMEDIES
from trading_orchestrator.cli.exit_codes import ExitCode
from trading_orchestrator.cli.output import Column, make_console, print_json, table

STYLES = {Severity.WRONG: "bold red", Severity.DOUBT: "yellow", Severity.NOTE: ""}
SHOWN = {Severity.WRONG: 3, Severity.DOUBT: 3, Severity.NOTE: 1}


@click.command()
@FILE
@click.option("--symbol", metavar="SYMBOL", help="Use timeframe and trading hours of a configured symbol.")
@TIMEFRAME
@NON_POSITIVE
@candle_file_options
@JSON
@click.pass_context
def check(
    ctx: click.Context,
    file: Path,
    symbol: str | None,
    timeframe: str | None,
    allow_non_positive: bool,
    options: CandleFileOptions,
    as_json: bool,
) -> None:
    """Check a candle file for missing and invalid candles.

    Exit code 1 on an error: missing candles, duplicates, wrong order, impossible prices, or a last candle that was
    still open. Each finding has its remedy. Doubts and notes do not change the exit code. Without --symbol the trading
    hours are guessed: weekends, and gaps that recur at the same time of day, count as closed.
    """
    terms = terms_of(symbol, file, options, allow_non_positive=allow_non_positive)
    options, session = terms.options, terms.session
    with exit_on_file_error():
        raw = read_raw(file, options)
        grid = candle_timeframe(file, raw, timeframe or terms.timeframe)
        order = order_of(raw)
        readable = (raw.open_ms != NO_TIME)[order]
        if not readable.any():
            raise CandleFileError(f"{file}: none of the times in its {len(raw):,} rows can be read")
    are_open = session.are_open if session else None
    market = Market(
        grid,
        are_open,
        now_ms=int(time.time() * 1000),
        written_ms=int(file.stat().st_mtime * 1000),
        allow_non_positive=terms.allow_non_positive,
    )
    name = None if grid.unit == "s" else grid.name
    opens, values = opens_of(raw, grid, options), clipped(raw.values) if options.clip else raw.values
    opens, values, lines = opens[order], values[order], raw.lines[order][readable].tolist()
    findings = [_without_time(raw), *examine(opens[readable], values[readable], market)]
    refusal = refusal_of(file, name, options, session, allow_non_positive=terms.allow_non_positive)
    answer = {
        "ok": not any(finding.is_wrong for finding in findings),
        "file": str(file),
        "layout": raw.layout,
        "columns_left_out": list(raw.left_out),
        "timeframe": name,
        "hours_of": symbol,
        "rows": len(raw),
        "first_ms": int(opens[readable].min()),
        "last_ms": int(opens[readable].max()),
        "refusal": refusal,
        "is_playable": refusal is None,
        "checks": [_as_dict(finding, lines) for finding in findings],
    }
    if as_json:
        print_json(answer)
    else:
        _print_result(answer, findings, lines)
    ctx.exit(ExitCode.OK if answer["ok"] else ExitCode.NO)


def _without_time(raw: RawCandles) -> Found:
    rows = (raw.open_ms == NO_TIME).nonzero()[0]
    first = tuple(Place(None, f"line {raw.lines[row]:,}: the time cannot be read") for row in rows[:5].tolist())
    return Found("no time", Severity.WRONG, len(rows), first)


def _as_dict(finding: Found, lines: Sequence[int]) -> dict[str, Any]:
    first = [
        {"line": None if place.row is None else lines[place.row], "open_ms": place.open_ms, "text": place.text}
        for place in finding.first
    ]
    return {
        "check": finding.check,
        "weight": finding.severity.value,
        "count": finding.count,
        "first": first,
        "remedy": REMEDIES.get(finding.check) if finding.count else None,
    }


def _print_result(answer: dict[str, Any], findings: Sequence[Found], lines: Sequence[int]) -> None:
    console = make_console()
    hours = f"trading hours of {answer['hours_of']}" if answer["hours_of"] else "trading hours guessed (see --symbol)"
    span = f"{format_minute(answer['first_ms'])} to {format_minute(answer['last_ms'])} UTC"
    head = f"{answer['file']}: {answer['rows']:,} rows of {answer['timeframe'] or 'unknown timeframe'}, {span}"
    console.show(Text(f"{head}\n{answer['layout']}; {hours}{ignored_columns_text(answer['columns_left_out'])}\n"))
    columns = (
        Column("check", lambda finding: finding.check, style="bold"),
        Column("", _weight),
        Column("number", lambda finding: f"{finding.count:,}" if finding.count else "-", is_number=True),
        Column("first (UTC)", lambda finding: _first(finding, lines), is_prose=True),
    )
    console.show(table(columns, findings, width=console.width))
    wrong = [finding.check for finding in findings if finding.is_wrong]
    console.show(Text(f"\nwrong: {', '.join(wrong)}" if wrong else "\nno errors"))
    for finding in findings:
        if finding.count and finding.check in REMEDIES:
            console.show(Text(f"{finding.check}: {REMEDIES[finding.check]}"))
    if answer["refusal"]:
        console.show(Text(f"the system cannot play this file: {answer['refusal']}"))
    else:
        console.show(Text("the system can play this file"))


def _weight(finding: Found) -> Text:
    return Text(finding.severity.value, style=STYLES[finding.severity]) if finding.count else Text("ok", style="green")


def _first(finding: Found, lines: Sequence[int]) -> Text:
    return Text("\n".join(_place(place, lines) for place in finding.first[: SHOWN[finding.severity]]))


def _place(place: Place, lines: Sequence[int]) -> str:
    when = "" if place.open_ms is None else f"{format_minute(place.open_ms)}, "
    line = "" if place.row is None else f"line {lines[place.row]:,}, "
    return f"{when}{line}{place.text}"
