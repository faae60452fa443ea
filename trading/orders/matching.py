"""Fill orders from candles alone: the rules of the paper venue, as pure functions.

Within one candle, events happen in this order:

1. market orders fill at the open, in the order sent; an entry that invests a part of the equity gets its units then,
   with the profit of the exit that filled just before it;
2. a stop at or beyond the open fills at the open, otherwise a target at or beyond the open does;
3. a stop that the candle touches fills at its price, otherwise a target that it touches does.

Stop and target rest from the moment their entry fills, so the entry's own candle can hit them too. A stop that is moved
at a candle's close is effective for later candles.
"""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.errors import Broken, Rejected
from trading.formatting import format_price, format_time
from trading.market.candles import HIGH, LOW, Candles
from trading.orders.equity_size import EquitySize
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import PROTECTIVE_LEGS, Leg, OrderRequest, OrderState, Side, protective_order_id
from trading.structs import replace
from trading.tolerance import net_units

_CLOSES_ALL = 1e-14
"""Relative: an exit for all of a position may be a sum that rounded in another way than the position did."""
_LOOKED_AT = 512
"""Candles scanned in one step: most stops and targets are reached within this number."""


class Bar(Struct, frozen=True):
    """One closed candle: open time in milliseconds since the epoch, UTC, and prices in quote currency."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float


class Resting(Struct, frozen=True):
    """A waiting order: a market order waits for its candle, a protective order for its price.

    Attributes:
        units: Positive. A protective order closes the whole position when it fills, whatever its own units.
        price: Price of a stop or target; for a market order the close of the decided candle.
        decided_ms: First open time at which it may fill, milliseconds since the epoch, UTC.
        stop_loss: Stop that an entry brings; None for none.
        take_profit: Target that an entry brings; None for none.
        at_fill: Size of an entry as a part of the equity, computed when it fills; None for one of `units`.
    """

    client_order_id: str
    leg: Leg
    side: Side
    units: float
    price: float
    decided_ms: int
    stop_loss: float | None = None
    take_profit: float | None = None
    at_fill: EquitySize | None = None

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
            request.at_fill,
        )


class Book(Struct, frozen=True):
    """Position and waiting orders of one strategy on one symbol.

    Attributes:
        units: Positive when long, negative when short, 0.0 when flat.
        average_price: Average price of the open units, in quote currency; 0.0 when flat.
        acted_ms: Open time of the last candle that changed this book. Only later candles may change it again, so
            repeated or late old candles have no effect, and candles without effect need no record.
        orders: Waiting orders, in the order sent; at most one stop and one target: a fill of one cancels the other.
    """

    units: float = 0.0
    average_price: float = 0.0
    acted_ms: int = -1
    orders: tuple[Resting, ...] = ()


class Execution(Struct, frozen=True):
    """One fill: `units` positive, `price` after spread and slippage, `fee` not negative, `market_ms` as in `Fill`."""

    client_order_id: str
    leg: Leg
    side: Side
    units: float
    price: float
    fee: float
    market_ms: int


class Change(Struct, frozen=True):
    """A changed book and the events that changed it.

    Attributes:
        executions: Fills in chronological order.
        placed: Protective orders that came with an entry, including those filled or canceled in the same moment.
        settled: Each order that no longer waits, FILLED or CANCELED, with its filled units.
    """

    book: Book
    executions: tuple[Execution, ...] = ()
    placed: tuple[Resting, ...] = ()
    settled: tuple[tuple[str, OrderState, float], ...] = ()


class Moved(Struct, frozen=True):
    """A book whose stop was moved or placed, and that stop."""

    book: Book
    stop: Resting


def on_bar(book: Book, bar: Bar, terms: FillTerms) -> Change | None:
    """Apply one candle to a book; None if it changes nothing.

    Raises:
        Broken: A fill would have a price that is NaN or not positive.
    """
    if not book.orders or bar.open_ms <= book.acted_ms:
        return None
    moment = _Moment.of(book)
    for order in book.orders:
        if order.is_market and order.decided_ms <= bar.open_ms:
            _fill_market(moment, order, bar.open, bar.open_ms, terms)
    _hit_protection(moment, bar, terms)
    return moment.change(bar.open_ms) if moment.settled else None


def next_change(book: Book, candles: Candles, first: int = 0) -> int:
    """Return the position of the first candle from `first` on that may change a book; `len(candles)` for none.

    `on_bar` changes nothing at the skipped candles.
    """
    open_ms, place = candles.open_ms, len(candles)
    if not book.orders or first == place:
        return place
    if open_ms[first] <= book.acted_ms:
        first = int(open_ms.searchsorted(book.acted_ms, side="right"))
        if first == place:
            return place
    reached_above, reached_below = math.inf, -math.inf
    for order in book.orders:
        leg = order.leg
        if leg not in PROTECTIVE_LEGS:
            if order.decided_ms <= open_ms[first]:
                return first
            place = min(place, int(open_ms.searchsorted(order.decided_ms)))
        elif (order.side is Side.BUY) == (leg is Leg.STOP_LOSS):
            reached_above = min(reached_above, order.price)
        else:
            reached_below = max(reached_below, order.price)
    for begin in range(first, place, _LOOKED_AT):
        at = _first_touch(candles.values[begin : min(begin + _LOOKED_AT, place)], reached_above, reached_below)
        if at >= 0:
            return begin + at
    return place


def _first_touch(prices: NDArray[np.float64], above: float, below: float) -> int:
    """Return the first row whose high reaches `above` or whose low reaches `below`; -1 for none."""
    if above == math.inf:
        is_touched = prices[:, LOW] <= below
    else:
        is_touched = prices[:, HIGH] >= above
        if below > -math.inf:
            is_touched |= prices[:, LOW] <= below
    at = int(is_touched.argmax())
    return at if is_touched[at] else -1


def at_close(book: Book, order: Resting, terms: FillTerms) -> Change:
    """Fill a market order at the close of its decided candle; only later candles may hit the orders it places.

    Raises:
        Broken: The fill would have a price that is NaN or not positive.
    """
    market_ms = order.decided_ms - 1
    moment = _Moment.of(book)
    _fill_market(moment, order, order.price, market_ms, terms)
    return moment.change(max(book.acted_ms, market_ms))


def move_stop(book: Book, entry_id: str, stop_loss: float, open_ms: int) -> Moved | None:
    """Move the stop of an entry to another price, or place its first one; None if it already rests there.

    Candles up to the one that opened at `open_ms` no longer change the book.

    Raises:
        Rejected: Nothing is open, or the stop of another entry protects the position.
    """
    identity = protective_order_id(entry_id, Leg.STOP_LOSS)
    stops = [order for order in book.orders if order.leg is Leg.STOP_LOSS]
    if not book.units or any(order.client_order_id != identity for order in stops):
        raise Rejected("stop_loss", f"entry {entry_id} has no open position whose stop could be moved")
    if stops and stops[0].price == stop_loss:
        return None
    acted_ms = max(book.acted_ms, open_ms)
    if stops:
        stop = replace(stops[0], price=stop_loss)
        orders = tuple(stop if order is stops[0] else order for order in book.orders)
    else:
        side = Side.SELL if book.units > 0 else Side.BUY
        stop = Resting(identity, Leg.STOP_LOSS, side, abs(book.units), stop_loss, open_ms)
        orders = (*book.orders, stop)
    return Moved(Book(book.units, book.average_price, acted_ms, orders), stop)


class _Moment(Struct):
    """A mutable book during one event; the fields are those of `Book` and `Change`.

    Attributes:
        exit_profit: Profit of the exits that filled in this moment, after costs; None for none.
    """

    units: float
    average_price: float
    orders: list[Resting]
    exit_profit: float | None = None
    executions: list[Execution] = []
    placed: list[Resting] = []
    settled: list[tuple[str, OrderState, float]] = []

    @classmethod
    def of(cls, book: Book) -> "_Moment":
        return cls(book.units, book.average_price, list(book.orders))

    def change(self, acted_ms: int) -> Change:
        book = Book(self.units, self.average_price, acted_ms, tuple(self.orders))
        return Change(book, tuple(self.executions), tuple(self.placed), tuple(self.settled))

    def settle(self, order: Resting, state: OrderState, filled_units: float = 0.0) -> None:
        self.orders = [other for other in self.orders if other.client_order_id != order.client_order_id]
        self.settled.append((order.client_order_id, state, filled_units))

    def drop_protection(self) -> None:
        for order in self.orders:
            if not order.is_market:
                self.settle(order, OrderState.CANCELED)


def _fill_market(moment: _Moment, order: Resting, shown: float, market_ms: int, terms: FillTerms) -> None:
    before = moment.units
    units = _entry_units(moment, order, shown, terms) if order.leg is Leg.ENTRY else _reducible(order, before)
    if not units:
        moment.settle(order, OrderState.CANCELED)
        return
    _execute(moment, order, units, terms.taken(order.side, shown), market_ms=market_ms, terms=terms)
    after = moment.units
    if not after or after * before < 0:
        moment.drop_protection()
    if order.leg is Leg.ENTRY and after * order.side.sign > 0:
        _protect(moment, order, market_ms)


def _entry_units(moment: _Moment, order: Resting, shown: float, terms: FillTerms) -> float:
    """Return the units of an entry; 0.0 where the equity that it invests is not enough for any."""
    if order.at_fill is None:
        return order.units
    return terms.units_of(order.at_fill, order.side, shown, moment.exit_profit)


def _reducible(order: Resting, held: float) -> float:
    """Return the part of an exit's units that closes a position: an exit never opens or flips one."""
    if held * order.side.sign >= 0:
        return 0.0
    return abs(held) if order.units >= abs(held) * (1 - _CLOSES_ALL) else order.units


