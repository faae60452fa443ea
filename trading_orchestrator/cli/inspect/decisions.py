"""`trading decisions`: show the decision on each candle."""

from typing import Any

import click
from rich.text import Text

from adapters.symbol_store.journal import JournalReader
from trading.events.decisions import describe
from trading.events.journal import Entry
from trading.formatting import format_minute, format_price_cell
from trading.risk.verdict import WITHOUT_EFFECT
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.inspect.books import JSON, LIMIT, Row
from trading_orchestrator.cli.output import MIDDLE, Column, make_console, print_json, table

STYLES = {"accepted": "green", "refused": "red", "dry": "yellow"}


@click.command()
@click.argument("symbol")
@LIMIT
@JSON
def decisions(symbol: str, limit: int, as_json: bool) -> None:
    """Show the decision on each candle, with its reason.

    Lists the newest candles of SYMBOL from the journal, newest last. For a candle with a signal, the ledger adds
    whether the rules accepted or rejected it, and by which rule.
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
    """Return the newest `limit` rows of journal and ledger, joined by candle, oldest first.

    A candle with signals of several strategies has one row for each, with that strategy's decision. The journal in
    Redis is shorter than the ledger: a candle that only the ledger has shows no close and no regime, and its decision
    is the ledger's reason.
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
    if row.get("rule") in WITHOUT_EFFECT:
        return Text("no effect", style="dim")
    return Text(row["outcome"] or "-", style=STYLES.get(row["outcome"], "dim"))


COLUMNS = (
    Column("candle (UTC)", lambda row: format_minute(row["open_ms"])),
    Column("close", lambda row: format_price_cell(row["close"]), is_number=True),
    Column("regime", lambda row: row["regime"] or "-", least_width=MIDDLE),
    Column("signal", _outcome),
    Column("decision", lambda row: row["decision"], is_prose=True),
)
