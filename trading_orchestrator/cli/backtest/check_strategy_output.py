"""What `trading check-strategy` prints: each check with what was found, and what to do about it."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from trading.formatting import format_minute
from trading.strategy_checks import CheckName, Finding, Report
from trading.structs import asdict
from trading_orchestrator.cli.output import Column, make_console, table

COLUMNS_SHOWN = 3

LOOKED_FOR: Mapping[CheckName, tuple[str, str]] = {
    CheckName.LOOK_AHEAD: (
        "later candles change nothing that it said",
        "use a row and rows before it: no shift(-1), no centred window, no mean of the whole series",
    ),
    CheckName.WINDOW: ("with {limit} rows it says what it says with all", "{enough}"),
    CheckName.WARM_UP: (
        "{startup} candles give the values that more give",
        "do not override startup_candle_count, or return more",
    ),
    CheckName.NAN: (
        "each value, price and size is a number",
        "a NaN value stops the symbol, and a NaN stop is no stop: pass None where none is meant, and call buy() or "
        "sell() apart for rows with and without",
    ),
    CheckName.STOP_SIDE: (
        "stops and targets are on their side of the price",
        "such an entry is refused: a stop is below the close of a buy and above that of a sell, a target beyond it",
    ),
    CheckName.REPEAT: (
        "asked again, it says the same",
        "use no random numbers and no clock, and keep nothing from one call to the next",
    ),
    CheckName.MUTATION: ("it leaves its rows as they are", "work on rows.copy(), or on arrays of its own"),
    CheckName.ERROR: (
        "it answers with {least} rows and more",
        "it is asked with as few as {least} rows (min_rows_required in services.yaml)",
    ),
}
"""What is told of each check: what holds when nothing was found, and what to do when something was."""


def as_dict(name: str, params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Return all that was found, JSON-safe."""
    return {
        "ok": report.is_sound,
        "strategy": name,
        "params": params,
        "startup_candle_count": report.startup_candle_count,
        "rows_limit": report.rows_limit,
        "least_rows": report.least_rows,
        "rows_enough": report.rows_enough,
        "series": [asdict(one) for one in report.looked],
        "counts": {check.value: report.counts[check] for check in CheckName},
        "tried": {check.value: report.tried[check] for check in CheckName},
        "not_tried": {check.value: why for check in CheckName if (why := report.untried(check))},
        "findings": [asdict(finding) for finding in report.findings],
    }


def show(name: str, params: Mapping[str, Any], origin: str, report: Report) -> None:
    """Print what was found, for people."""
    console = make_console()
    values = ", ".join(f"{key} {value}" for key, value in params.items())
    console.show(Text(f"{name}{': ' if values else ''}{values}\n{origin}\n"))
    columns = (
        Column("check", lambda check: check.value, style="bold"),
        Column("", lambda check: _health(report, check)),
        Column("candles", lambda check: f"{report.counts[check]:,}" if report.counts[check] else "-", is_number=True),
        Column("found", lambda check: _found(report, check), is_prose=True),
    )
    console.show(table(columns, CheckName, width=console.width))
    sides = [(sum(getattr(one, side) for one in report.looked), side) for side in ("buys", "sells", "closes")]
    said = ", ".join(f"{number:,} {side}" for number, side in sides)
    click.echo(f"\n{report.candles:,} candles asked about: {said}")
    if not report.candles:
        console.show(Text("Nothing could be tried: that is no answer for it.", style="red"))
    elif report.is_sound and not report.signals:
        console.show(Text("It never gave a signal: that nothing was found says little.", style="yellow"))


def _health(report: Report, check: CheckName) -> Text:
    if report.counts[check]:
        return Text("FAIL", style="bold red")
    return Text("not tried", style="yellow") if report.untried(check) else Text("ok", style="green")


def _found(report: Report, check: CheckName) -> Text:
    holds, remedy = LOOKED_FOR[check]
    words = {
        "limit": report.rows_limit,
        "least": report.least_rows,
        "startup": report.startup_candle_count,
        "enough": _enough(report),
    }
    if why := report.untried(check):
        return Text(why, style="yellow")
    if not report.counts[check]:
        return Text(holds.format(**words), style="dim")
    first = {finding.column: finding for finding in reversed(report.of(check))}
    lines = [_line(first[column]) for column in sorted(first)[:COLUMNS_SHOWN]]
    return Text("\n").join([*lines, Text(remedy.format(**words), style="yellow")])


def _line(finding: Finding) -> Text:
    where = f"{format_minute(finding.open_ms)}, {finding.series}, "
    values = (": expected ", finding.expected, ", found ", (finding.found, "red"))
    return Text.assemble(where, (finding.column, "bold"), *values)


def _enough(report: Report) -> str:
    if report.rows_enough is None:
        return "no number of rows makes it the same: take a mean or sum over a fixed number of bars as an indicator"
    return f"with {report.rows_enough} rows it is the same: set recent_rows_limit in services.yaml, or use an indicator"
