"""Validates every answer of a venue: an invalid answer counts as no answer, and the request is repeated.

The following is accepted, because real venues do it and it is harmless:

- fills out of order, repeated, or not after the requested sequence number: corrected here;
- FILLED or CANCELED with 0.0 filled units: the fills have the units;
- a position of 0.0 units: omitted;
- a fill without the id of one of our orders: traded manually, or by the venue itself;
- two positions in one symbol, long and short: their sum is the position.
"""

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from trading.errors import Rejected, Transient
from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, OrderState, VenueOrder, VenuePosition
from trading.ports.venue import QuotesSpread, Venue, VenueTerms
from trading.tolerance import is_same_units

T = TypeVar("T")

_TOLD_STATES = frozenset(OrderState) - {OrderState.PLANNED, OrderState.SUBMITTING, OrderState.UNKNOWN}
"""States that a venue reports; the other states describe our own actions."""
_UNFILLED_STATES = frozenset({OrderState.ACCEPTED, OrderState.REJECTED})


class ValidatedVenue:
    """Any venue, with validated answers; it implements `trading.ports.venue.Venue`.

    Every method raises `Transient` for an invalid answer. The outcome of an order that was sent is then as unknown as
    after a timeout.
    """

    def __init__(self, inner: Venue, *, where: str = "venue", allow_non_positive: bool = False) -> None:
        """Wrap a venue.

        Args:
            where: Names it in errors.
            allow_non_positive: Prices of fills and positions may be zero or negative.
        """
        self._inner = inner
        self._where = where
        self._least = -math.inf if allow_non_positive else 0.0

    @property
    def terms(self) -> VenueTerms:
        terms = self._inner.terms
        return self._passed(terms, "terms", None if 0 <= terms.visibility_s < math.inf else f"{terms}")

    def submit(self, request: OrderRequest) -> VenueOrder:
        order = self._inner.submit(request)
        most = request.units if request.at_fill is None else math.inf
        return self._passed(order, "submit", _order_fault(order, request.client_order_id, most))

    def cancel(self, client_order_id: str) -> VenueOrder:
        order = self._inner.cancel(client_order_id)
        return self._passed(order, "cancel", _order_fault(order, client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Move a stop to another price, after a check of that price.

        Raises:
            Rejected: It is not a positive price, or the venue rejects it.
        """
        if not 0 < stop_loss < math.inf:
            raise Rejected("stop_loss", f"a stop must be a positive price, not {stop_loss}")
        answer: object = self._inner.move_stop(entry_id, stop_loss, open_ms)  # type: ignore[func-returns-value]
        self._passed(answer, "move_stop", None if answer is None else f"found {answer!r}; expected None")

    def find(self, client_order_id: str) -> VenueOrder | None:
        order = self._inner.find(client_order_id)
        return order and self._passed(order, "find", _order_fault(order, client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        newest = self._inner.sync(symbol, candles)
        return self._passed(newest, "sync", None if newest >= 0 else f"found fill number {newest}; expected 0 or more")

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the fills above `after`, each once, in order."""
        fills = self._inner.fills(symbol, after=after)
        self._passed(fills, "fills", _first(_fill_fault(fill, symbol, self._least) for fill in fills))
        distinct = list(dict.fromkeys(fills))
        self._passed(fills, "fills", _twofold("fill id", [fill.fill_id for fill in distinct]))
        self._passed(fills, "fills", _twofold("fill number", [fill.sequence for fill in distinct]))
        return sorted((fill for fill in distinct if fill.sequence > after), key=attrgetter("sequence"))

    def positions(self) -> Sequence[VenuePosition]:
        positions = list(dict.fromkeys(self._inner.positions()))
        self._passed(positions, "positions", _first(_position_fault(position, self._least) for position in positions))
        return [at for at in positions if at.units]

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        orders = list(dict.fromkeys(self._inner.open_orders(symbol)))
        self._passed(orders, "open_orders", _first(_open_order_fault(order, symbol) for order in orders))
        return self._passed(orders, "open_orders", _twofold("order", [order.venue_order_id for order in orders]))

    def clock_ms(self) -> int:
        now_ms = self._inner.clock_ms()
        return self._passed(now_ms, "clock_ms", None if now_ms > 0 else f"found {now_ms}; expected more than 0")

    def quoted_spread(self, symbol: str) -> float | None:
        """Return the spread quoted by the venue (ask price minus bid price), None if it quotes none."""
        if not isinstance(self._inner, QuotesSpread):
            return None
        spread = self._inner.quoted_spread(symbol)
        is_number = spread is None or 0 <= spread < math.inf
        return self._passed(spread, "quoted_spread", None if is_number else f"found {spread}; expected 0 or more")

    def _passed(self, answer: T, method: str, fault: str | None) -> T:
        if fault:
            raise Transient(self._where, f"{method}: malformed answer: {fault}")
        return answer


def _order_fault(order: VenueOrder, client_order_id: str, units: float = math.inf) -> str | None:
    """Return the error of an order that was requested by its id, and sent with at most `units`."""
    if order.client_order_id != client_order_id:
        return f"found order {order.client_order_id!r}; expected {client_order_id!r}"
    if not order.venue_order_id:
        return f"order {client_order_id} has no venue_order_id"
    if order.state not in _TOLD_STATES:
        return f"found order {client_order_id} in state {order.state}; expected a state of the venue"
    if not 0 <= order.filled_units < math.inf or (
        order.filled_units > units and not is_same_units(order.filled_units, units)
    ):
        return f"found {order.filled_units} filled units of order {client_order_id}; expected 0 to {units}"
    if order.filled_units and order.state in _UNFILLED_STATES:
        return f"found {order.filled_units} filled units of order {client_order_id} in state {order.state}; expected 0"
    return None


def _fill_fault(fill: Fill, symbol: str, least: float) -> str | None:
    if fill.symbol != symbol:
        return f"found fill {fill.fill_id!r} of {fill.symbol!r}; expected {symbol}"
    if not fill.fill_id:
        return f"a fill of order {fill.client_order_id!r} has no fill_id"
    if not (0 < fill.units < math.inf and least < fill.price < math.inf):
        return f"found fill {fill.fill_id} of {fill.units} units at {fill.price}; expected positive numbers"
    if not -math.inf < fill.fee < math.inf:
        return f"found fill {fill.fill_id} with fee {fill.fee}; expected a finite number"
    if fill.sequence <= 0 or fill.market_ms < 0:
        return f"found fill {fill.fill_id} with sequence {fill.sequence} at {fill.market_ms} ms; expected > 0 and >= 0"
    return None


def _position_fault(position: VenuePosition, least: float) -> str | None:
    if (
        math.isfinite(position.units)
        and least <= position.average_price < math.inf
        and math.isfinite(position.average_price)
    ):
        return None
    return f"found {position.units} units of {position.symbol!r} at {position.average_price}; expected finite numbers"


def _open_order_fault(order: OpenOrder, symbol: str) -> str | None:
    if order.symbol != symbol:
        return f"found order {order.venue_order_id!r} of {order.symbol!r}; expected {symbol}"
    if not order.venue_order_id:
        return f"order {order.client_order_id!r} has no venue_order_id"
    if not 0 < order.units < math.inf or not (order.price is None or 0 < order.price < math.inf):
        return f"found order {order.venue_order_id} of {order.units} units at {order.price}; expected positive numbers"
    return None


def _first(faults: Iterable[str | None]) -> str | None:
    return next(filter(None, faults), None)


def _twofold(what: str, names: Sequence[object]) -> str | None:
    """Return an error for an id with two different values; identical repetitions are removed before."""
    if len(set(names)) == len(names):
        return None
    return f"found two values of {what} {next(name for name in names if names.count(name) > 1)!r}; expected one"
