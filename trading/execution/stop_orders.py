"""The way of a moved stop to the venue: what the ledger wants is sent, and sent again while it is not known to rest."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from trading.errors import Rejected, Transient
from trading.execution.retry_budget import RetryBudget
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OpenOrder, protective_order_id
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import IncidentLog, OrderLog, Positions, StopLog
from trading.ports.venue import Venue
from trading.risk.stop_rules import is_protected, of_strategy, unsent
from trading.tolerance import is_close
from trading.trading_state import permissions


class StopLedger(StopLog, OrderLog, IncidentLog, Positions, Protocol):
    """The parts of the ledger that sending a stop needs."""


class StopSender:
    """The stops of one symbol, between the ledger and the venue.

    Attributes:
        are_all_sent: What a process before this one wrote down has reached the venue.
    """

    def __init__(self, symbol: str, venue: Venue, ledger: StopLedger, retry_budget: RetryBudget) -> None:
        self._symbol = symbol
        self._venue = venue
        self._ledger = ledger
        self._retry_budget = retry_budget
        self._moved_ms: dict[str, int] = {}
        self.are_all_sent = False

    def send_all(self) -> list[StopMove]:
        """Have the venue move what was written down and may not have reached it, before it sees another candle.

        Returns:
            What was sent.

        Raises:
            Transient: It did not answer.
        """
        sent: list[StopMove] = []
        moves = self._ledger.stop_moves(self._symbol)
        if moves and self._may_move():
            resting = self._retry_budget.ask(lambda: self._venue.open_orders(self._symbol))
            held = [one for one in self._ledger.positions() if one.symbol == self._symbol and one.is_open]
            whose = self.whose(held, resting)
            for position in held:
                mine = of_strategy(position.strategy, resting, whose)
                move = None if is_protected(position, mine) else unsent(position, mine, moves)
                if move is not None:
                    sent.append(self._rest(move))
        self.are_all_sent = True
        return sent

    def _may_move(self) -> bool:
        """Return whether no incident is open that halts the symbol.

        Whether it was stopped is not asked: no chain of a stopped symbol comes here, and one that was under way when it
        was stopped must not show the venue a candle before the stops that are recorded.
        """
        halted = next((one.reason for one in self._ledger.incidents_of(self._symbol) if one.kind.halts), None)
        return permissions(DesiredState.RUNNING, halted=halted).stop_moves

    def is_sent(self, move: StopMove) -> bool:
        """Return whether this sender had the venue move the stop at that candle."""
        return self._moved_ms.get(move.strategy) == move.open_ms

    def send(self, move: StopMove) -> StopMove:
        """Have the venue move a stop, and return the move: refused where the venue refuses it.

        Raises:
            Transient: It is not known in the end whether it did; then all is to be sent again.
        """
        sent = self._rest(move)
        self._moved_ms[move.strategy] = move.open_ms
        return sent

    def try_send(self, move: StopMove) -> StopMove:
        """As `send`, once.

        Raises:
            Transient: It is not known whether the venue moved it.
        """
        try:
            self._venue.move_stop(move.entry_id, move.after, move.open_ms)
        except Rejected as refusal:
            return self._ledger.refuse_stop(move, f"the venue refused it: {refusal}")
        return move

    def is_overtaken(self, move: StopMove) -> bool:
        """Return whether a later move was written down while this one was sent: then that one is to be sent again."""
        now = self._ledger.stop_move(self._symbol, move.strategy, move.open_ms)
        return now is not None and not (now.is_current or now.refusal)

    def whose(self, positions: Sequence[Position], open_orders: Sequence[OpenOrder] | None) -> Mapping[str, str]:
        """Return the strategies of resting orders by their ids; nothing where one strategy alone holds something."""
        if sum(one.is_open for one in positions) < 2:
            return {}
        return self._ledger.order_strategies([order.client_order_id for order in open_orders or ()])

    def unsent(
        self, positions: Sequence[Position], open_orders: Sequence[OpenOrder] | None, whose: Mapping[str, str]
    ) -> Sequence[StopMove]:
        """Return the moves that may explain a stop which does not rest where it shall; none where each one does."""
        held = [one for one in positions if one.is_open]
        if open_orders is None or all(is_protected(one, of_strategy(one.strategy, open_orders, whose)) for one in held):
            return ()
        return self._ledger.stop_moves(self._symbol)

    def _rest(self, move: StopMove) -> StopMove:
        waits = self._retry_budget.waits()
        while True:
            try:
                return self.try_send(move)
            except Transient:
                if self._rests(move):
                    return move
                if next(waits, None) is None:
                    self.are_all_sent = False
                    raise

    def _rests(self, move: StopMove) -> bool:
        identity = protective_order_id(move.entry_id, Leg.STOP_LOSS)
        with suppress(Transient):
            return any(
                order.client_order_id == identity and order.price is not None and is_close(order.price, move.after)
                for order in self._retry_budget.ask(lambda: self._venue.open_orders(self._symbol))
            )
        return False
