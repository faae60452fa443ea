"""Output of `trading check-strategy`: each check with its finding and the action."""

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
        "later candles do not change earlier signals",
        "use only a row and earlier rows: no shift(-1), no centred window, no mean over the whole series",
    ),
    CheckName.WINDOW: ("{limit} rows give the same signals as all rows", "{enough}"),
    CheckName.WARM_UP: (
        "{startup} candles give the same values as more candles",
        "do not override startup_candle_count, or return a larger number",
    ),
    CheckName.NAN: (
        "each value, price and size is a number",
        "a NaN value stops the symbol, and a NaN stop protects nothing: pass None for no stop, and call buy() or "
        "sell() separately for rows with and without a stop",
    ),
    CheckName.STOP_SIDE: (
        "stops and targets are on the correct side of the price",
        "such an entry is rejected: place the stop below the close of a buy or above that of a sell, the target beyond",
    ),
    CheckName.REPEAT: (
        "a repeated call gives the same signals",
        "use no random numbers and no clock, and keep no state between calls",
    ),
    CheckName.MUTATION: ("the strategy does not change its input rows", "work on rows.copy() or on new arrays"),
    CheckName.ERROR: (
        "it runs with {least} rows and more",
        "it is called with as few as {least} rows (min_rows_required in services.yaml)",
    ),
}
"""Texts of each check: the property that holds when no fault was found, and the action when one was."""


def as_dict(name: str, params: Mapping[str, Any], origin: str, report: Report) -> dict[str, Any]:
    """Return the report, JSON-safe."""
    return {
        "ok": report.is_sound,
        "strategy": name,
        "params": params,
        "origin": origin,
        "startup_candle_count": report.startup_candle_count,
        "rows_limit": report.rows_limit,
        "least_rows": report.least_rows,
        "rows_enough": report.rows_enough,
        "row_counts_tried": report.row_counts_tried,
        "series": [asdict(one) for one in report.looked],
        "counts": {check.value: report.counts[check] for check in CheckName},
        "tried": {check.value: report.tried[check] for check in CheckName},
        "not_tried": {check.value: why for check in CheckName if (why := report.untried(check))},
        "findings": [asdict(finding) for finding in report.findings],
    }


def show(name: str, params: Mapping[str, Any], origin: str, report: Report) -> None:
    """Print the report for a terminal."""
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
    signals = ", ".join(f"{number:,} {side}" for number, side in sides)
    click.echo(f"\n{report.candles:,} candles checked: {signals}")
    if not report.candles:
        console.show(Text("No candle could be checked, so the result is not conclusive.", style="red"))
    elif report.is_sound and not report.signals:
        console.show(Text("The strategy gave no signal, so the result is not conclusive.", style="yellow"))


def _health(report: Report, check: CheckName) -> Text:
    if report.counts[check]:
        return Text("FAIL", style="bold red")
    return Text("not checked", style="yellow") if report.untried(check) else Text("ok", style="green")


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
    tried = f"tried: {', '.join(map(str, report.row_counts_tried))}"
    if report.rows_enough is None:
        return f"no number of rows gave the same signals ({tried}): compute a mean or sum over a fixed number of bars"
    return (
        f"{report.rows_enough} rows gave the same signals, {report.rows_enough - 1} did not ({tried}): "
        "set recent_rows_limit in services.yaml, or use an indicator"
    )
