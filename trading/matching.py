"""How orders fill when only candles are known: the rules of the paper venue, as pure functions.

Within one candle things happen in this order:

1. market orders fill at the open, in the order sent;
2. a stop that the open is at or beyond fills at the open, else a target that the open is at or beyond does;
3. a stop that the candle touches fills at its price, else a target that it touches does.

Stop and target rest from the moment their entry fills, so the entry's own candle can hit them too.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from trading.errors import Broken
from trading.orders import PROTECTIVE_LEGS, Leg, OrderRequest, OrderState, Side, protective_order_id

_DUST = 1e-9
"""Units below this are rounding noise of float sums, not a position."""


class Bar(NamedTuple):
    """One closed candle: open time in milliseconds since the epoch, UTC, and prices in quote currency."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class FillTerms:
    """What a fill costs, and when a market order fills.

    Attributes:
        fill_at: `next_open`: at the open of the first candle that opens at or after `decided_ms`. `close`: at once, at
            the close of the candle that was decided on. Its market time is then `decided_ms - 1`, the last millisecond
            of that candle, because an order does not tell when its candle opened.
        spread: Full distance from bid to ask, in quote currency; market and stop fills pay half of it.
        slippage: What market and stop fills pay beyond that, in quote currency.
        commission_bps: Fee of every fill, in 1/10,000 of its value.
    """

    fill_at: Literal["next_open", "close"] = "next_open"
    spread: float = 0.0
    slippage: float = 0.0
    commission_bps: float = 0.0

    def __post_init__(self) -> None:
        if not (self.spread >= 0 and self.slippage >= 0 and self.commission_bps >= 0):
            raise ValueError(f"spread, slippage and commission_bps must not be negative: {self}")

    def taken(self, side: Side, price: float) -> float:
        """Return what a market or stop order gets when the candle shows `price`."""
        return price + side.sign * (self.spread / 2 + self.slippage)

    def fee(self, units: float, price: float) -> float:
        return units * price * self.commission_bps / 10_000


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that waits: a market order for its candle, a protective order for its price.

    Attributes:
        units: Positive. A protective order closes all that is open when it fills, whatever it was placed with.
        price: Price of a stop or target; of a market order the close that was decided on.
        decided_ms: The first open time at which it may fill, milliseconds since the epoch, UTC.
        stop_loss: Stop that an entry brings; None for none.
        take_profit: Target that an entry brings; None for none.
    """

    client_order_id: str
    leg: Leg
    side: Side
    units: float
    price: float
    decided_ms: int
    stop_loss: float | None = None
    take_profit: float | None = None

    @property
    def is_market(self) -> bool:
        return self.leg not in PROTECTIVE_LEGS

    @classmethod
    def of(cls, request: OrderRequest) -> "Resting":
        return cls(
            request.client_order_id,
            request.leg,
            request.side,
            request.units,
            request.reference_price,
            request.decided_ms,
            request.stop_loss,
            request.take_profit,
        )


@dataclass(frozen=True, slots=True)
class Book:
    """What one strategy has on one symbol.

    Attributes:
        units: Positive when long, negative when short, 0.0 when flat.
        average_price: Of the open units, in quote currency; 0.0 when flat.
        acted_ms: Open time of the last candle that changed this book. Only later candles may change it again, so one
            shown twice, or an old one shown late, does nothing, and one that changes nothing need not be remembered.
        orders: Those that wait, in the order sent; at most one stop and one target: the fill of one cancels the other.
    """

    units: float = 0.0
    average_price: float = 0.0
    acted_ms: int = -1
    orders: tuple[Resting, ...] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill: `units` positive, `price` after spread and slippage, `fee` not negative, `market_ms` as in `Fill`."""

    client_order_id: str
    leg: Leg
    side: Side
    units: float
    price: float
    fee: float
    market_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """A book afterwards, and what happened to it.

    Attributes:
        executions: In the order in which they happened.
        placed: Protective orders that came with an entry, those filled or canceled in the same moment too.
        settled: Each order that waits no more, FILLED or CANCELED, with the units that were filled.
    """

    book: Book
    executions: tuple[Execution, ...] = ()
    placed: tuple[Resting, ...] = ()
    settled: tuple[tuple[str, OrderState, float], ...] = ()


def on_bar(book: Book, bar: Bar, terms: FillTerms) -> Change | None:
    """Let one candle act on a book; None when it changes nothing.

    Raises:
        Broken: A fill would have a price that is NaN or not positive.
    """
    if not book.orders or bar.open_ms <= book.acted_ms:
        return None
    change = Change(book)
    for order in book.orders:
        if order.is_market and order.decided_ms <= bar.open_ms:
            change = _fill_market(change, order, bar.open, bar.open_ms, terms)
    change = _hit_protection(change, bar, terms)
    if change.book is book:
        return None
    return replace(change, book=replace(change.book, acted_ms=bar.open_ms))


