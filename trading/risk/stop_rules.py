"""Rules for moving a position's stop, and explanations of a stop at the venue."""

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from trading.formatting import format_price, format_units
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OpenOrder, protective_order_id
from trading.portfolio.positions import Position, StopMove
from trading.tolerance import is_same_price, is_same_units
from trading.trading_state import describe, permissions


class EntryStop(Struct, frozen=True):
    """The entry of a position and its original stop, which its risk was based on; None for no stop."""

    entry_id: str
    stop_loss: float | None


def why_not_moved(
    position: Position, stop_loss: float, entry: EntryStop | None, *, desired: DesiredState, halted: str | None
) -> str:
    """Return the reason why a stop must not move; empty if it may.

    Stops may move while a symbol is paused or quarantined, under the same conditions as exits.

    Args:
        entry: None if no order of this system opened the position.
        halted: Reason of an incident that an operator must resolve first; None for none.
    """
    if not 0 < stop_loss < math.inf:
        return f"a stop must be a positive price, not {stop_loss}"
    if why := permissions(desired, halted=halted).why_no_stop_moves:
        return describe(why, position.symbol)
    if entry is None:
        held = format_units(position.units)
        return f"no order of ours opened the {held} units: what rests under them is not ours to move"
    side = 1 if position.units > 0 else -1
    if entry.stop_loss is not None and side * stop_loss < side * entry.stop_loss:
        came = f"{format_price(entry.stop_loss)}, the stop that the entry came with"
        return f"{format_price(stop_loss)} is beyond {came}: more would be lost there than was judged"
    return ""


def unsent(position: Position, open_orders: Iterable[OpenOrder], moves: Sequence[StopMove]) -> StopMove | None:
    """Return the newest move if it was not sent and an earlier move explains the resting stop; None otherwise.

    A move explains it if the stop rests, for the whole position, at an earlier price of the moves, or if the newest
    move was to place the first stop.

    Args:
        open_orders: Open orders of the symbol at the venue.
        moves: Moves of the symbol's open positions, oldest first.
    """
    mine = [move for move in moves if move.strategy == position.strategy]
    newest = mine[-1] if mine else None
    if newest is None or newest.after != position.stop_loss:
        return None
    identity = protective_order_id(newest.entry_id, Leg.STOP_LOSS)
    resting = [order for order in open_orders if order.client_order_id == identity]
    if not resting:
        return newest if newest.before is None else None
    prices = [price for move in mine for price in (move.before, move.after) if price is not None]
    is_explained = all(_covers(order, position) and _is_one_of(order.price, prices) for order in resting)
    return newest if is_explained else None


def of_strategy(strategy: str, open_orders: Iterable[OpenOrder], owners: Mapping[str, str]) -> list[OpenOrder]:
    """Return the resting orders that may protect a strategy's position: all that no other strategy is known to own.

    Args:
        owners: Strategy by `client_order_id`.
    """
    return [one for one in open_orders if owners.get(one.client_order_id, strategy) == strategy]


def is_protected(position: Position, open_orders: Iterable[OpenOrder], *, step: float = 0.0) -> bool:
    """Return whether a resting order closes the whole position at its stop; a position without a stop needs none.

    Args:
        step: The unit step of the symbol; 0.0 where it is not known.
    """
    stop = position.stop_loss
    return stop is None or any(
        _covers(order, position, step) and _is_one_of(order.price, [stop]) for order in open_orders
    )


def _covers(order: OpenOrder, position: Position, step: float = 0.0) -> bool:
    is_closing = order.price is not None and order.side.sign * position.units < 0
    return is_closing and is_same_units(order.units, abs(position.units), step=step)


def _is_one_of(price: float | None, prices: Sequence[float]) -> bool:
    return price is not None and any(is_same_price(price, one) for one in prices)
