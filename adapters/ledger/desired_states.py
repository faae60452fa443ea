"""Desired states of symbols: set by a user, or held for a while by a configuration change."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import symbols
from adapters.ledger.transaction import Transaction
from trading.lifecycle import DesiredState, HeldBy

_PRESENT = sa.select(symbols.c.desired, symbols.c.held_by).where(mine(symbols, "symbol"))
_CHANGE = (
    sa.update(symbols)
    .where(symbols.c.account == bindparam("of_account"), symbols.c.symbol == bindparam("of_symbol"))
    .values(
        desired=bindparam("wanted"),
        reason=bindparam("why"),
        changed_at_ms=bindparam("at_ms"),
        held_by=bindparam("holder"),
    )
)


def set_desired(tx: Transaction, symbol: str, state: DesiredState, reason: str) -> None:
    """Record the desired state of a symbol, and end a hold."""
    tx.write(tx.upserts.symbols, {"account": tx.account, "symbol": symbol, **_state(state, reason, "")})


def hold(tx: Transaction, symbol: str, state: DesiredState, held_by: HeldBy, reason: str) -> bool:
    """Set the state of a symbol that runs, and return whether it ran; a user's pause or stop stays."""
    row = tx.execute(_PRESENT, symbol=symbol).one_or_none()
    if row is None:
        held = {"account": tx.account, "symbol": symbol, **_state(state, reason, held_by.value)}
        tx.write(sa.insert(symbols), held)
    elif row.desired == DesiredState.RUNNING:
        tx.write(_CHANGE, _change_row(tx.account, symbol, state, reason, held_by.value))
    return row is None or row.desired == DesiredState.RUNNING


def release(tx: Transaction, symbol: str, held_by: HeldBy, reason: str) -> bool:
    """Let a held symbol run again, and return whether it does; False where a user or another change holds it."""
    row = tx.execute(_PRESENT, symbol=symbol).one_or_none()
    is_held = row is not None and row.held_by == held_by
    if is_held:
        tx.write(_CHANGE, _change_row(tx.account, symbol, DesiredState.RUNNING, reason, ""))
    return is_held


def _state(state: DesiredState, reason: str, held_by: str) -> dict[str, Any]:
    return {"desired": state.value, "reason": reason, "changed_at_ms": wall_ms(), "held_by": held_by}


def _change_row(account: str, symbol: str, state: DesiredState, reason: str, held_by: str) -> dict[str, Any]:
    key = {"of_account": account, "of_symbol": symbol}
    return {**key, "wanted": state.value, "why": reason, "at_ms": wall_ms(), "holder": held_by}
