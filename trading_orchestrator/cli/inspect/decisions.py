"""`trading decisions`: what was decided on each candle, and why."""

from typing import Any

import click
from rich.text import Text

from adapters.symbol_store.journal import JournalReader
from trading.events.decisions import describe
from trading.events.journal import Entry
from trading.formatting import format_minute, format_price_cell
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.inspect.books import JSON, LIMIT, Row
from trading_orchestrator.cli.output import MIDDLE, Column, make_console, print_json, table

STYLES = {"accepted": "green", "refused": "red", "dry": "yellow"}


@click.command()
@click.argument("symbol")
@LIMIT
@JSON
def decisions(symbol: str, limit: int, as_json: bool) -> None:
    """Show what was decided on each candle, and why.

    The newest candles of SYMBOL, the newest last. Each has an entry in the journal; where a strategy gave a signal, the
    ledger adds whether the rules accepted or refused it, and by which rule.
    """
    with Access() as access:
        rows = read_decisions(access, symbol, limit)
        if not rows:
            access.known(symbol)
    if as_json:
        print_json(rows)
        return
    console = make_console()
    if rows:
        console.show(table(COLUMNS, rows, width=console.width))
    else:
        console.show(Text(f"no decisions on {symbol} yet"))


def read_decisions(access: Access, symbol: str, limit: int) -> list[Row]:
    """Return the newest `limit` rows of journal and ledger together, oldest first: one for each candle.

    A candle on which several strategies had a signal has a row for each, with the words of its own decision. Redis may
    have lost what the ledger still knows: such a candle has no close, no regime, and the ledger's own words.
    """
    verdicts: dict[int, list[Row | None]] = {}
    for row in reversed(access.ledger.decisions(symbol, limit)):
        verdicts.setdefault(row["open_ms"], []).append(row)
    journal = JournalReader(access.redis, access.settings.namespace, symbol)
    entries = {entry.open_ms: entry for entry in journal.newest(limit)}
    opens = sorted(verdicts.keys() | entries.keys())[-limit:]
    found = []
    for open_ms in opens:
        decided = verdicts.get(open_ms, [None])
        rows = [_joined(open_ms, entries.get(open_ms), verdict) for verdict in decided]
        found += rows if len(rows) == 1 else [row | {"decision": f"{row['strategy']}: {row['reason']}"} for row in rows]
    return found[-limit:]


def _joined(open_ms: int, entry: Entry | None, verdict: Row | None) -> Row:
    known = verdict or {}
    return {
        "open_ms": open_ms,
        "close": entry.close if entry else None,
        "regime": entry.regime if entry else None,
        "decision": (describe(entry.decisions) if entry else None) or known.get("reason"),
        "outcome": known.get("outcome"),
        "rule": known.get("rule"),
        "reason": known.get("reason"),
        "strategy": known.get("strategy"),
        "correlation_id": entry.correlation_id if entry else known.get("correlation_id"),
    }


def _outcome(row: Any) -> Text:
    return Text(row["outcome"] or "-", style=STYLES.get(row["outcome"], "dim"))


COLUMNS = (
    Column("candle (UTC)", lambda row: format_minute(row["open_ms"])),
    Column("close", lambda row: format_price_cell(row["close"]), is_number=True),
    Column("regime", lambda row: row["regime"] or "-", least_width=MIDDLE),
    Column("signal", _outcome),
    Column("decision", lambda row: row["decision"], is_prose=True),
)
