"""A fault-injecting venue: real orders at any venue, with the failures and delays of real exchanges.

    FaultInjectingVenue
    ├── Line      line faults: each call may fail, be malformed or delayed; a retry succeeds
    ├── Outcomes  outcome faults: rejected, partly accepted, filled in parts; computed from ids, so always the same
    └── Sends     send times of orders, to delay their visibility

`docs/how-to/inject-faults.md` explains each fault, and how to wrap your own adapter.
"""

import time
from collections.abc import Callable, Sequence

from adapters.venues.fault_injection import malformed as nonsense
from adapters.venues.fault_injection.network import CANCEL, MOVE_STOP, SUBMIT, SYNC, WHERE, FaultyConnection
from adapters.venues.fault_injection.outcomes import Numbering, Outcomes, renamed
from adapters.venues.fault_injection.visibility import MemorySends, Sends, ShownStops
from configs.fault_injection import Faults
from trading.errors import Rejected
from trading.market.candles import Candles
from trading.moved import moved
from trading.orders.orders import Fill, Leg, OpenOrder, OrderRequest, VenueOrder, VenuePosition, protective_order_id
from trading.ports.venue import QuotesSpread, Venue, VenueTerms
from trading.structs import replace

__all__ = ["FaultInjectingVenue", "Faults"]