def _hit_protection(moment: _Moment, bar: Bar, terms: FillTerms) -> None:
    side = 1 if moment.units > 0 else -1
    stop = target = None
    for order in moment.orders:
        if order.leg is Leg.STOP_LOSS:
            stop = order
        elif order.leg is Leg.TAKE_PROFIT:
            target = order
    worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
    if stop and side * bar.open <= side * stop.price:
        _close(moment, stop, terms.taken(stop.side, bar.open), bar.open_ms, terms)
    elif target and side * bar.open >= side * target.price:
        _close(moment, target, bar.open, bar.open_ms, terms)
    elif stop and side * worst <= side * stop.price:
        _close(moment, stop, terms.taken(stop.side, stop.price), bar.open_ms, terms)
    elif target and side * best >= side * target.price:
        _close(moment, target, target.price, bar.open_ms, terms)


def _close(moment: _Moment, order: Resting, price: float, market_ms: int, terms: FillTerms) -> None:
    _execute(moment, order, abs(moment.units), price, market_ms=market_ms, terms=terms)
    moment.drop_protection()


def _protect(moment: _Moment, entry: Resting, market_ms: int) -> None:
    """Place an entry's stop and target for the whole position; an added entry without them keeps the existing ones."""
    prices = ((Leg.STOP_LOSS, entry.stop_loss), (Leg.TAKE_PROFIT, entry.take_profit))
    placed = [
        Resting(
            protective_order_id(entry.client_order_id, leg),
            leg,
            entry.side.opposite,
            abs(moment.units),
            price,
            market_ms,
        )
        for leg, price in prices
        if price is not None
    ]
    if placed:
        moment.drop_protection()
        moment.orders += placed
        moment.placed += placed


