"""Apply fills to the orders and positions of one symbol: computed in memory, recorded by the ledger at once."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import lru_cache

from msgspec import Struct

from trading.incidents import descriptions
from trading.incidents.incident import Incident
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import (
    ENDED_OTHERWISE,
    Fill,
    Leg,
    OrderRequest,
    OrderState,
    Side,
    decided_id,
    next_order_state,
)
from trading.portfolio.positions import Position
from trading.tolerance import add_units, is_filled

_DAY_MS = 86_400_000

Booked = tuple[Fill, Position, Position]
"""A fill, and the position before and after it."""

_MAY_BE_SENT = frozenset({OrderState.PLANNED, OrderState.SUBMITTING, OrderState.UNKNOWN})


def day_of(market_ms: int) -> date:
    """Return the UTC market day to which the profit of a fill belongs."""
    return _day(market_ms // _DAY_MS)


@lru_cache(maxsize=4096)
def _day(number: int) -> date:
    return datetime.fromtimestamp(number * _DAY_MS // 1000, UTC).date()


class BookedOrder(Struct):
    """An order and its state.

    Attributes:
        units: Ordered size; None for a protective order, which the venue sizes.
        market_ms: Market time of the decision; of the first fill for an order without a decision.
        filled_units: Sum of the recorded fills.
        notional: Value of a complete fill at the decided price, in quote currency.
        notional_reserved: As `risk_reserved`.
        attempt: Number of claims to send it.
        claimed_at_ms: Wall clock of the last claim.
        note: Reason for its state.
        risk: Loss at the stop after a complete fill, in quote currency.
        risk_reserved: An entry's place in the account, in quote currency; None once it holds none.
        correlation_id: Of the decision; None for an order without a decision.
        is_sized_at_fill: The venue decides how many units fill; only the venue tells that it is filled.
    """

    client_order_id: str
    strategy: str
    leg: Leg
    side: Side
    units: float | None
    market_ms: int
    state: OrderState = OrderState.UNKNOWN
    venue_order_id: str | None = None
    filled_units: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None
    risk: float = 0.0
    risk_reserved: float | None = None
    correlation_id: str | None = None
    notional: float = 0.0
    notional_reserved: float | None = None
    attempt: int = 0
    claimed_at_ms: int | None = None
    note: str | None = None
    is_sized_at_fill: bool = False

    @property
    def is_intent(self) -> bool:
        return self.units is not None

    @property
    def is_acknowledged(self) -> bool:
        return self.venue_order_id is not None or self.filled_units > 0

    @property
    def may_fill(self) -> bool:
        """Whether a fill may come yet, or has come and is not recorded."""
        return not self.state.is_final or (self.state is OrderState.FILLED and not self.filled_units)

    def mark(self, state: OrderState, venue_order_id: str | None = None, reason: str = "") -> None:
        """Apply the venue's state; a final state and recorded fills stay.

        Raises:
            Broken: The transition from its state to `state` is impossible.
        """
        if not self.state.is_final:
            if self.filled_units and state in (OrderState.SUBMITTING, OrderState.ACCEPTED):
                state = OrderState.PARTIALLY_FILLED
            self.state = next_order_state(self.state, state)  # first, so that an error changes nothing
            self.note = reason or None
        self.venue_order_id = self.venue_order_id or venue_order_id

    def claim(self, attempt: int, at_ms: int) -> bool:
        """Start the send attempt of that number, and return whether it is the next one."""
        if self.state not in _MAY_BE_SENT or attempt != self.attempt + 1:
            return False
        self.mark(OrderState.SUBMITTING)
        self.attempt, self.claimed_at_ms = attempt, at_ms
        return True

    def apply(
        self, update: OrderUpdate, position: Callable[[], Position], *, may_be_sent: Callable[[], bool], at_ms: int
    ) -> bool:
        """Apply an order update, and return whether it was applied; see `trading.ports.ledger.Ledger.mark`.

        Args:
            position: Returns the position of the order's strategy.
            may_be_sent: Returns whether the symbol's state still allows such an order.
            at_ms: The wall clock.
        """
        was_final = self.state.is_final
        if was_final and update.state is OrderState.ACCEPTED and self.state is not OrderState.FILLED:
            return False
        if update.claims is not None:
            if not may_be_sent() or not self.claim(update.claims, at_ms):
                return False
        else:
            self.mark(update.state, update.venue_order_id, update.reason)
        if update.state is OrderState.UNKNOWN:
            self.claimed_at_ms = at_ms  # until now the send was in flight
        if not was_final:
            self.reserve(position())
        return True

    def failed_exit(self, position: Position) -> Incident | None:
        """Return the incident of an exit that ended and left its position open; None for any other order."""
        if self.leg is not Leg.EXIT or self.state not in ENDED_OTHERWISE or position.units * self.side.sign >= 0:
            return None
        return descriptions.exit_failed(position, self.client_order_id, self.state, self.note)

    def fill(self, fill: Fill, position: Position) -> None:
        """Add a fill that led to `position`: it overrides every earlier state of the order."""
        self.filled_units = add_units(self.filled_units, fill.units)
        if self.units is None:
            whole = not position.is_open
        else:
            whole = not self.is_sized_at_fill and is_filled(self.filled_units, self.units)
        if whole:
            self.state = OrderState.FILLED
        elif not self.state.is_final:
            self.state = OrderState.PARTIALLY_FILLED

    def reserve(self, position: Position) -> None:
        """Set an entry's reservation: all of its risk while it may fill, then that of its open units.

        A fill at a worse price than decided increases the loss at the stop, and thereby the reservation.
        """
        if self.leg is not Leg.ENTRY or self.units is None:
            return
        if self.may_fill:
            self.risk_reserved, self.notional_reserved = (
                self.risk,
                self.notional,
            )  # it may still fill, or has filled
        elif self.filled_units and position.units * self.side.sign > 0:
            at_stop = 0.0 if position.stop_loss is None else max(0.0, -position.unrealised(position.stop_loss))
            part = min(1.0, self.filled_units / self.units)
            self.risk_reserved, self.notional_reserved = max(self.risk * part, at_stop), self.notional * part
        else:
            self.risk_reserved = self.notional_reserved = None


class Booking(Struct):
    """A batch of fills of one symbol.

    Attributes:
        positions: By strategy; a missing one is flat.
        orders: By `client_order_id`: the filled ones, the entries of protective ones, and every entry that holds a
            place in the account.
        changed: The `client_order_id` of each changed order.
    """

    symbol: str
    positions: dict[str, Position]
    orders: dict[str, BookedOrder]
    changed: set[str] = set()

    def add(self, fill: Fill) -> tuple[Position, Position]:
        """Book one fill, and return the position before and after it."""
        before = self.positions.get(fill.strategy) or Position(self.symbol, fill.strategy)
        order = self._order(fill)
        gross = add_units(order.filled_units, fill.units)
        after = protected(before.after(fill, gross=gross), order)
        order.fill(fill, after)
        order.reserve(after)
        self._release(order, after)
        self.changed.add(order.client_order_id)
        self.positions[fill.strategy] = after
        return before, after

    def late(self, fills: Iterable[Fill]) -> list[Incident]:
        """Return the incidents of `fills`, before they are added: fills of abandoned orders."""
        known = ((fill, self.orders.get(fill.client_order_id)) for fill in fills)
        given_up = ((fill, order) for fill, order in known if order is not None and order.is_intent)
        return [descriptions.late_fill(fill, order.state) for fill, order in given_up if order.state in ENDED_OTHERWISE]

    def cause(self, fill: Fill) -> str | None:
        """Return the correlation id of the decision behind a fill; for a protective order, that of its entry."""
        decided = self.orders.get(decided_id(fill.client_order_id))
        return decided.correlation_id if decided else None

    def changed_orders(self) -> Iterable[BookedOrder]:
        return (self.orders[client_order_id] for client_order_id in sorted(self.changed))

    def _order(self, fill: Fill) -> BookedOrder:
        order = self.orders.get(fill.client_order_id)
        if order is None:
            order = BookedOrder(fill.client_order_id, fill.strategy, fill.leg, fill.side, None, fill.market_ms)
            self.orders[fill.client_order_id] = order
        return order

    def _release(self, filled: BookedOrder, position: Position) -> None:
        """Reduce the reservations of the other entries to the open position."""
        for order in self.orders.values():
            if order is not filled and order.strategy == filled.strategy and order.risk_reserved is not None:
                reserved = order.risk_reserved, order.notional_reserved
                order.reserve(position)
                if (order.risk_reserved, order.notional_reserved) != reserved:
                    self.changed.add(order.client_order_id)


def closed_positions(booked: Iterable[Booked]) -> set[str]:
    """Return the strategies whose position was closed or reversed by one of the fills."""
    return {fill.strategy for fill, before, after in booked if not after.is_open or before.units * after.units < 0}


def protected(position: Position, order: BookedOrder) -> Position:
    if order.leg is not Leg.ENTRY or not order.is_intent or position.units * order.side.sign <= 0:
        return position
    return Position(
        position.symbol,
        position.strategy,
        position.units,
        position.average_price,
        position.opened_ms,
        position.realised,
        order.stop_loss,
        order.take_profit,
    )


def initial_intent(request: OrderRequest, place: int) -> Intent:
    """Return the initial state of an intent: the deciding process claims the first one of a decision."""
    return Intent(request, OrderState.PLANNED) if place else Intent(request, OrderState.SUBMITTING, attempt=1)
