"""Moves of stops: the position's stop is changed, and the move is recorded with its reason."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger.decisions import verdict_of
from adapters.ledger.fills import INTENTS_TOUCHED, write_position
from adapters.ledger.orders import write_order
from adapters.ledger.queries import reads
from adapters.ledger.queries.reads import mine
from adapters.ledger.queries.restrictions import DESIRED, HALTED, desired_of
from adapters.ledger.rows import move_of, order_of_intent
from adapters.ledger.tables import Origin, decisions, fences, intents, positions, stop_moves
from adapters.ledger.transaction import Reader, Transaction
from trading.orders.orders import Leg, Side
from trading.portfolio.positions import Position, StopMove
from trading.risk.stop_rules import EntryStop, why_not_moved
from trading.risk.verdict import RiskDecision
from trading.structs import replace

_OPENED = sa.and_(intents.c.leg == Leg.ENTRY.value, intents.c.risk_reserved.is_not(None), intents.c.filled_units > 0)
_OPENER = (
    sa.select(intents.c.client_order_id, intents.c.stop_loss)
    .join(decisions, decisions.c.id == intents.c.decision_id)
    .where(
        mine(intents, "symbol", "strategy"),
        _OPENED,
        intents.c.side == bindparam("side"),
        decisions.c.origin != Origin.ADOPTION.value,  # an adopted position has no resting order of ours
    )
    .order_by(intents.c.decision_id.desc(), intents.c.sequence.desc())
    .limit(1)
)
_MOVE = sa.select(stop_moves).where(mine(stop_moves, "symbol", "strategy", "open_ms"))
_NEWEST_MS = sa.select(sa.func.max(stop_moves.c.open_ms)).where(mine(stop_moves, "symbol", "strategy"))
_NEWEST = _NEWEST_MS.where(stop_moves.c.refusal.is_(None))
_RECORD = sa.select(
    sa.select(fences.c.open_ms).where(mine(fences, "symbol", "strategy")).scalar_subquery().label("fence_ms"),
    _NEWEST_MS.scalar_subquery().label("moved_ms"),
    DESIRED,
    HALTED,
)
_OF_OPEN_POSITIONS = (
    sa.select(stop_moves)
    .join(intents, intents.c.client_order_id == stop_moves.c.entry_id)
    .where(
        mine(stop_moves, "symbol"),
        stop_moves.c.refusal.is_(None),
        _OPENED,
        sa.exists().where(
            positions.c.account == stop_moves.c.account,
            positions.c.symbol == stop_moves.c.symbol,
            positions.c.strategy == stop_moves.c.strategy,
            sa.or_(
                sa.and_(positions.c.units > 0, intents.c.side == Side.BUY.value),
                sa.and_(positions.c.units < 0, intents.c.side == Side.SELL.value),
            ),
        ),
    )
    .order_by(stop_moves.c.open_ms)
)
_STRATEGIES: sa.BindParameter[Sequence[str]] = bindparam("strategies", expanding=True)
_MOVES_SINCE = (
    sa.select(stop_moves)
    .where(
        mine(stop_moves, "symbol"),
        stop_moves.c.strategy.in_(_STRATEGIES),
        stop_moves.c.open_ms >= bindparam("since_ms"),
    )
    .order_by(stop_moves.c.open_ms)
)
_DECIDED_SINCE = sa.select(
    decisions.c.strategy,
    decisions.c.open_ms,
    decisions.c.rule,
    decisions.c.reason,
    decisions.c.breached,
    decisions.c.exit_rule,
).where(
    mine(decisions, "symbol"),
    decisions.c.strategy.in_(_STRATEGIES),
    decisions.c.open_ms >= bindparam("since_ms"),
    decisions.c.origin == Origin.SIGNAL.value,
)
_NEW = sa.insert(stop_moves)
_REFUSE = (
    sa.update(stop_moves)
    .where(
        stop_moves.c.account == bindparam("of_account"),
        stop_moves.c.symbol == bindparam("of_symbol"),
        stop_moves.c.strategy == bindparam("of_strategy"),
        stop_moves.c.open_ms == bindparam("of_candle"),
    )
    .values(refusal=bindparam("new_refusal"))
)


def move_stop(
    tx: Transaction,
    symbol: str,
    strategy: str,
    open_ms: int,
    stop_loss: float,
    reason: str,
    *,
    correlation_id: str,
    rule: str,
) -> StopMove | None:
    """Record a new stop price of a position, once for each candle; None if there is nothing to move."""
    key = {"symbol": symbol, "strategy": strategy}
    earlier = tx.execute(_MOVE, **key, open_ms=open_ms).one_or_none()
    if earlier is not None:
        return _as_now(tx, earlier)
    position = reads.position(tx, symbol, strategy)
    at = tx.execute(_RECORD, **key).one()
    is_past = max(at.fence_ms or 0, at.moved_ms or 0) > open_ms
    if not position.is_open or position.stop_loss == stop_loss or is_past:
        return None
    entry = _opener(tx, position)
    refusal = why_not_moved(position, stop_loss, entry, desired=desired_of(at), halted=at.halted)
    entry_id = entry.entry_id if entry else ""
    row = {
        "open_ms": open_ms,
        "entry_id": entry_id,
        "price_before": position.stop_loss,
        "price_after": stop_loss,
        "rule": rule or None,
        "reason": reason,
        "refusal": refusal or None,
        "correlation_id": correlation_id,
        "written_at_ms": wall_ms(),
    }
    tx.write(_NEW, {"account": tx.account} | key | row)
    if not refusal:
        _change_stop(tx, position, stop_loss)
    before = position.stop_loss
    return StopMove(symbol, strategy, open_ms, entry_id, before, stop_loss, reason, refusal, not refusal, rule)


def refuse_stop(tx: Transaction, move: StopMove, reason: str) -> StopMove:
    """Record that the venue rejected a move; a move that is no longer current is returned unchanged."""
    key = {"symbol": move.symbol, "strategy": move.strategy, "open_ms": move.open_ms}
    now = _as_now(tx, tx.execute(_MOVE, **key).one())
    if not now.is_current:
        return now
    _change_stop(tx, reads.position(tx, move.symbol, move.strategy), move.before)
    tx.write(_REFUSE, _refusal(tx.account, move, reason))
    return replace(move, refusal=reason, is_current=False)


def move_of_candle(reader: Reader, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
    row = reader.execute(_MOVE, symbol=symbol, strategy=strategy, open_ms=open_ms).one_or_none()
    return None if row is None else _as_now(reader, row)


def opener(reader: Reader, symbol: str, strategy: str) -> str | None:
    entry = _opener(reader, reads.position(reader, symbol, strategy))
    return None if entry is None else entry.entry_id


def moves_of_open_positions(reader: Reader, symbol: str) -> Sequence[StopMove]:
    return [move_of(row) for row in reader.execute(_OF_OPEN_POSITIONS, symbol=symbol).all()]


def decisions_since(
    reader: Reader, symbol: str, strategies: Collection[str], since_ms: int
) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
    """Return the move of a stop, else the decision, of each candle from a time on, by strategy and open time."""
    parameters = {"symbol": symbol, "strategies": sorted(strategies), "since_ms": since_ms}
    found: dict[tuple[str, int], StopMove | RiskDecision] = {}
    for row in reader.execute(_DECIDED_SINCE, **parameters):
        found[row.strategy, row.open_ms] = verdict_of(row)
    moves = reader.execute(_MOVES_SINCE, **parameters).all()
    newest = {row.strategy: row.open_ms for row in moves if row.refusal is None}
    for row in moves:
        is_newest = newest.get(row.strategy) == row.open_ms
        move = _as_now(reader, row) if is_newest else replace(move_of(row), is_current=False)
        found[row.strategy, row.open_ms] = move
    return found


def _as_now(reader: Reader, row: Any) -> StopMove:
    """Return a recorded move, and whether it is still the position's present one."""
    move = move_of(row)
    is_newest = reader.execute(_NEWEST, symbol=move.symbol, strategy=move.strategy).scalar() == move.open_ms
    entry = _opener(reader, reads.position(reader, move.symbol, move.strategy)) if is_newest else None
    return replace(move, is_current=entry is not None and entry.entry_id == move.entry_id)


def _opener(reader: Reader, position: Position) -> EntryStop | None:
    """Return the entry that opened a position; None when it is flat, or when no order of ours opened it."""
    if not position.is_open:
        return None
    side = Side.BUY if position.units > 0 else Side.SELL
    key = {"symbol": position.symbol, "strategy": position.strategy, "side": side.value}
    row = reader.execute(_OPENER, **key).one_or_none()
    return None if row is None else EntryStop(row.client_order_id, row.stop_loss)


def _change_stop(tx: Transaction, position: Position, stop_loss: float | None) -> None:
    """Change the stop of a position, and the risk that its entries reserve."""
    moved = replace(position, stop_loss=stop_loss)
    write_position(tx, moved)
    for row in tx.execute(INTENTS_TOUCHED, symbol=position.symbol, filled=[]).all():
        if row.strategy == position.strategy:
            order = order_of_intent(row)
            order.reserve(moved)
            if order.risk_reserved != row.risk_reserved:
                write_order(tx, position.symbol, order)


def _refusal(account: str, move: StopMove, reason: str) -> dict[str, Any]:
    key = {"of_account": account, "of_symbol": move.symbol, "of_strategy": move.strategy}
    return {**key, "of_candle": move.open_ms, "new_refusal": reason}