def at_close(book: Book, order: Resting, terms: FillTerms) -> Change:
    """Fill a market order at the close of the candle that was decided on; only later candles may hit what it places.

    Raises:
        Broken: The fill would have a price that is NaN or not positive.
    """
    market_ms = order.decided_ms - 1
    change = _fill_market(Change(book), order, order.price, market_ms, terms)
    return replace(change, book=replace(change.book, acted_ms=max(book.acted_ms, market_ms)))


def _fill_market(change: Change, order: Resting, shown: float, market_ms: int, terms: FillTerms) -> Change:
    before = change.book.units
    units = order.units if order.leg is Leg.ENTRY else _reducible(order, before)
    if not units:
        return _settle(change, order, OrderState.CANCELED)
    change = _execute(change, order, units, terms.taken(order.side, shown), market_ms=market_ms, terms=terms)
    after = change.book.units
    if not after or after * before < 0:
        change = _drop_protection(change)
    adds = order.leg is Leg.ENTRY and after * order.side.sign > 0
    return _protect(change, order, market_ms) if adds else change


def _reducible(order: Resting, held: float) -> float:
    """Return how much of an exit closes something: it never opens or flips a position."""
    if held * order.side.sign >= 0:
        return 0.0
    return abs(held) if order.units > abs(held) - _DUST else order.units


def _hit_protection(change: Change, bar: Bar, terms: FillTerms) -> Change:
    side = 1 if change.book.units > 0 else -1
    legs = {order.leg: order for order in change.book.orders if not order.is_market}
    stop, target = legs.get(Leg.STOP_LOSS), legs.get(Leg.TAKE_PROFIT)
    worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
    if stop and side * bar.open <= side * stop.price:
        return _close(change, stop, terms.taken(stop.side, bar.open), bar.open_ms, terms)
    if target and side * bar.open >= side * target.price:
        return _close(change, target, bar.open, bar.open_ms, terms)
    if stop and side * worst <= side * stop.price:
        return _close(change, stop, terms.taken(stop.side, stop.price), bar.open_ms, terms)
    if target and side * best >= side * target.price:
        return _close(change, target, target.price, bar.open_ms, terms)
    return change


def _close(change: Change, order: Resting, price: float, market_ms: int, terms: FillTerms) -> Change:
    return _drop_protection(_execute(change, order, abs(change.book.units), price, market_ms=market_ms, terms=terms))


def _protect(change: Change, entry: Resting, market_ms: int) -> Change:
    """Place what an entry brings, for the whole position; an entry that adds and brings nothing leaves what rests."""
    prices = ((Leg.STOP_LOSS, entry.stop_loss), (Leg.TAKE_PROFIT, entry.take_profit))
    placed = tuple(
        Resting(
            protective_order_id(entry.client_order_id, leg),
            leg,
            entry.side.opposite,
            abs(change.book.units),
            price,
            market_ms,
        )
        for leg, price in prices
        if price is not None
    )
    if not placed:
        return change
    change = _drop_protection(change)
    book = replace(change.book, orders=change.book.orders + placed)
    return replace(change, book=book, placed=change.placed + placed)


def _drop_protection(change: Change) -> Change:
    for order in change.book.orders:
        if not order.is_market:
            change = _settle(change, order, OrderState.CANCELED)
    return change


def _execute(change: Change, order: Resting, units: float, price: float, *, market_ms: int, terms: FillTerms) -> Change:
    if not 0 < price < float("inf"):
        raise Broken(f"order {order.client_order_id} would fill at {price}")
    fee = terms.fee(units, price)
    execution = Execution(order.client_order_id, order.leg, order.side, units, price, fee, market_ms)
    held, average = _netted(change.book, order.side.sign * units, price)
    book = replace(change.book, units=held, average_price=average)
    change = replace(change, book=book, executions=(*change.executions, execution))
    return _settle(change, order, OrderState.FILLED, units)


def _settle(change: Change, order: Resting, state: OrderState, filled_units: float = 0.0) -> Change:
    orders = tuple(other for other in change.book.orders if other.client_order_id != order.client_order_id)
    settled = (*change.settled, (order.client_order_id, state, filled_units))
    return replace(change, book=replace(change.book, orders=orders), settled=settled)


def _netted(book: Book, signed: float, price: float) -> tuple[float, float]:
    """Return units and average price after `signed` more units at `price`."""
    units = book.units + signed
    if abs(units) < _DUST:
        return 0.0, 0.0
    if book.units * signed >= 0:
        return units, (book.units * book.average_price + signed * price) / units
    return units, book.average_price if units * book.units > 0 else price
