"""The status of all symbols as one log line; beat sends the task each `status_log_interval`, any worker runs it."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.wiring.symbol_status import SymbolStatus, read_status
from tasks import app
from tasks.engine.stages import LOG_STATUS
from tasks.engine.worker_context import runtime
from trading.errors import Transient
from trading.formatting import MONEY_DECIMALS

logger = logging.getLogger("trading.status")

_INCIDENTS_COUNTED = 1_000


@app.task(name=LOG_STATUS)
def log_status() -> None:
    """Log the status of the account and of each symbol."""
    here = runtime()
    ledger = here.stores.ledger
    try:
        rows = read_status(here.stores.redis, ledger, here.system, here.settings.namespace)
        balance, incidents = ledger.balance(), len(ledger.incidents(limit=_INCIDENTS_COUNTED))
    except Transient as error:
        logger.warning("status_unknown reason=%s", error)
        return
    fields = {
        "account": here.system.account.name,
        "balance": _rounded(balance),
        "pnl": _rounded(sum(row.realised + row.unrealised for row in rows)),
        "open_incidents": incidents,
        "symbols": [symbol_fields(row) for row in rows],
    }
    line = status_line(rows, balance, incidents, here.system.account.money_decimals)
    logger.info("%s", line, extra={"event": "status", "fields": fields})


def symbol_fields(row: SymbolStatus) -> dict[str, Any]:
    """Return the log's fields of one symbol; prices and profits in quote currency."""
    return {
        "symbol": row.symbol,
        "state": row.state,
        "candle": None if row.candle_ms is None else _utc(row.candle_ms).isoformat(),
        "close": row.close,
        "units": row.units,
        "average_price": _rounded(row.average_price),
        "realised": _rounded(row.realised),
        "unrealised": _rounded(row.unrealised),
        "pnl": _rounded(row.realised + row.unrealised),
        "reason": row.halted or row.at_risk or row.error,
        "last_error": row.last_error_words,
    }


def status_line(rows: Sequence[SymbolStatus], balance: float, incidents: int, decimals: int = MONEY_DECIMALS) -> str:
    """Return the line as text: the account, then each symbol with its last candle, position and profit."""
    pnl = sum(row.realised + row.unrealised for row in rows)
    account = f"status balance {balance:,.{decimals}f} P&L {pnl:+,.{decimals}f} incidents {incidents}"
    return " | ".join([account, *(_symbol_text(row, decimals) for row in rows)])


def _symbol_text(row: SymbolStatus, decimals: int) -> str:
    candle = "-" if row.candle_ms is None else f"{_utc(row.candle_ms):%m-%d %H:%M}"
    held = f"{row.units:+g} @ {row.average_price:,.6g}" if row.units else "flat"
    return f"{row.symbol} {row.state_words} {candle} {held} P&L {row.realised + row.unrealised:+,.{decimals}f}"


def _rounded(amount: float) -> float:
    """Return an amount without the digits that binary floating point adds: twelve digits of any amount."""
    return float(f"{amount:.12g}")


def _utc(open_ms: int) -> datetime:
    return datetime.fromtimestamp(open_ms / 1000, UTC)
