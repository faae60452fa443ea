"""`trading decisions`: what was decided on each candle, and why."""

from typing import Any, cast

import click
from rich.text import Text

from adapters import keys
from adapters.redis_client import talking_to_redis
from worker.commands.access import Access
from worker.commands.books import JSON, LIMIT, Row
from worker.commands.output import MIDDLE, Column, make_console, minute, price, print_json, table

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
        console.tell(table(COLUMNS, rows, width=console.width))
    else:
        console.tell(Text(f"no decisions on {symbol} yet"))


def read_decisions(access: Access, symbol: str, limit: int) -> list[Row]:
    """Return the newest `limit` candles of journal and ledger together, oldest first.

    Redis may have lost what the ledger still knows: such a candle has no close, no regime, and the ledger's own words.
    """
    verdicts = {row["open_ms"]: row for row in access.ledger.decisions(symbol, limit)}
    entries = _journal(access, symbol, limit)
    opens = sorted(verdicts.keys() | entries.keys())[-limit:]
    return [_joined(open_ms, entries.get(open_ms), verdicts.get(open_ms)) for open_ms in opens]


def _journal(access: Access, symbol: str, limit: int) -> dict[int, dict[str, str]]:
    with talking_to_redis():
        answer = access.redis.xrevrange(keys.journal(access.settings.namespace, symbol), count=limit)
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", answer)
    return {
        int(identity.split(b"-")[0]): {key.decode(): value.decode() for key, value in fields.items()}
        for identity, fields in entries
    }


def _joined(open_ms: int, entry: dict[str, str] | None, verdict: Row | None) -> Row:
    entry, known = entry or {}, verdict or {}
    return {
        "open_ms": open_ms,
        "close": float(entry["close"]) if "close" in entry else None,
        "regime": entry.get("regime"),
        "decision": entry.get("decision") or known.get("reason"),
        "outcome": known.get("outcome"),
        "rule": known.get("rule"),
        "reason": known.get("reason"),
        "strategy": known.get("strategy"),
        "correlation_id": entry.get("correlation_id") or known.get("correlation_id"),
    }


def _outcome(row: Any) -> Text:
    return Text(row["outcome"] or "-", style=STYLES.get(row["outcome"], "dim"))


COLUMNS = (
    Column("candle (UTC)", lambda row: minute(row["open_ms"])),
    Column("close", lambda row: price(row["close"]), is_number=True),
    Column("regime", lambda row: row["regime"] or "-", least_width=MIDDLE),
    Column("signal", _outcome),
    Column("decision", lambda row: row["decision"], is_prose=True),
)
