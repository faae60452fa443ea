"""The records of one symbol, in memory."""

import math
from collections import defaultdict
from collections.abc import Collection

from msgspec import Struct, field

from trading.execution.fill_booking import BookedOrder
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent
from trading.orders.orders import Fill, Leg, OrderRequest
from trading.portfolio.positions import Position, StopMove
from trading.portfolio.trades import ClosedTrade, TradeFold
from trading.risk.open_book import OpenBook, part_of_entry
from trading.structs import replace


class Sent(Struct):
    """An intent: the order to send, and its state.

    Attributes:
        number: Of the intent, in the order in which intents were planned.
    """

    request: OrderRequest
    order: BookedOrder
    number: int

    @property
    def is_unsettled(self) -> bool:
        """Whether it may still change the position, or has done so by a fill that is not recorded."""
        return self.order.may_fill

    @property
    def is_exposed(self) -> bool:
        """Whether it is not final, or an entry that holds a place in the account."""
        return not self.order.state.is_final or self.order.risk_reserved is not None

    @property
    def part(self) -> OpenBook:
        """The part of its book that an entry with a place in the account makes."""
        request, order = self.request, self.order
        return part_of_entry(
            request.symbol,
            request.strategy,
            request.side.sign,
            risk=order.risk_reserved or 0.0,
            notional=order.notional,
            units=request.units,
            filled_units=order.filled_units,
            ended=not order.may_fill,
        )

    def intent(self) -> Intent:
        order = self.order
        return Intent(self.request, order.state, order.venue_order_id, order.attempt, order.filled_units)


class SymbolBooks(Struct):
    """The records of one symbol.

    Attributes:
        live: Intents that are not settled, and entries that hold a place in the account, by their id.
        positions: By strategy.
        fences: By strategy.
        newest: Sequence number of the newest fill.
        known_fills: Ids of all fills.
        incidents: Those that are open.
        trades: Those that were closed, oldest first.
        folds: By strategy, the accumulator that combines its fills to trades.
        moves: Of stops, by strategy and by open time of the candle, oldest first.
    """

    desired: DesiredState = DesiredState.RUNNING
    live: dict[str, Sent] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    newest: int = 0
    known_fills: set[str] = field(default_factory=set)
    incidents: list[Incident] = field(default_factory=list)
    trades: list[ClosedTrade] = field(default_factory=list)
    folds: defaultdict[str, TradeFold] = field(default_factory=lambda: defaultdict(TradeFold))
    moves: dict[str, dict[int, StopMove]] = field(default_factory=dict)

    @property
    def halted(self) -> str | None:
        return min((one.reason for one in self.incidents if one.kind.halts), default=None) if self.incidents else None

    @property
    def unprotected(self) -> str | None:
        """The reason of an incident of a position whose stop is not at the venue; None for none."""
        return min((one.reason for one in self.incidents if one.kind is IncidentKind.UNPROTECTED), default=None)

    @property
    def unprotected_strategies(self) -> frozenset[str]:
        """The strategies whose position has no stop at the venue, so all of its value may be lost."""
        return frozenset(one.key for one in self.incidents if one.kind is IncidentKind.UNPROTECTED)

    def uncovered_risks(self) -> list[float]:
        """Return the part of the value of each position without its stop that its entries do not reserve as risk."""
        names = self.unprotected_strategies
        held = [one for name, one in self.positions.items() if name in names]
        return [max(0.0, abs(one.units) * one.average_price - self._reserved(one.strategy)) for one in held]

    def _reserved(self, strategy: str) -> float:
        filled = [
            sent.order for sent in self.live.values() if sent.order.strategy == strategy and sent.order.filled_units
        ]
        return math.fsum(order.risk_reserved or 0.0 for order in filled)

    def fold(self, fill: Fill, realised: float) -> None:
        """Record the trade that a fill closes."""
        trade = self.folds[fill.strategy].add(fill, realised)
        if trade is not None:
            self.trades.append(trade)

    def resolve_closed(self, strategies: Collection[str]) -> None:
        """Resolve the incidents of positions that were closed since."""
        if self.incidents:
            self.incidents = [
                one for one in self.incidents if not (one.kind.ends_with_position and one.key in strategies)
            ]

    def opener(self, position: Position) -> Sent | None:
        """Return the newest entry that opened a position; None when nothing is open."""
        return max(self.openers(position), key=lambda sent: sent.number, default=None)

    def openers(self, position: Position) -> list[Sent]:
        """Return the entries that opened a position; none when nothing is open."""
        mine = (sent for sent in self.live.values() if sent.request.strategy == position.strategy)
        opened = (sent for sent in mine if sent.request.leg is Leg.ENTRY and sent.order.filled_units)
        return [sent for sent in opened if position.units * sent.request.side.sign > 0]

    def rest(self, position: Position, opener: Sent, stop_loss: float | None) -> None:
        """Move the stop of a position; later fills of its entry keep it there."""
        moved = self.positions[position.strategy] = replace(position, stop_loss=stop_loss)
        opener.order.stop_loss = stop_loss
        for sent in self.live.values():
            if sent.request.strategy == position.strategy and sent.order.risk_reserved is not None:
                sent.order.reserve(moved)

    def keep(self, sent: Sent) -> None:
        """Keep an intent in `live` as long as it is alive."""
        if sent.order.risk_reserved is not None or sent.is_unsettled:
            self.live[sent.request.client_order_id] = sent
        else:
            self.live.pop(sent.request.client_order_id, None)


def position_of(at: SymbolBooks, symbol: str, strategy: str) -> Position:
    return at.positions.get(strategy) or Position(symbol, strategy)


def book_of(position: Position, *, is_protected: bool) -> OpenBook:
    """Return the part of a book that its position makes; a stop counts only if it is at the venue."""
    stop_loss = position.stop_loss if is_protected else None
    return OpenBook(position.symbol, position.strategy, position.units, position.average_price, stop_loss)


def planned_order(intent: Intent, risk: float, notional: float, correlation_id: str) -> BookedOrder:
    request, is_entry = intent.request, intent.request.leg is Leg.ENTRY
    return BookedOrder(
        client_order_id=request.client_order_id,
        strategy=request.strategy,
        leg=request.leg,
        side=request.side,
        units=request.units,
        market_ms=request.decided_ms,
        state=intent.state,
        stop_loss=request.stop_loss,
        take_profit=request.take_profit,
        risk=risk,
        risk_reserved=risk if is_entry else None,
        correlation_id=correlation_id,
        notional=notional,
        notional_reserved=notional if is_entry else None,
        attempt=intent.attempt,
        is_sized_at_fill=request.at_fill is not None,
    )
