"""Callers, orders and prices for the tests of a venue that injects faults."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from adapters.venues.fault_injection.venue import Faults
from trading.errors import Rejected, Transient
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Fill, Leg, OpenOrder, OrderRequest, Side, VenueOrder, VenuePosition, client_order_id
from trading.ports.venue import Venue, VenueTerms
from trading.structs import replace
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL

T = TypeVar("T")
TERMS = FillTerms(spread=0.2, slippage=0.05, commission_bps=2)
AT_CLOSE = replace(TERMS, fill_at="close")
MOST = 2
LINE = {
    "timeout_before": Faults(timeout_before_probability=1.0),
    "timeout_after": Faults(timeout_after_probability=1.0),
    "server_error": Faults(server_error_probability=1.0),
    "rate_limit": Faults(rate_limit_probability=1.0),
    "malformed": Faults(malformed_probability=1.0),
    "cancel_race": Faults(cancel_race_probability=1.0),
    "visibility": Faults(visibility_s=30.0),
    "duplicate_fill": Faults(duplicate_fill_probability=1.0),
    "shuffled_fills": Faults(shuffled_fills_probability=1.0),
    "late_fill": Faults(late_fill_probability=1.0),
}
ALL_LINE = Faults(
    **{name: value for one in LINE.values() for name, value in one.model_dump(exclude_defaults=True).items()}
)
NONE = Faults()


class Clock:
    """Seconds that pass when the test says so, or when the venue lets its caller wait."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class AskAgain:
    """The calls that any caller must make to a venue that may not answer, shows orders late and leaves out fills."""

    def __init__(self, venue: Venue, wait: Callable[[float], None]) -> None:
        self._venue = venue
        self._wait = wait

    @property
    def terms(self) -> VenueTerms:
        return self._venue.terms

    def submit(self, request: OrderRequest) -> VenueOrder:
        return answer(lambda: self._venue.submit(request))

    def cancel(self, client_order_id: str) -> VenueOrder:
        return answer(lambda: self._venue.cancel(client_order_id))

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        answer(lambda: self._venue.move_stop(entry_id, stop_loss, open_ms))

    def find(self, client_order_id: str) -> VenueOrder | None:
        self._wait(self.terms.visibility_s)
        return answer(lambda: self._venue.find(client_order_id))

    def sync(self, symbol: str, candles: Candles) -> int:
        return answer(lambda: self._venue.sync(symbol, candles))

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        told = [fill for _ in range(MOST + 1) for fill in answer(lambda: self._venue.fills(symbol, after=after))]
        return sorted(set(told), key=lambda fill: fill.sequence)

    def positions(self) -> Sequence[VenuePosition]:
        return answer(self._venue.positions)

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        self._wait(self.terms.visibility_s)
        return answer(lambda: self._venue.open_orders(symbol))

    def clock_ms(self) -> int:
        return answer(self._venue.clock_ms)


def answer(ask: Callable[[], T]) -> T:
    """Ask until there is an answer; more than `MOST` faults in a row are one too many."""
    for _ in range(MOST):
        try:
            return ask()
        except Transient:
            continue
    return ask()


def outcome(ask: Callable[[], T]) -> T | str:
    """Return the answer, or the error as text."""
    try:
        return ask()
    except (Transient, Rejected) as error:
        return f"{type(error).__name__}: {error}"


def sent(venue: Venue, request: OrderRequest) -> str:
    """Send an order, and tell the answer as text."""
    return str(outcome(lambda: venue.submit(request)))


def candle(minute: int, opened: float, high: float, low: float, close: float) -> Candles:
    return Candles.from_rows([[minute * MINUTE_MS, opened, high, low, close, 1.0]])


def flat(minute: int, price: float = 100.0) -> Candles:
    return candle(minute, price, price, price, price)


def order(minute: int, side: Side = Side.BUY, *, leg: Leg = Leg.ENTRY, **fields: Any) -> OrderRequest:
    """Make an order of 2 units decided at the open of `minute`, at 100."""
    name = client_order_id("paper", SYMBOL, "cross", minute * MINUTE_MS, leg)
    return replace(OrderRequest(name, SYMBOL, "cross", leg, side, 2.0, 100.0, minute * MINUTE_MS), **fields)
