"""Fences by strategy, and their reset by an operator."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from adapters.clock import now_ms
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import fence_resets, fences
from adapters.ledger.transaction import Reader, Transaction
from trading.structs import asdict

CURSOR = ""
"""In place of a strategy: the cursor of the symbol in Redis."""

_FENCES = sa.select(fences.c.strategy, fences.c.open_ms).where(mine(fences, "symbol")).order_by(fences.c.strategy)
_RESETS = (
    sa.select(fence_resets)
    .where(mine(fence_resets, "symbol"))
    .order_by(fence_resets.c.id.desc())
    .limit(sa.bindparam("limit"))
)


class FenceReset(Struct, frozen=True):
    """A request to set the fences of a symbol.

    Attributes:
        to_ms: Open time of the last candle that counts as decided, milliseconds since the epoch, UTC.
        by: Who asked.
    """

    symbol: str
    to_ms: int
    reason: str
    by: str


class FenceChange(Struct, frozen=True):
    """One fence that was set; times in milliseconds since the epoch, UTC.

    Attributes:
        strategy: `CURSOR` for the cursor in Redis.
        before_ms: None where there was none.
    """

    strategy: str
    before_ms: int | None
    after_ms: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-safe."""
        return asdict(self)


def fences_of(reader: Reader, symbol: str) -> Mapping[str, int]:
    """Return the fence of each strategy of a symbol that has decided."""
    return {row.strategy: row.open_ms for row in reader.execute(_FENCES, symbol=symbol)}


def resets_of(reader: Reader, symbol: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest resets first, as plain dictionaries."""
    return [dict(row._mapping) for row in reader.execute(_RESETS, symbol=symbol, limit=limit)]


def reset(
    tx: Transaction, request: FenceReset, cursor_ms: int | None, strategies: Collection[str]
) -> list[FenceChange]:
    """Set the fences of a symbol, and record each change; return those that differ from before.

    Args:
        cursor_ms: The cursor in Redis before; None where Redis knows nothing of the symbol.
        strategies: Those that get a fence even if they have decided nothing yet.
    """
    before: dict[str, int | None] = dict.fromkeys(strategies)
    before |= fences_of(tx, request.symbol)
    if cursor_ms is not None:
        before[CURSOR] = cursor_ms
    changes = [FenceChange(name, ms, request.to_ms) for name, ms in sorted(before.items()) if ms != request.to_ms]
    for change in changes:
        if change.strategy != CURSOR:
            tx.write(tx.upserts.fences, _fence_row(tx, request, change.strategy))
        tx.write(sa.insert(fence_resets), _reset_row(tx, request, change))
    return changes


def _fence_row(tx: Transaction, request: FenceReset, strategy: str) -> dict[str, Any]:
    return {"account": tx.account, "symbol": request.symbol, "strategy": strategy, "open_ms": request.to_ms}


def _reset_row(tx: Transaction, request: FenceReset, change: FenceChange) -> dict[str, Any]:
    return {
        "account": tx.account,
        "symbol": request.symbol,
        "reason": request.reason,
        "by": request.by,
        "written_at_ms": now_ms(),
        **change.as_dict(),
    }
