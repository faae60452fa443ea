"""Stops that are to rest elsewhere than their entry said: the position is changed with the reason beside it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from adapters.clock import now_ms as wall_ms
from adapters.ledger.decisions import verdict_of
from adapters.ledger.desired_states import LedgerHolds
from adapters.ledger.orders import INTENTS_TOUCHED
from adapters.ledger.queries.reads import mine
from adapters.ledger.restrictions import DESIRED, HALTED, desired_of
from adapters.ledger.rows import move_of, order_of_intent
from adapters.ledger.tables import Origin, decisions, fences, intents, positions, stop_moves
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
        decisions.c.origin != Origin.ADOPTION.value,  # under what was adopted no order of ours rests
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
    .values(refusal=bindparam("said"))
)


class LedgerStops(LedgerHolds):
    """Moves stops, under the account's lock."""

    def move_stop(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        stop_loss: float,
        reason: str,
        *,
        correlation_id: str,
        rule: str = "",
    ) -> StopMove | None:
        """Write down that a stop is to rest elsewhere; see `trading.ports.ledger.Ledger`."""
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        with self._writing() as connection:
            earlier = connection.execute(_MOVE, {**key, "open_ms": open_ms}).one_or_none()
            if earlier is not None:
                return self._as_now(connection, earlier)
            position = self._position(connection, symbol, strategy)
            at = connection.execute(_RECORD, key).one()
            is_past = max(at.fence_ms or 0, at.moved_ms or 0) > open_ms
            if not position.is_open or position.stop_loss == stop_loss or is_past:
                return None
            entry = self._opener(connection, position)
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
            connection.execute(_NEW, key | row)
            if not refusal:
                self._rest(connection, position, stop_loss)
            before = position.stop_loss
            return StopMove(symbol, strategy, open_ms, entry_id, before, stop_loss, reason, refusal, not refusal, rule)

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        """Write down that the venue refused a move; see `trading.ports.ledger.Ledger`."""
        key = {"account": self._account, "symbol": move.symbol, "strategy": move.strategy, "open_ms": move.open_ms}
        with self._writing() as connection:
            now = self._as_now(connection, connection.execute(_MOVE, key).one())
            if not now.is_current:
                return now
            self._rest(connection, self._position(connection, move.symbol, move.strategy), move.before)
            connection.execute(_REFUSE, self._refusing(move, reason))
        return replace(move, refusal=reason, is_current=False)

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        """Return what was written down of a candle; see `trading.ports.ledger.Ledger`."""
        key = {"account": self._account, "symbol": symbol, "strategy": strategy, "open_ms": open_ms}
        with self._reading.connect() as connection:
            row = connection.execute(_MOVE, key).one_or_none()
            return None if row is None else self._as_now(connection, row)

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        """Return the moves of open positions that were not refused; see `trading.ports.ledger.Ledger`."""
        with self._reading.connect() as connection:
            rows = connection.execute(_OF_OPEN_POSITIONS, {"account": self._account, "symbol": symbol}).all()
        return [move_of(row) for row in rows]

    def decisions_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | RiskDecision]:
        """Return what is written down of candles from a time on; see `trading.ports.ledger.Ledger`."""
        wanted = {"account": self._account, "symbol": symbol, "strategies": sorted(strategies), "since_ms": since_ms}
        found: dict[tuple[str, int], StopMove | RiskDecision] = {}
        with self._reading.connect() as connection:
            for row in connection.execute(_DECIDED_SINCE, wanted):
                found[row.strategy, row.open_ms] = verdict_of(row)
            moves = connection.execute(_MOVES_SINCE, wanted).all()
            newest = {row.strategy: row.open_ms for row in moves if row.refusal is None}
            for row in moves:
                is_newest = newest.get(row.strategy) == row.open_ms
                move = self._as_now(connection, row) if is_newest else replace(move_of(row), is_current=False)
                found[row.strategy, row.open_ms] = move
        return found

    def _as_now(self, connection: Connection, row: Any) -> StopMove:
        """Return a move as it was written down, and whether the stop is to rest there still."""
        key = {"account": self._account, "symbol": row.symbol, "strategy": row.strategy}
        move = move_of(row)
        is_newest = connection.execute(_NEWEST, key).scalar() == move.open_ms
        entry = self._opener(connection, self._position(connection, move.symbol, move.strategy)) if is_newest else None
        return replace(move, is_current=entry is not None and entry.entry_id == move.entry_id)

    def _opener(self, connection: Connection, position: Position) -> EntryStop | None:
        """Return the entry that opened a position; None when nothing is open, or no order of ours opened it."""
        if not position.is_open:
            return None
        side = Side.BUY if position.units > 0 else Side.SELL
        key = {"account": self._account, "symbol": position.symbol, "strategy": position.strategy, "side": side.value}
        row = connection.execute(_OPENER, key).one_or_none()
        return None if row is None else EntryStop(row.client_order_id, row.stop_loss)

    def _rest(self, connection: Connection, position: Position, stop_loss: float | None) -> None:
        """Have the stop of a position rest elsewhere, and its entries hold of the account what they may lose there."""
        moved = replace(position, stop_loss=stop_loss)
        connection.execute(self._put_position, [self._position_row(moved)])
        key = {"account": self._account, "symbol": position.symbol, "filled": []}
        for row in connection.execute(INTENTS_TOUCHED, key).all():
            if row.strategy == position.strategy:
                order = order_of_intent(row)
                order.reserve(moved)
                if order.risk_reserved != row.risk_reserved:
                    self._write_order(connection, position.symbol, order)

    def _refusing(self, move: StopMove, reason: str) -> dict[str, Any]:
        key = {"of_account": self._account, "of_symbol": move.symbol, "of_strategy": move.strategy}
        return {**key, "of_candle": move.open_ms, "said": reason}
