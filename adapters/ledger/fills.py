"""Fills, and the rows that they change: orders, positions, profits of a day, the high-water mark of the balance."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.ledger import incidents, tables
from adapters.ledger.orders import write_order
from adapters.ledger.position_rebuild import MOVED_STOP, Step, openers, refold
from adapters.ledger.queries.reads import POSITIONS, mine
from adapters.ledger.queries.trades import HIGH_WATER, high_water_of
from adapters.ledger.rows import order_of_intent, position_of
from adapters.ledger.tables import intents, orders, positions
from adapters.ledger.transaction import Transaction
from trading.execution.fill_booking import Booked, BookedOrder, Booking, closed_positions, day_of
from trading.orders.orders import Fill, Leg, OrderState, Side, decided_id
from trading.portfolio.drawdown import HighWaterMark
from trading.portfolio.positions import Position

_FILLED: sa.BindParameter[Sequence[str]] = bindparam("filled", expanding=True)
INTENTS_TOUCHED = sa.select(intents, MOVED_STOP).where(
    mine(intents, "symbol"), sa.or_(intents.c.client_order_id.in_(_FILLED), intents.c.risk_reserved.is_not(None))
)
"""Those of `filled`, and every entry of the symbol that holds a place in the account."""
_ORDERS_FILLED = sa.select(orders).where(mine(orders), orders.c.client_order_id.in_(_FILLED))
POSITIONS_OF_SYMBOL = POSITIONS.where(positions.c.symbol == bindparam("symbol"))
_KNOWN_FILLS = sa.select(tables.fills.c.fill_id).where(
    mine(tables.fills), tables.fills.c.fill_id.in_(bindparam("fill_ids", expanding=True))
)
_HIGH_WATER = sa.select(*HIGH_WATER)
_NEWEST_FILL = sa.select(sa.func.max(tables.fills.c.sequence)).where(mine(tables.fills, "symbol"))
_NEW_FILL = sa.insert(tables.fills)


def record_fills(tx: Transaction, symbol: str, fills: Sequence[Fill]) -> Sequence[Booked]:
    """Record the fills that are new, and return each with the position before and after it."""
    new = _unknown(tx, fills)
    if not new:
        return []
    newest = newest_sequence(tx, symbol)
    booking = read_booking(tx, symbol, new)
    late = booking.late(new)
    booked = [(fill, *booking.add(fill)) for fill in new]
    write_booking(tx, booking, booked)
    incidents.open_incidents(tx, late)
    if new[0].sequence > newest:
        record_balance(tx, booked)
        return booked
    rebuilt = _rebuild(tx, booking, new)
    record_balance(tx)
    return rebuilt


def newest_sequence(tx: Transaction, symbol: str) -> int:
    """Return the sequence number of the symbol's newest fill, 0 before the first."""
    return tx.execute(_NEWEST_FILL, symbol=symbol).scalar() or 0


def read_booking(tx: Transaction, symbol: str, fills: Sequence[Fill]) -> Booking:
    """Return the positions and orders that fills may change."""
    filled = sorted({name for fill in fills for name in (fill.client_order_id, decided_id(fill.client_order_id))})
    held = tx.execute(POSITIONS_OF_SYMBOL, symbol=symbol).all()
    known = {row.client_order_id: _order_of_venue(row) for row in tx.execute(_ORDERS_FILLED, filled=filled)}
    touched = tx.execute(INTENTS_TOUCHED, symbol=symbol, filled=filled)
    ours = {row.client_order_id: order_of_intent(row) for row in touched}
    return Booking(symbol, {row.strategy: position_of(row) for row in held}, known | ours)


def write_booking(tx: Transaction, booking: Booking, booked: Sequence[Booked], *, adjustment: int = 0) -> None:
    """Record fills with their effects.

    Args:
        adjustment: Number of the first fill of an adoption; 0 for fills of the venue.
    """
    numbers = [adjustment + at if adjustment else 0 for at in range(len(booked))]
    rows = [_fill_row(tx.account, booking, *entry) for entry in booked]
    tx.write(_NEW_FILL, [row | {"adjustment": at} for row, at in zip(rows, numbers, strict=True)])
    for order in booking.changed_orders():
        write_order(tx, booking.symbol, order)
    strategies = {fill.strategy for fill, _, _ in booked}
    tx.write(tx.upserts.positions, [_position_row(tx.account, booking.positions[name]) for name in strategies])
    tx.write(tx.upserts.add_to_day, [_day_row(tx.account, *entry) for entry in booked])
    if over := closed_positions(booked):
        incidents.resolve_closed(tx, booking.symbol, sorted(over))


