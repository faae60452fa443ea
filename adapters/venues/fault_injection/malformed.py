"""Malformed answers of a faulty venue."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from trading.orders.orders import Fill, OpenOrder, OrderState, VenueOrder, VenuePosition
from trading.structs import replace

T = TypeVar("T", bound=Fill | OpenOrder | VenuePosition)

_SOMETHING = "SOMETHING"
"""A name that no order uses."""


def of_number(number: int, die: random.Random) -> int:
    return die.choice((-1, -number - 1))


def of_nothing(nothing: None, die: random.Random) -> None:
    """Return a value from a method that must return None; callers must reject it."""
    return die.choice((0, "", _SOMETHING))  # type: ignore[return-value]


def of_found(order: VenueOrder | None, die: random.Random) -> VenueOrder:
    """Malform an order; without one, return an order that was not requested."""
    return of_order(order or VenueOrder(_SOMETHING, "1", OrderState.FILLED, 1.0), die)


def of_order(order: VenueOrder, die: random.Random) -> VenueOrder:
    changes: Sequence[Mapping[str, Any]] = (
        {"client_order_id": _SOMETHING},
        {"filled_units": math.nan},
        {"filled_units": -1.0},
        {"state": OrderState.PLANNED},
        {"venue_order_id": ""},
    )
    return replace(order, **die.choice(changes))


def of_fills(fills: Sequence[Fill], die: random.Random) -> list[Fill]:
    """Malform one fill, or repeat it with other units; an empty answer stays empty."""
    changes: Sequence[Mapping[str, Any]] = (
        {"price": math.nan},
        {"price": 0.0},
        {"units": -1.0},
        {"fee": math.nan},
        {"symbol": _SOMETHING},
    )
    if fills and die.random() < 0.2:
        fill = die.choice(fills)
        return [*fills, replace(fill, units=fill.units * 2)]
    return _one_spoiled(fills, changes, die)


def of_positions(positions: Sequence[VenuePosition], die: random.Random) -> list[VenuePosition]:
    """Malform one position; without one, return an impossible position."""
    changes = ({"units": math.nan}, {"units": math.inf}, {"average_price": math.nan})
    return _one_spoiled(positions or [VenuePosition(_SOMETHING, _SOMETHING, 1.0, 1.0)], changes, die)


def of_open_orders(orders: Sequence[OpenOrder], die: random.Random) -> list[OpenOrder]:
    """Malform one order; an empty answer stays empty."""
    changes: Sequence[Mapping[str, Any]] = ({"units": math.nan}, {"units": -1.0}, {"symbol": _SOMETHING})
    return _one_spoiled(orders, changes, die)


def _one_spoiled(answer: Sequence[T], changes: Sequence[Mapping[str, Any]], die: random.Random) -> list[T]:
    if not answer:
        return []
    at = die.randrange(len(answer))
    return [*answer[:at], replace(answer[at], **die.choice(changes)), *answer[at + 1 :]]
