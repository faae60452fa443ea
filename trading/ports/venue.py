"""The port of venues."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, VenueOrder, VenuePosition


class VenueTerms(Struct, frozen=True):
    """The guarantees of a venue.

    Attributes:
        visibility_s: Longest time, in seconds of real time, from the start of a send until `find` shows the order. An
            earlier "no such order" proves nothing. If a venue accepts an id again after its order has ended, it must
            include the time limit of a send (15 s here); with unique ids a late send has no effect.
    """

    visibility_s: float = 0.0


class Venue(Protocol):
    """Takes orders. Every method may raise Transient, after which the outcome is unknown.

    An entry's stop and target rest at the venue from the moment it fills, sized by what was filled, in multiples of the
    venue's step; the fill of one cancels the other.
    An exit never opens or turns a position. Numbers of units are the decimals that the venue tells.
    """

    @property
    def terms(self) -> VenueTerms: ...

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Send an order; the same `client_order_id` sent again returns the first order and places nothing.

        An entry with `at_fill` fills with the units that `FillTerms.units_of` gives at the price of its fill, and with
        the profit of the exit of the same decision if that one fills at the same time. It ends as CANCELED where these
        are 0.0. The answer of `find` has its filled units.

        Raises:
            Rejected: The venue rejects it; there is no such order.
            Transient: It is unknown whether the order exists.
        """
        ...

    def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel the unfilled rest of an order, and return its state."""
        ...

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Move the stop of a filled entry to another price; an entry without a stop gets its first one.

        A stop that is gone although the position is open (cancelled, expired or lost) is placed again, under the id
        below, also at the price that it had.

        The resting stop is modified in place: the position is never without a stop, and its remaining units stay
        covered. It keeps the id `trading.orders.orders.protective_order_id(entry_id, Leg.STOP_LOSS)`, and
        the fill of stop or target still cancels the other. The same price again changes nothing, so a call whose answer
        was lost is repeated.

        If the exchange cannot modify a stop in place, the adapter sends the new one first, reduce-only and under an id
        that identifies the move, cancels the old one once the new one is accepted, and reports the new one under the id
        above. If the exchange rejects two stops at once, it raises `Rejected` and keeps the only one.

        Args:
            entry_id: `client_order_id` of the entry that opened the position.
            stop_loss: Price, in quote currency.
            open_ms: Open time of the candle that was decided on. A venue that fills by candles matches the new stop
                only with later ones: that candle may be passed again, and the stop was not yet moved when it closed.

        Raises:
            Rejected: No such entry, no position of it, or an invalid price; the stop stays at its price.
            Transient: It is unknown whether the stop was moved.
        """
        ...

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order; None if the venue is certain that there is none."""
        ...

    def sync(self, symbol: str, candles: Candles) -> int:
        """Pass closed candles to the venue, and return the sequence number of the symbol's newest fill, 0 for none.

        Only a venue that fills by candles uses them, each once even if passed repeatedly. `candles` may be empty.
        """
        ...

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the symbol's fills whose sequence number is above `after`, in order."""
        ...

    def positions(self) -> Sequence[VenuePosition]:
        """Return the open positions."""
        ...

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        """Return the symbol's resting orders, protective ones and those of other senders included."""
        ...

    def clock_ms(self) -> int:
        """Return the venue's own clock, milliseconds since the epoch, UTC: real time, not market time."""
        ...


@runtime_checkable
class QuotesSpread(Protocol):
    """A venue that quotes a spread; optional. Without one an entry under `max_spread` is rejected."""

    def quoted_spread(self, symbol: str) -> float | None:
        """Return the current spread (ask price minus bid price), in quote currency; None if the venue quotes none.

        Raises:
            Transient: The venue did not answer.
        """
        ...