def _execute(moment: _Moment, order: Resting, units: float, price: float, *, market_ms: int, terms: FillTerms) -> None:
    if not terms.is_possible(price):
        raise Broken(_impossible(order, price, market_ms, terms))
    fee = terms.fee(units, price)
    moment.executions.append(Execution(order.client_order_id, order.leg, order.side, units, price, fee, market_ms))
    signed = order.side.sign * units
    if order.leg is Leg.EXIT:
        moment.exit_profit = (moment.exit_profit or 0.0) - signed * (price - moment.average_price) - fee
    moment.units, moment.average_price = _netted(moment.units, moment.average_price, signed, price)
    moment.settle(order, OrderState.FILLED, units)


def _impossible(order: Resting, price: float, market_ms: int, terms: FillTerms) -> str:
    """Describe a fill at an impossible price, with a remedy."""
    cost = terms.spread / 2 + terms.slippage
    is_taken_off = cost > 0 and math.isfinite(price)
    remedy = (
        f"half the spread and the slippage ({format_price(cost)}) are more than the price: "
        "lower venue.spread or venue.slippage"
        if is_taken_off
        else "correct the candle"
    )
    prefix = f"{terms.symbol}: " if terms.symbol else ""
    at = f"in the candle at {format_time(market_ms)}"
    return f"{prefix}order {order.client_order_id} would fill at {format_price(price)} {at}: {remedy}"


def _netted(held: float, average_price: float, signed: float, price: float) -> tuple[float, float]:
    """Return units and average price after `signed` more units at `price`."""
    units = net_units(held, signed)
    if not units:
        return 0.0, 0.0
    if held * signed >= 0:
        return units, (held * average_price + signed * price) / units
    return units, average_price if units * held > 0 else price
