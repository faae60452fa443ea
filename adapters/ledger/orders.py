"""What becomes of orders: the ledger's half that writes down acknowledgements and fills."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, Engine

from adapters.clock import now_ms as wall_ms
from adapters.database import upsert
from adapters.ledger import tables
from adapters.ledger.incidents import LedgerIncidents
from adapters.ledger.position_rebuild import MOVED_STOP, Step, openers, refold
from adapters.ledger.queries.reads import POSITIONS, mine
from adapters.ledger.queries.trades import HIGH_WATER, high_water_of
from adapters.ledger.restrictions import DESIRED, HALTED, LATCHED, QUARANTINED, desired_of
from adapters.ledger.rows import order_of_intent, position_of
from adapters.ledger.tables import intents, orders, positions
from trading.errors import Broken
from trading.execution.fill_booking import BookedOrder, Booking
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderState, Side, decided_id
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position
from trading.trading_state import permissions

POSITION = sa.select(positions).where(mine(positions, "symbol", "strategy"))
_RESTRICTIONS = sa.select(DESIRED, HALTED, QUARANTINED, LATCHED)
_FILLED: sa.BindParameter[Sequence[str]] = bindparam("filled", expanding=True)
_INTENT = sa.select(intents, MOVED_STOP).where(mine(intents, "client_order_id"))
INTENTS_TOUCHED = sa.select(intents, MOVED_STOP).where(
    mine(intents, "symbol"), sa.or_(intents.c.client_order_id.in_(_FILLED), intents.c.risk_reserved.is_not(None))
)
_ORDERS_FILLED = sa.select(orders).where(mine(orders), orders.c.client_order_id.in_(_FILLED))
POSITIONS_OF_SYMBOL = POSITIONS.where(positions.c.symbol == bindparam("symbol"))
_KNOWN_FILLS = sa.select(tables.fills.c.fill_id).where(
    mine(tables.fills), tables.fills.c.fill_id.in_(bindparam("fill_ids", expanding=True))
)
_HIGH_WATER = sa.select(*HIGH_WATER)
NEWEST_FILL = sa.select(sa.func.max(tables.fills.c.sequence)).where(mine(tables.fills, "symbol"))
_NEW_FILL = sa.insert(tables.fills)
_STATE_OF_INTENT = (
    sa.update(intents)
    .where(intents.c.client_order_id == bindparam("id"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "state",
                "is_final",
                "venue_order_id",
                "filled_units",
                "risk_reserved",
                "notional_reserved",
                "attempt",
                "claimed_at_ms",
                "note",
            )
        }
    )
)

_DAY_MS = 86_400_000

Booked = tuple[Fill, Position, Position]
"""A fill, and the position before and after it."""


def day_of(market_ms: int) -> date:
    """Return the UTC market day."""
    return _day(market_ms // _DAY_MS)


@lru_cache(maxsize=4096)
def _day(number: int) -> date:
    return datetime.fromtimestamp(number * _DAY_MS // 1000, UTC).date()


class LedgerOrders(LedgerIncidents):
    """Marks orders and books fills."""

    def __init__(self, engine: Engine, account_name: str, starting_balance: float) -> None:
        super().__init__(engine, account_name, starting_balance)
        self._put_position = upsert(engine.dialect, positions)
        self._put_order = upsert(engine.dialect, orders)
        self._put_account = upsert(engine.dialect, tables.accounts)
        self._add_to_day = upsert(engine.dialect, tables.account_days, add=("realised",))

    def mark(self, *updates: OrderUpdate) -> bool:
        """Write down how orders stand; see `trading.ports.ledger.Ledger`.

        Raises:
            Broken: No intent has this id, or an order can't go from where it is to where the mark says.
        """
        with self._engine.connect() as connection:
            transaction = connection.begin()
            with transaction:
                self._lock(connection)
                is_written = all(self._mark(connection, update) for update in updates)
                if not is_written:
                    transaction.rollback()
        return is_written

    def record_fills(self, symbol: str, fills: Sequence[Fill]) -> Sequence[Booked]:
        """Write down fills and what they do; see `trading.ports.ledger.Ledger`.

        Raises:
            Broken: A fill belongs to another symbol.
        """
        if stray := next((fill for fill in fills if fill.symbol != symbol), None):
            raise Broken(f"fill {stray.fill_id} is of {stray.symbol}, but was handed in for {symbol}")
        if not fills:
            return []
        with self._writing() as connection:
            new = self._unknown(connection, fills)
            if not new:
                return []
            newest = connection.execute(NEWEST_FILL, {"account": self._account, "symbol": symbol}).scalar() or 0
            booking = self._booking(connection, symbol, new)
            late = booking.late(new)
            booked = [(fill, *booking.add(fill)) for fill in new]
            self._write_booking(connection, booking, booked)
            self._open(connection, late)
            if new[0].sequence > newest:
                self._note_balance(connection, booked)
                return booked
            folded = self._refold(connection, booking, new)
            self._note_balance(connection)
            return folded

    def _mark(self, connection: Connection, update: OrderUpdate) -> bool:
        key = {"account": self._account, "client_order_id": update.client_order_id}
        row = connection.execute(_INTENT, key).first()
        if row is None:
            raise Broken(f"order {update.client_order_id} was never planned: an order may only follow its intent")
        order = order_of_intent(row)
        is_taken = order.apply(
            update,
            lambda: self._position(connection, row.symbol, row.strategy),
            may_be_sent=lambda: self._may_be_sent(connection, row.symbol, order.leg),
            at_ms=wall_ms(),
        )
        if not is_taken:
            return False
        self._write_order(connection, row.symbol, order)
        return True

    def _may_be_sent(self, connection: Connection, symbol: str, leg: Leg) -> bool:
        """Ask, under the account's lock, whether what is wanted of the symbol still lets such an order go."""
        row = connection.execute(_RESTRICTIONS, {"account": self._account, "symbol": symbol}).one()
        permitted = permissions(desired_of(row), halted=row.halted, quarantined=row.quarantined, latched=row.latched)
        return permitted.entries if leg is Leg.ENTRY else permitted.exits

    def _refold(self, connection: Connection, booking: Booking, new: Sequence[Fill]) -> Sequence[Booked]:
        """Put right what the order of arrival got wrong: positions are made by fills in the order of their sequence."""
        steps: dict[str, Step] = {}
        for strategy in {fill.strategy for fill in new}:
            folded = refold(connection, self._account, booking.symbol, strategy)
            steps.update(folded)
            position = list(folded.values())[-1].after
            connection.execute(self._put_position, [self._position_row(position)])
            corrections = [self._correction(step) for step in folded.values() if step.realised != step.stored_realised]
            if corrections:
                connection.execute(self._add_to_day, corrections)
            self._reserve_anew(connection, position, openers(folded.values()))
        return [(fill, steps[fill.fill_id].before, steps[fill.fill_id].after) for fill in new]

    def _reserve_anew(self, connection: Connection, position: Position, opened_by: Collection[str]) -> None:
        """Let the entries that opened `position` hold their places, and free those of all others that have ended."""
        parameters = {"account": self._account, "symbol": position.symbol, "filled": list(opened_by)}
        flat = Position(position.symbol, position.strategy)
        for row in connection.execute(INTENTS_TOUCHED, parameters).all():
            order = order_of_intent(row)
            if order.strategy == position.strategy and order.leg is Leg.ENTRY:
                order.reserve(position if order.client_order_id in opened_by else flat)
                self._write_order(connection, position.symbol, order)

    def _correction(self, step: Step) -> dict[str, Any]:
        realised = step.realised - step.stored_realised
        return {"account": self._account, "day": day_of(step.fill.market_ms), "realised": realised}

    def _position(self, connection: Connection, symbol: str, strategy: str) -> Position:
        key = {"account": self._account, "symbol": symbol, "strategy": strategy}
        row = connection.execute(POSITION, key).one_or_none()
        return Position(symbol, strategy) if row is None else position_of(row)

    def _unknown(self, connection: Connection, fills: Sequence[Fill]) -> Sequence[Fill]:
        by_id = {fill.fill_id: fill for fill in fills}
        known = connection.execute(_KNOWN_FILLS, {"account": self._account, "fill_ids": list(by_id)}).scalars().all()
        new = [fill for fill_id, fill in by_id.items() if fill_id not in known]
        return sorted(new, key=lambda fill: fill.sequence)

    def _booking(self, connection: Connection, symbol: str, fills: Sequence[Fill]) -> Booking:
        filled = {identity for fill in fills for identity in (fill.client_order_id, decided_id(fill.client_order_id))}
        parameters = {"account": self._account, "symbol": symbol, "filled": sorted(filled)}
        held = connection.execute(POSITIONS_OF_SYMBOL, parameters).all()
        known = {row.client_order_id: _order_of_venue(row) for row in connection.execute(_ORDERS_FILLED, parameters)}
        ours = {row.client_order_id: order_of_intent(row) for row in connection.execute(INTENTS_TOUCHED, parameters)}
        return Booking(symbol, {row.strategy: position_of(row) for row in held}, known | ours)

    def _write_booking(
        self, connection: Connection, booking: Booking, booked: Sequence[Booked], *, adjustment: int = 0
    ) -> None:
        """Write down fills, and what they did.

        Args:
            adjustment: Number of the first one where they are not of the venue; 0 where they are.
        """
        numbers = [adjustment + at if adjustment else 0 for at in range(len(booked))]
        rows = [self._fill_row(booking, *entry) for entry in booked]
        connection.execute(_NEW_FILL, [row | {"adjustment": at} for row, at in zip(rows, numbers, strict=True)])
        for order in booking.changed_orders():
            self._write_order(connection, booking.symbol, order)
        strategies = {fill.strategy for fill, _, _ in booked}
        connection.execute(self._put_position, [self._position_row(booking.positions[name]) for name in strategies])
        connection.execute(self._add_to_day, [self._day_row(*entry) for entry in booked])
        if flat := [name for name in strategies if not booking.positions[name].is_open]:
            self._close_refused_no_more(connection, booking.symbol, flat)

    def _note_balance(self, connection: Connection, booked: Sequence[Booked] = ()) -> None:
        """Write down how high the balance stood, and how deep it fell, with each of the fills that were booked last."""
        moves = [after.realised - before.realised for _, before, after in booked]
        if booked and not any(moves):
            return
        row = connection.execute(_HIGH_WATER, {"account": self._account}).one()
        balance = self._starting_balance + row.realised
        high = high_water_of(row, self._starting_balance)
        if row.peak_realised is None:
            high = HighWaterMark(max(self._starting_balance, balance - sum(moves)))
        self._put_high_water(connection, high.through(balance, moves))

    def _put_high_water(self, connection: Connection, high: HighWaterMark) -> None:
        peak_realised = high.peak - self._starting_balance
        row = {"account": self._account, "peak_realised": peak_realised, "drawdown": high.drawdown}
        connection.execute(self._put_account, row)

    def _write_order(self, connection: Connection, symbol: str, order: BookedOrder) -> None:
        if order.is_intent:
            connection.execute(_STATE_OF_INTENT, _state_row(order))
        if order.is_acknowledged:
            connection.execute(self._put_order, self._order_row(symbol, order))

    def _order_row(self, symbol: str, order: BookedOrder) -> dict[str, Any]:
        return {
            "account": self._account,
            "client_order_id": order.client_order_id,
            "symbol": symbol,
            "strategy": order.strategy,
            "leg": order.leg.value,
            "side": order.side.value,
            "venue_order_id": order.venue_order_id,
            "state": order.state.value,
            "filled_units": order.filled_units,
            "market_ms": order.market_ms,
        }

    def _fill_row(self, booking: Booking, fill: Fill, before: Position, after: Position) -> dict[str, Any]:
        return {
            "account": self._account,
            "fill_id": fill.fill_id,
            "sequence": fill.sequence,
            "client_order_id": fill.client_order_id,
            "symbol": fill.symbol,
            "strategy": fill.strategy,
            "leg": fill.leg.value,
            "side": fill.side.value,
            "units": fill.units,
            "price": fill.price,
            "fee": fill.fee,
            "market_ms": fill.market_ms,
            "realised": after.realised - before.realised,
            "correlation_id": booking.cause(fill),
        }

    def _position_row(self, position: Position) -> dict[str, Any]:
        return {
            "account": self._account,
            "symbol": position.symbol,
            "strategy": position.strategy,
            "units": position.units,
            "average_price": position.average_price,
            "opened_ms": position.opened_ms,
            "realised": position.realised,
            "stop_loss": position.stop_loss,
            "take_profit": position.take_profit,
        }

    def _day_row(self, fill: Fill, before: Position, after: Position) -> dict[str, Any]:
        return {
            "account": self._account,
            "day": day_of(fill.market_ms),
            "realised": after.realised - before.realised,
        }


def _state_row(order: BookedOrder) -> dict[str, Any]:
    return {
        "id": order.client_order_id,
        "new_state": order.state.value,
        "new_is_final": order.state.is_final,
        "new_venue_order_id": order.venue_order_id,
        "new_filled_units": order.filled_units,
        "new_risk_reserved": order.risk_reserved,
        "new_notional_reserved": order.notional_reserved,
        "new_attempt": order.attempt,
        "new_claimed_at_ms": order.claimed_at_ms,
        "new_note": order.note,
    }


def _order_of_venue(row: Any) -> BookedOrder:
    return BookedOrder(
        client_order_id=row.client_order_id,
        strategy=row.strategy,
        leg=Leg(row.leg),
        side=Side(row.side),
        units=None,
        market_ms=row.market_ms,
        state=OrderState(row.state),
        venue_order_id=row.venue_order_id,
        filled_units=row.filled_units,
    )