class FaultInjectingVenue:
    """Wraps a venue for one symbol and one thread; it implements `trading.ports.venue.Venue`."""

    def __init__(
        self,
        inner: Venue,
        faults: Faults,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
        sends: Sends | None = None,
    ) -> None:
        """Wrap a venue.

        Args:
            inner: The venue that receives the orders; it may be shared.
            now_s: A clock in seconds, used if `sends` is None.
            sleep_s: Waits out a timeout.
            sends: Store of send times; None keeps them in this process, which then shows orders of earlier processes
                at once.
        """
        self._inner = inner
        self._faults = faults
        self._connection = FaultyConnection(faults, sleep_s)
        self._outcomes = Outcomes(faults)
        self._numbering = Numbering(faults)
        self._sends = MemorySends(now_s) if sends is None else sends
        self._stops = ShownStops(now_s)

    @property
    def terms(self) -> VenueTerms:
        """The guarantees of the inner venue, with the delay of this one."""
        terms = self._inner.terms
        return replace(terms, visibility_s=terms.visibility_s + self._faults.visibility_s)

    def submit(self, request: OrderRequest) -> VenueOrder:
        identity = request.client_order_id
        return self._connection.call(SUBMIT, identity, lambda: self._submit(request), nonsense.of_order)

    def cancel(self, client_order_id: str) -> VenueOrder:
        return self._connection.call(CANCEL, client_order_id, lambda: self._cancel(client_order_id), nonsense.of_order)

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        ask = lambda: self._move_stop(entry_id, stop_loss, open_ms)  # noqa: E731
        return self._connection.call(MOVE_STOP, entry_id, ask, nonsense.of_nothing)

    def find(self, client_order_id: str) -> VenueOrder | None:
        return self._connection.call("find", client_order_id, lambda: self._find(client_order_id), nonsense.of_found)

    def sync(self, symbol: str, candles: Candles) -> int:
        newest = self._connection.call(SYNC, symbol, lambda: self._sync(symbol, candles), nonsense.of_number)
        return newest if newest < 0 else self._numbering.outer(newest)

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        return self._connection.call("fills", symbol, lambda: self._fills(symbol, after), nonsense.of_fills)

    def positions(self) -> Sequence[VenuePosition]:
        return self._connection.call("positions", "all", self._inner.positions, nonsense.of_positions)

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        return self._connection.call("open_orders", symbol, lambda: self._open_orders(symbol), nonsense.of_open_orders)

    def clock_ms(self) -> int:
        return self._connection.call("clock_ms", "all", self._clock_ms, nonsense.of_number)

    def quoted_spread(self, symbol: str) -> float | None:
        """Return the spread of the inner venue, without faults."""
        return self._inner.quoted_spread(symbol) if isinstance(self._inner, QuotesSpread) else None

    def _sync(self, symbol: str, candles: Candles) -> int:
        newest = self._inner.sync(symbol, candles)
        self._lose_stops(symbol)
        return newest

    def _lose_stops(self, symbol: str) -> None:
        """Cancel the stops that the venue is to lose, as if they had never rested."""
        if self._faults.lost_stop_probability:
            for order in self._inner.open_orders(symbol):
                if self._outcomes.is_lost(order.client_order_id):
                    self._inner.cancel(order.client_order_id)

    def _submit(self, request: OrderRequest) -> VenueOrder:
        """Send the order, or its accepted part, to the inner venue; a known order is returned again."""
        identity = request.client_order_id
        if self._outcomes.is_rejected(identity):
            raise Rejected(WHERE, f"order {identity} is rejected by an injected fault")
        inner_id = self._inner_id(identity)
        units = self._outcomes.taken_units(request)
        inner = replace(request, client_order_id=inner_id, units=units, at_fill=None)  # parts are parts of `units`
        return self._outcomes.told(self._inner.submit(inner))

    def _inner_id(self, client_order_id: str) -> str:
        """Return the id at the inner venue: of a live order, else of a new one, whose send is recorded."""
        known = self._newest(client_order_id)
        if known and not (self._faults.reusable_ids and known[1].state.is_final):
            return renamed(client_order_id, known[0])
        if self._faults.visibility_s:
            self._sends.note(client_order_id)
        return renamed(client_order_id, known[0] + 1 if known else 1)

    def _newest(self, client_order_id: str) -> tuple[int, VenueOrder] | None:
        """Return the newest order derived from an id, and the number of such orders."""
        order, generation = self._inner.find(client_order_id), 1
        if order is None:
            return None
        while self._faults.reusable_ids and (later := self._inner.find(renamed(client_order_id, generation + 1))):
            order, generation = later, generation + 1
        return generation, order

    def _cancel(self, client_order_id: str) -> VenueOrder:
        known = self._newest(client_order_id)
        return self._outcomes.told(self._inner.cancel(renamed(client_order_id, known[0] if known else 1)))

    def _move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        identity = protective_order_id(entry_id, Leg.STOP_LOSS)
        if self._outcomes.is_rejected(f"{identity}/{open_ms}"):
            raise Rejected(WHERE, f"the stop {identity} is not moved")
        known = self._newest(entry_id)
        self._inner.move_stop(renamed(entry_id, known[0] if known else 1), stop_loss, open_ms)
        if self._faults.visibility_s:
            self._stops.note(identity, stop_loss, delay_s=self._outcomes.delay_s(identity))

    def _find(self, client_order_id: str) -> VenueOrder | None:
        if self._is_hidden(client_order_id):
            return None
        known = self._newest(client_order_id)
        return self._outcomes.told(known[1]) if known else None

    def _fills(self, symbol: str, after: int) -> list[Fill]:
        fills = [
            part
            for fill in self._inner.fills(symbol, after=self._numbering.inner_after(after))
            for part in self._outcomes.parts(self._renumbered(fill))
            if part.sequence > after
        ]
        return self._connection.garble(fills)

    def _renumbered(self, fill: Fill) -> Fill:
        order_id = self._outcomes.first_id(fill.client_order_id)
        return replace(fill, sequence=self._numbering.outer(fill.sequence), client_order_id=order_id)

    def _open_orders(self, symbol: str) -> list[OpenOrder]:
        orders = [
            replace(order, client_order_id=self._outcomes.first_id(order.client_order_id))
            for order in self._inner.open_orders(symbol)
        ]
        return [self._stops.shown(order) for order in orders if not self._is_hidden(order.client_order_id)]

    def _is_hidden(self, client_order_id: str) -> bool:
        if not self._faults.visibility_s:
            return False
        age_s = self._sends.age_s(client_order_id)
        return age_s is not None and 0 <= age_s < self._outcomes.delay_s(client_order_id)

    def _clock_ms(self) -> int:
        return self._inner.clock_ms() + self._faults.clock_offset_ms


__getattr__ = moved(__name__, __name__, renamed={"LyingVenue": "FaultInjectingVenue"})