def write_position(tx: Transaction, position: Position) -> None:
    tx.write(tx.upserts.positions, [_position_row(tx.account, position)])


def record_balance(tx: Transaction, booked: Sequence[Booked] = ()) -> None:
    """Record the peak of the balance and its deepest fall, fill by fill where the fills are given."""
    moves = [after.realised - before.realised for _, before, after in booked]
    if booked and not any(moves):
        return
    row = tx.execute(_HIGH_WATER).one()
    balance = tx.starting_balance + row.realised
    high = high_water_of(row, tx.starting_balance)
    if row.peak_realised is None:
        high = HighWaterMark(max(tx.starting_balance, balance - sum(moves)))
    write_high_water(tx, high.through(balance, moves))


def write_high_water(tx: Transaction, high: HighWaterMark) -> None:
    peak_realised = high.peak - tx.starting_balance
    tx.write(tx.upserts.accounts, {"account": tx.account, "peak_realised": peak_realised, "drawdown": high.drawdown})


def _unknown(tx: Transaction, fills: Sequence[Fill]) -> Sequence[Fill]:
    by_id = {fill.fill_id: fill for fill in fills}
    known = tx.execute(_KNOWN_FILLS, fill_ids=list(by_id)).scalars().all()
    new = [fill for fill_id, fill in by_id.items() if fill_id not in known]
    return sorted(new, key=lambda fill: fill.sequence)


def _rebuild(tx: Transaction, booking: Booking, new: Sequence[Fill]) -> Sequence[Booked]:
    """Recompute positions in the order of sequence, after a fill arrived behind a later one."""
    steps: dict[str, Step] = {}
    for strategy in {fill.strategy for fill in new}:
        rebuilt = refold(tx, booking.symbol, strategy)
        steps.update(rebuilt)
        position = list(rebuilt.values())[-1].after
        write_position(tx, position)
        wrong = [step for step in rebuilt.values() if step.realised != step.stored_realised]
        if wrong:
            tx.write(tx.upserts.add_to_day, [_correction(tx.account, step) for step in wrong])
        _reserve_again(tx, position, openers(rebuilt.values()))
    return [(fill, steps[fill.fill_id].before, steps[fill.fill_id].after) for fill in new]


def _reserve_again(tx: Transaction, position: Position, opened_by: Collection[str]) -> None:
    """Let the entries that opened `position` hold their places, and release those of all others that have ended."""
    flat = Position(position.symbol, position.strategy)
    for row in tx.execute(INTENTS_TOUCHED, symbol=position.symbol, filled=list(opened_by)).all():
        order = order_of_intent(row)
        if order.strategy == position.strategy and order.leg is Leg.ENTRY:
            order.reserve(position if order.client_order_id in opened_by else flat)
            write_order(tx, position.symbol, order)


def _correction(account: str, step: Step) -> dict[str, Any]:
    realised = step.realised - step.stored_realised
    return {"account": account, "day": day_of(step.fill.market_ms), "realised": realised}


def _fill_row(account: str, booking: Booking, fill: Fill, before: Position, after: Position) -> dict[str, Any]:
    return {
        "account": account,
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


def _position_row(account: str, position: Position) -> dict[str, Any]:
    return {
        "account": account,
        "symbol": position.symbol,
        "strategy": position.strategy,
        "units": position.units,
        "average_price": position.average_price,
        "opened_ms": position.opened_ms,
        "realised": position.realised,
        "stop_loss": position.stop_loss,
        "take_profit": position.take_profit,
    }


def _day_row(account: str, fill: Fill, before: Position, after: Position) -> dict[str, Any]:
    return {"account": account, "day": day_of(fill.market_ms), "realised": after.realised - before.realised}


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
