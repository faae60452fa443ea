"""`trading replay`: replay a recorded live run and print the first difference."""

from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.text import Text

from adapters.backtest.read_recording import Found, read_recording
from adapters.backtest.replay_journal import replay_recorded
from configs.loading import SystemConfig
from trading.backtest.comparison import Comparison, Difference, compare
from trading.formatting import format_minute
from trading.structs import asdict
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import Column, make_console, print_json, progress_bar, table

_COUNTED = ("candles", "decisions", "orders", "fills")


def replay_journal(
    system: SystemConfig, symbols: Iterable[str], *, from_ms: int | None, to_ms: int | None, as_json: bool
) -> None:
    """Replay the recordings of an account and print the first difference; exit with 1 when there is one.

    All symbols of the account are replayed together, because they share its limits.

    Args:
        symbols: Symbols that must be recorded.
    """
    with Access() as access:
        ledger_ready(access)
        found = read_recording(
            access.redis, access.engine, access.settings.namespace, system, from_ms=from_ms, to_ms=to_ms
        )
    missing = [symbol for symbol in symbols if symbol not in found.recording.tracks]
    if missing:
        raise Failed(ExitCode.NO, _nothing_of(missing, found, access.settings.journal_max_len))
    with progress_bar("replaying") as bar:
        whole = sum(len(track.entries) for track in found.recording.tracks.values())
        recorded, replayed = replay_recorded(system, found.recording, on_progress=lambda done: bar.show(done, whole))
    comparison = compare(recorded, replayed, left_out=found.left_out, notes=found.notes)
    if as_json:
        print_json(as_dict(comparison, found))
    else:
        _print_result(comparison, found)
    if comparison.differences:
        raise click.exceptions.Exit(ExitCode.NO)


def ledger_ready(access: Access) -> None:
    """Check that the ledger exists with the required schema.

    Raises:
        Failed: It does not.
    """
    assert access.ledger


def as_dict(comparison: Comparison, found: Found) -> dict[str, Any]:
    """Return a comparison, JSON-safe: the first difference and the number of all."""
    first = next(iter(comparison.differences), None)
    return {
        "is_identical": comparison.is_identical and not comparison.left_out,
        "counts": dict(comparison.counts),
        "first_difference": None if first is None else asdict(first),
        "difference_count": len(comparison.differences),
        "left_out": list(comparison.left_out),
        "notes": list(comparison.notes),
        "symbols": {
            symbol: {
                "candle_count": len(track.entries),
                "first_open_ms": track.begin_ms,
                "last_open_ms": track.entries[-1].open_ms,
            }
            for symbol, track in found.recording.tracks.items()
        },
    }


def _print_result(comparison: Comparison, found: Found) -> None:
    console = make_console()
    for symbol, track in found.recording.tracks.items():
        span = f"{format_minute(track.begin_ms)} to {format_minute(track.entries[-1].open_ms)} UTC"
        console.show(Text(f"{symbol} {track.timeframe}: {len(track.entries):,} candles, {span}", style="dim"))
    counted = ", ".join(f"{comparison.counts[part]:,} {part}" for part in _COUNTED)
    if comparison.differences:
        console.show(Text(f"{len(comparison.differences):,} differences in {counted}; the first:", style="bold red"))
        _print_difference(console.show, comparison.differences[0], console.width)
    elif comparison.left_out:
        console.show(Text(f"no difference in the comparable part: {counted}", style="yellow"))
    else:
        console.show(Text(f"identical: {counted}", style="bold green"))
    for line in comparison.left_out:
        console.show(Text(f"not compared: {line}", style="yellow"))
    for line in comparison.notes:
        console.show(Text(line, style="dim"))


def _print_difference(show: Any, found: Difference, width: int) -> None:
    name = " ".join(str(part) for part in found.key)
    show(Text(f"{found.part[:-1]} {name} at {format_minute(found.market_ms)} UTC"))
    if found.recorded is None or found.replayed is None:
        where, row = ("replay", found.replayed) if found.recorded is None else ("live run", found.recorded)
        show(Text(f"only in the {where}: {_row_text(row or {})}"))
        return
    rows = [(column, found.recorded.get(column), found.replayed.get(column)) for column in found.columns]
    show(table(_COLUMNS, rows, width=width))


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items() if key != "market_ms" and value is not None)


def _nothing_of(missing: list[str], found: Found, journal_max_len: int) -> str:
    why = [line for line in (*found.left_out, *found.notes) if any(symbol in line for symbol in missing)]
    return "\n".join(
        (
            f"no recording of {', '.join(missing)} in that time",
            *why,
            f"a journal holds the newest {journal_max_len:,} candles of its symbol (TRADING__JOURNAL_MAX_LEN)",
        )
    )


_COLUMNS = (
    Column("", lambda row: row[0]),
    Column("live run", lambda row: str(row[1]), is_prose=True),
    Column("replay", lambda row: str(row[2]), is_prose=True),
)
