"""Rebuild in memory the state of an account at the start of a recorded run, from its ledger."""

from collections import deque
from collections.abc import Collection, Mapping

from msgspec import Struct

from adapters.ledger.memory import MemoryLedger
from adapters.ledger.queries.recorded_rows import RecordedBooks, Row
from adapters.ledger.rows import fill_of, request_of_intent
from adapters.venues.memory import MemoryVenue
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.matching import Book, Resting
from trading.orders.orders import ENDED_OTHERWISE, Leg, OrderRequest, OrderState, decided_id, protective_order_id
from trading.portfolio.positions import Position
from trading.risk.verdict import PlannedOrder, RiskDecision
from trading.structs import replace

_AT_VENUE = "recorded"


class Beginning(Struct, frozen=True):
    """The beginning of a replay.

    Attributes:
        first_ms: Open time of the first candle of each replayed symbol.
        at_ms: Wall-clock time of the first replayed decision.
        market_ms: Market time of the first replayed decision, the close of its candle.
    """

    first_ms: Mapping[str, int]
    at_ms: int
    market_ms: int

    def is_preceded_by(self, row: Row) -> bool:
        """Return whether a decision or a stop move was recorded before; a symbol without candles has no first one."""
        first_ms = self.first_ms.get(row["symbol"])
        return bool(row["written_at_ms"] < self.at_ms if first_ms is None else row["open_ms"] < first_ms)

    def is_preceded_by_fill(self, row: Row) -> bool:
        """Return whether a fill was booked before."""
        return bool(row["market_ms"] < self.first_ms.get(row["symbol"], self.market_ms))


def open_books(
    ledger: MemoryLedger,
    venue: MemoryVenue,
    books: RecordedBooks,
    beginning: Beginning,
    *,
    symbols: Collection[str],
) -> None:
    """Record the decisions, orders and fills before the replay, and give the venue the resulting positions.

    Args:
        symbols: Symbols that the venue trades.
    """
    begin_at_ms = beginning.at_ms
    fills = _fills_before(books, beginning)
    filled = {decided_id(row["client_order_id"]) for row in fills}
    pending = _plan(ledger, books, beginning, filled)
    cleared = deque(_market_ms(books, at_ms) for at_ms in books.cleared_ms() if at_ms < begin_at_ms)
    for number, row in enumerate(fills, start=1):
        while cleared and cleared[0] < row["market_ms"]:
            cleared.popleft()
            ledger.clear_drawdown()
        ledger.record_fills(row["symbol"], [replace(fill_of(row), sequence=number)])
    for row in books.intents:
        if row["client_order_id"] in filled and row["at_fill"] is not None:  # only the venue tells that it is filled
            ledger.mark(OrderUpdate(row["client_order_id"], OrderState.FILLED))
    if cleared:
        ledger.clear_drawdown()
    ledger.open_incidents([_incident(row) for row in books.drawdowns if _is_open(row, begin_at_ms)])
    for row in books.moves:
        if beginning.is_preceded_by(row):
            ledger.resume_stop(row["symbol"], row["strategy"], row["entry_id"], row["price_after"])
    venue.number_from(len(fills))
    held = {(at.symbol, at.strategy): at for at in ledger.positions() if at.is_open}
    for symbol, strategy in sorted(held.keys() | {(one.symbol, one.strategy) for one in pending}):
        mine = [row for row in fills if (row["symbol"], row["strategy"]) == (symbol, strategy)]
        waiting = [Resting.of(one) for one in pending if (one.symbol, one.strategy) == (symbol, strategy)]
        if symbol in symbols:
            position = held.get((symbol, strategy)) or Position(symbol, strategy)
            entries = [row["client_order_id"] for row in mine if row["leg"] == Leg.ENTRY.value]
            venue.resume(symbol, strategy, _book(position, mine, waiting), entries[-1] if entries else None)


def _fills_before(books: RecordedBooks, beginning: Beginning) -> list[Row]:
    """Return the fills before the replay; without those of decisions that a symbol made later on older candles."""
    later = {row["id"] for row in books.decisions if not beginning.is_preceded_by(row)}
    unplanned = {row["client_order_id"] for row in books.intents if row["decision_id"] in later}
    return [
        row
        for row in books.fills
        if beginning.is_preceded_by_fill(row) and decided_id(row["client_order_id"]) not in unplanned
    ]


def _market_ms(books: RecordedBooks, at_ms: int) -> int:
    """Return the newest candle decided at a wall-clock time, because fills hold only their market time."""
    return max((row["open_ms"] for row in books.decisions if row["written_at_ms"] <= at_ms), default=-1)


def _is_open(drawdown: Row, at_ms: int) -> bool:
    resolved_at_ms = drawdown["resolved_at_ms"]
    return drawdown["opened_at_ms"] < at_ms and (resolved_at_ms is None or resolved_at_ms >= at_ms)


def _incident(row: Row) -> Incident:
    return Incident(IncidentKind(row["kind"]), row["symbol"], row["key"], row["reason"], row["details"])


def _plan(
    ledger: MemoryLedger, books: RecordedBooks, beginning: Beginning, filled: Collection[str]
) -> list[OrderRequest]:
    """Record earlier decisions and orders, and return the orders that were not filled yet."""
    orders: dict[int, list[Row]] = {}
    for row in books.intents:
        orders.setdefault(row["decision_id"], []).append(row)
    pending = []
    for row in books.decisions:
        if not beginning.is_preceded_by(row):
            continue
        rows = orders.get(row["id"], [])
        planned = tuple(PlannedOrder(request_of_intent(one), one["risk"]) for one in rows)
        exit_rule = row["exit_rule"] or ""
        verdict = RiskDecision(row["rule"], row["reason"], planned, breached=row["breached"], exit_rule=exit_rule)
        ledger.decide(
            row["symbol"],
            row["strategy"],
            row["open_ms"],
            lambda _, verdict=verdict: verdict,  # type: ignore[misc]
            correlation_id=row["correlation_id"],
        )
        for place, one in enumerate(rows):
            if _was_sent(ledger, one, place, is_filled=one["client_order_id"] in filled):
                pending.append(planned[place].request)
    return pending


def _was_sent(ledger: MemoryLedger, row: Row, place: int, *, is_filled: bool) -> bool:
    """Record that an order was sent, and return whether it was not filled yet."""
    identity, state = row["client_order_id"], OrderState(row["state"])
    if place:
        ledger.mark(OrderUpdate(identity, OrderState.SUBMITTING, claims=1))
    has_ended = state in ENDED_OTHERWISE and not is_filled
    ledger.mark(OrderUpdate(identity, state if has_ended else OrderState.ACCEPTED, row["venue_order_id"] or _AT_VENUE))
    return not has_ended and not is_filled


def _book(position: Position, fills: list[Row], waiting: list[Resting]) -> Book:
    """Return the venue's book of a position, with the stop and the target of its last entry."""
    acted_ms = fills[-1]["market_ms"] if fills else -1
    entries = [row for row in fills if row["leg"] == Leg.ENTRY.value]
    prices = ((Leg.STOP_LOSS, position.stop_loss), (Leg.TAKE_PROFIT, position.take_profit))
    protective = [
        Resting(
            protective_order_id(entries[-1]["client_order_id"], leg),
            leg,
            fill_of(entries[-1]).side.opposite,
            abs(position.units),
            price,
            entries[-1]["market_ms"],
        )
        for leg, price in prices
        if price is not None and position.is_open and entries
    ]
    return Book(position.units, position.average_price, acted_ms, (*protective, *waiting))
