"""Stop moves on their way to the venue: a recorded move is sent, and resent until the stop rests at its price."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from trading.errors import Rejected, Transient
from trading.execution.symbol_venue import SymbolVenue
from trading.orders.orders import Leg, OpenOrder, protective_order_id
from trading.portfolio.positions import Position, StopMove
from trading.ports.ledger import OrderLog, Positions, StopLog
from trading.risk.stop_rules import is_protected, of_strategy, unsent
from trading.structs import replace
from trading.tolerance import is_same_price
from trading.trading_state import Processing


class StopLedger(StopLog, OrderLog, Positions, Protocol):
    """The parts of the ledger that stop orders need."""


class StopSender:
    """The stops of one symbol, between the ledger and the venue.

    Attributes:
        are_all_sent: The moves that an earlier process recorded have reached the venue.
    """

    def __init__(self, venue: SymbolVenue, ledger: StopLedger, *, unit_step: float = 0.0) -> None:
        self._unit_step = unit_step
        self._symbol = venue.symbol
        self._venue = venue
        self._ledger = ledger
        self._moved_ms: dict[str, int] = {}
        self.are_all_sent = False

    def send_all(self) -> list[StopMove]:
        """Send the recorded moves that may not have reached the venue, before it is shown another candle.

        Returns:
            The moves that were sent; none while an incident halts the symbol, and then they are still to be sent.

        Raises:
            Transient: The venue does not answer, or the symbol was stopped: then the venue is shown no candle either.
        """
        sent: list[StopMove] = []
        moves = self._ledger.stop_moves(self._symbol)
        permitted = self._ledger.permissions(self._symbol) if moves else None
        if permitted and not permitted.stop_moves:
            if permitted.processing is Processing.NOTHING:
                raise self._not_permitted()
            return sent
        if moves:
            resting = self._venue.open_orders()
            held = [one for one in self._ledger.positions() if one.symbol == self._symbol and one.is_open]
            whose = self.whose(held, resting)
            for position in held:
                mine = of_strategy(position.strategy, resting, whose)
                move = None if self._is_protected(position, mine) else unsent(position, mine, moves)
                if move is not None:
                    sent.append(self._rest(move))
        self.are_all_sent = True
        return sent

    def is_sent(self, move: StopMove) -> bool:
        """Return whether this sender sent a move of that candle already."""
        return self._moved_ms.get(move.strategy) == move.open_ms

    def send(self, move: StopMove) -> StopMove:
        """Send a move, and return it, marked as rejected if the venue rejects it.

        Raises:
            Transient: The outcome is unknown when the retry budget is used up, or the state of the symbol forbids it by
                now; all moves must be sent again.
        """
        sent = self._rest(move)
        self._moved_ms[move.strategy] = move.open_ms
        return sent

    def try_send(self, move: StopMove) -> StopMove:
        """Send a move once, see `send`.

        Raises:
            Transient: The outcome is unknown, or the state of the symbol forbids it.
        """
        if not self._ledger.permissions(self._symbol).stop_moves:
            raise self._not_permitted()
        return self._send(move)

    def _send(self, move: StopMove) -> StopMove:
        try:
            self._venue.move_stop(move.entry_id, move.after, move.open_ms)
        except Rejected as refusal:
            return self._ledger.refuse_stop(move, f"the venue refused it: {refusal}")
        return move

    def place_again(self, strategy: str, open_ms: int) -> StopMove | None:
        """Place the stop of a position once more where the ledger has it, because the venue shows none there.

        Args:
            open_ms: Only candles that open after it may reach the stop, milliseconds since the epoch, UTC.

        Returns:
            The placement, marked as refused when the venue rejects it; None where no order of ours opened the position,
            and where its stop rests at another price or size: that is left to an operator.

        Raises:
            Transient: The outcome is unknown.
        """
        entry_id = self._ledger.opener(self._symbol, strategy)
        held = next(one for one in self._ledger.positions() if (one.symbol, one.strategy) == (self._symbol, strategy))
        if entry_id is None or held.stop_loss is None or self._is_resting(entry_id):
            return None
        reason = "the venue did not have it, so it is placed once more"
        placed = StopMove(self._symbol, strategy, open_ms, entry_id, None, held.stop_loss, reason)
        try:
            self._venue.move_stop(entry_id, held.stop_loss, open_ms)
        except Rejected as refusal:
            return replace(placed, refusal=f"the venue refused it: {refusal}")
        return placed

    def is_overtaken(self, move: StopMove) -> bool:
        """Return whether a later move was recorded while this one was sent; the later one must then be resent."""
        now = self._ledger.stop_move(self._symbol, move.strategy, move.open_ms)
        return now is not None and not (now.is_current or now.refusal)

    def whose(self, positions: Sequence[Position], open_orders: Sequence[OpenOrder] | None) -> Mapping[str, str]:
        """Return the strategies of resting orders by order id; empty where at most one strategy has a position."""
        if sum(one.is_open for one in positions) < 2:
            return {}
        return self._ledger.order_strategies([order.client_order_id for order in open_orders or ()])

    def unsent(
        self, positions: Sequence[Position], open_orders: Sequence[OpenOrder] | None, whose: Mapping[str, str]
    ) -> Sequence[StopMove]:
        """Return the moves that may explain a misplaced stop; empty where each stop rests at its recorded price."""
        held = [one for one in positions if one.is_open]
        if open_orders is None or all(
            self._is_protected(one, of_strategy(one.strategy, open_orders, whose)) for one in held
        ):
            return ()
        return self._ledger.stop_moves(self._symbol)

    def _is_resting(self, entry_id: str) -> bool:
        identity = protective_order_id(entry_id, Leg.STOP_LOSS)
        return any(order.client_order_id == identity for order in self._venue.open_orders())

    def _is_protected(self, position: Position, open_orders: Sequence[OpenOrder]) -> bool:
        return is_protected(position, open_orders, step=self._unit_step)

    def _rest(self, move: StopMove) -> StopMove:
        waits = self._venue.waits()
        while True:
            if not self._ledger.permissions(self._symbol).stop_moves:
                self.are_all_sent = False
                raise self._not_permitted()
            try:
                return self._send(move)
            except Transient:
                if self._rests(move):
                    return move
                if next(waits, None) is None:
                    self.are_all_sent = False
                    raise

    def _not_permitted(self) -> Transient:
        reason = "a recorded stop is not moved: the symbol was stopped or halted meanwhile"
        return Transient(f"stop of {self._symbol}", reason)

    def _rests(self, move: StopMove) -> bool:
        identity = protective_order_id(move.entry_id, Leg.STOP_LOSS)
        with suppress(Transient):
            return any(
                order.client_order_id == identity and order.price is not None and is_same_price(order.price, move.after)
                for order in self._venue.open_orders()
            )
        return False
