"""Moved stops, in memory; see `adapters.ledger.stops`."""

from collections.abc import Collection, Sequence
from itertools import takewhile

from adapters.ledger.memory.symbol_books import SymbolBooks, position_of
from trading.portfolio.positions import StopMove
from trading.risk.stop_rules import EntryStop, why_not_moved
from trading.risk.verdict import RiskDecision
from trading.structs import replace


class MemoryStops:
    """The part of the ledger that moves stops."""

    def __init__(self) -> None:
        self._symbols: dict[str, SymbolBooks] = {}

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
        at = self._of(symbol)
        position, moves = position_of(at, symbol, strategy), at.moves.setdefault(strategy, {})
        if open_ms in moves:
            return _as_now(at, moves[open_ms])
        newest_ms = max(next(reversed(moves), -1), at.fences.get(strategy, -1))
        if not position.is_open or position.stop_loss == stop_loss or newest_ms > open_ms:
            return None
        opener = at.opener(position)
        entry = EntryStop(opener.request.client_order_id, opener.request.stop_loss) if opener else None
        refusal = why_not_moved(position, stop_loss, entry, desired=at.desired, halted=at.halted)
        entry_id = entry.entry_id if entry else ""
        before = position.stop_loss
        move = StopMove(symbol, strategy, open_ms, entry_id, before, stop_loss, reason, refusal, rule=rule)
        moves[open_ms] = move
        if opener is not None and not refusal:
            at.rest(position, opener, stop_loss)
        return _as_now(at, move)

    def resume_stop(self, symbol: str, strategy: str, entry_id: str, stop_loss: float) -> None:
        """Initialise a stop that was moved before, if a position of its entry is open."""
        at = self._of(symbol)
        position = position_of(at, symbol, strategy)
        opener = at.opener(position)
        if opener is not None and opener.request.client_order_id == entry_id:
            at.rest(position, opener, stop_loss)

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        at = self._of(move.symbol)
        position = position_of(at, move.symbol, move.strategy)
        opener, now = at.opener(position), _as_now(at, at.moves[move.strategy][move.open_ms])
        if opener is None or not now.is_current:
            return now
        at.rest(position, opener, move.before)
        refused = replace(move, refusal=reason, is_current=False)
        at.moves[move.strategy][move.open_ms] = refused
        return refused

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        at = self._of(symbol)
        move = at.moves.get(strategy, {}).get(open_ms)
        return None if move is None else _as_now(at, move)

    def opener(self, symbol: str, strategy: str) -> str | None:
        at = self._of(symbol)
        found = at.opener(position_of(at, symbol, strategy))
        return None if found is None else found.request.client_order_id

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        at = self._of(symbol)
        held = (position for position in at.positions.values() if position.is_open)
        entry_ids = {opener.request.client_order_id for position in held for opener in at.openers(position)}
        every = (move for moves in at.moves.values() for move in moves.values())
        found = [move for move in every if move.entry_id in entry_ids and not move.refusal]
        return sorted(found, key=lambda move: move.open_ms)

    def moves_since(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> dict[tuple[str, int], StopMove | RiskDecision]:
        """Return the moves of candles that opened at `since_ms` or later, by strategy and open time."""
        at = self._of(symbol)
        return {
            (strategy, open_ms): _as_now(at, at.moves[strategy][open_ms])
            for strategy in strategies
            for open_ms in takewhile(lambda one: one >= since_ms, reversed(at.moves.get(strategy, {})))
        }

    def _of(self, symbol: str) -> SymbolBooks:
        at = self._symbols.get(symbol)
        if at is None:
            at = self._symbols[symbol] = SymbolBooks()
        return at


def _as_now(at: SymbolBooks, move: StopMove) -> StopMove:
    """Return a recorded move, and whether it is still the position's present one."""
    position = position_of(at, move.symbol, move.strategy)
    opener = at.opener(position)
    unrefused = (one for one in reversed(at.moves.get(move.strategy, {}).values()) if not one.refusal)
    is_newest = next(unrefused, None) == move
    is_open = opener is not None and opener.request.client_order_id == move.entry_id
    return replace(move, is_current=is_newest and is_open)
