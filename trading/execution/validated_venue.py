"""Checks every answer of a venue: one that makes no sense is no answer, and is asked for again.

What passes, because real venues do it and it harms nothing:

- fills out of order, told twice, or told though they are not after the sequence asked for: put right here;
- FILLED or CANCELED with 0.0 filled units: the venue does not tell units, the fills do;
- a position of 0.0 units: left out;
- a fill without the id of an order of ours: traded by hand, or by the venue itself;
- two positions in one symbol, long and short: their sum is what is held.
"""

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from trading.errors import Rejected, Transient
from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, OrderState, VenueOrder, VenuePosition
from trading.ports.venue import QuotesSpread, Venue, VenueTerms
from trading.tolerance import is_at_most

T = TypeVar("T")

_TOLD_STATES = frozenset(OrderState) - {OrderState.PLANNED, OrderState.SUBMITTING, OrderState.UNKNOWN}
"""A venue says how an order stands; the others are about what we have done with it."""
_UNFILLED_STATES = frozenset({OrderState.ACCEPTED, OrderState.REJECTED})


class ValidatedVenue:
    """Any venue, whose answers can be relied on; it implements `trading.ports.venue.Venue`.

    Every method raises `Transient` for an answer that makes no sense. Of an order that was sent, nothing more is known
    then than after a timeout.
    """

    def __init__(self, inner: Venue, *, where: str = "venue") -> None:
        """Wrap a venue; `where` names it in errors."""
        self._inner = inner
        self._where = where

    @property
    def terms(self) -> VenueTerms:
        terms = self._inner.terms
        return self._passed(terms, "terms", None if 0 <= terms.visibility_s < math.inf else f"{terms}")

    def submit(self, request: OrderRequest) -> VenueOrder:
        order = self._inner.submit(request)
        return self._passed(order, "submit", _order_fault(order, request.client_order_id, request.units))

    def cancel(self, client_order_id: str) -> VenueOrder:
        order = self._inner.cancel(client_order_id)
        return self._passed(order, "cancel", _order_fault(order, client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Let a stop rest at another price, if it is one.

        Raises:
            Rejected: It is not a positive price, or the venue refuses it.
        """
        if not 0 < stop_loss < math.inf:
            raise Rejected("stop_loss", f"a stop must be a positive price, not {stop_loss}")
        answer: object = self._inner.move_stop(entry_id, stop_loss, open_ms)  # type: ignore[func-returns-value]
        self._passed(answer, "move_stop", None if answer is None else f"{answer!r}, and nothing was asked for")

    def find(self, client_order_id: str) -> VenueOrder | None:
        order = self._inner.find(client_order_id)
        return order and self._passed(order, "find", _order_fault(order, client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        newest = self._inner.sync(symbol, candles)
        return self._passed(newest, "sync", None if newest >= 0 else f"fill number {newest}")

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the fills above `after`, each once, in order."""
        fills = self._inner.fills(symbol, after=after)
        self._passed(fills, "fills", _first(_fill_fault(fill, symbol) for fill in fills))
        distinct = list(dict.fromkeys(fills))
        self._passed(fills, "fills", _twofold("fill id", [fill.fill_id for fill in distinct]))
        self._passed(fills, "fills", _twofold("fill number", [fill.sequence for fill in distinct]))
        return sorted((fill for fill in distinct if fill.sequence > after), key=attrgetter("sequence"))

    def positions(self) -> Sequence[VenuePosition]:
        positions = list(dict.fromkeys(self._inner.positions()))
        self._passed(positions, "positions", _first(map(_position_fault, positions)))
        return [at for at in positions if at.units]

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        orders = list(dict.fromkeys(self._inner.open_orders(symbol)))
        self._passed(orders, "open_orders", _first(_open_order_fault(order, symbol) for order in orders))
        return self._passed(orders, "open_orders", _twofold("order", [order.venue_order_id for order in orders]))

    def clock_ms(self) -> int:
        now_ms = self._inner.clock_ms()
        return self._passed(now_ms, "clock_ms", None if now_ms > 0 else f"{now_ms}")

    def quoted_spread(self, symbol: str) -> float | None:
        """Return ask minus bid as the venue quotes it, None where it quotes none."""
        if not isinstance(self._inner, QuotesSpread):
            return None
        spread = self._inner.quoted_spread(symbol)
        is_number = spread is None or 0 <= spread < math.inf
        return self._passed(spread, "quoted_spread", None if is_number else f"a spread of {spread}")

    def _passed(self, answer: T, method: str, fault: str | None) -> T:
        if fault:
            raise Transient(self._where, f"{method}: malformed answer: {fault}")
        return answer


def _order_fault(order: VenueOrder, client_order_id: str, units: float = math.inf) -> str | None:
    """Say what is wrong with an order that was asked for by its id, and sent with `units` at most."""
    if order.client_order_id != client_order_id:
        return f"order {order.client_order_id!r} in place of {client_order_id!r}"
    if not order.venue_order_id:
        return f"order {client_order_id} has no id of the venue"
    if order.state not in _TOLD_STATES:
        return f"order {client_order_id} is {order.state}, which no venue can know"
    if not 0 <= order.filled_units < math.inf or not is_at_most(order.filled_units, units):
        return f"order {client_order_id} is filled by {order.filled_units} units"
    if order.filled_units and order.state in _UNFILLED_STATES:
        return f"order {client_order_id} is {order.state} and filled by {order.filled_units} units"
    return None


def _fill_fault(fill: Fill, symbol: str) -> str | None:
    if fill.symbol != symbol:
        return f"fill {fill.fill_id!r} of {fill.symbol!r} in place of {symbol}"
    if not fill.fill_id:
        return f"a fill of order {fill.client_order_id!r} lacks an id"
    if not (0 < fill.units < math.inf and 0 < fill.price < math.inf):
        return f"fill {fill.fill_id} of {fill.units} units at {fill.price}"
    if not -math.inf < fill.fee < math.inf:
        return f"fill {fill.fill_id} costs {fill.fee}"
    if fill.sequence <= 0 or fill.market_ms < 0:
        return f"fill {fill.fill_id} has number {fill.sequence} and market time {fill.market_ms}"
    return None


def _position_fault(position: VenuePosition) -> str | None:
    if math.isfinite(position.units) and 0 <= position.average_price < math.inf:
        return None
    return f"position of {position.units} units of {position.symbol!r} at {position.average_price}"


def _open_order_fault(order: OpenOrder, symbol: str) -> str | None:
    if order.symbol != symbol:
        return f"order {order.venue_order_id!r} of {order.symbol!r} in place of {symbol}"
    if not order.venue_order_id:
        return f"order {order.client_order_id!r} has no id of the venue"
    if not 0 < order.units < math.inf or not (order.price is None or 0 < order.price < math.inf):
        return f"order {order.venue_order_id} of {order.units} units at {order.price}"
    return None


def _first(faults: Iterable[str | None]) -> str | None:
    return next(filter(None, faults), None)


def _twofold(what: str, names: Sequence[object]) -> str | None:
    """Say which name stands for two things that differ; what was told twice alike is gone before."""
    if len(set(names)) == len(names):
        return None
    return f"{what} {next(name for name in names if names.count(name) > 1)!r} is told twice, and differs"
