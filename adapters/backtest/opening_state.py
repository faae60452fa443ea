"""Rebuild in memory the state of an account at the start of a recorded run, from its ledger."""

from collections import deque
from collections.abc import Collection, Mapping

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


def open_books(
    ledger: MemoryLedger,
    venue: MemoryVenue,
    books: RecordedBooks,
    begins: Mapping[str, int],
    *,
    begin_at_ms: int,
    symbols: Collection[str],
) -> None:
    """Record the decisions, orders and fills before the replay, and give the venue the resulting positions.

    Args:
        begin_at_ms: Wall-clock time of the first replayed decision.
        begins: Open time of the first candle of each replayed symbol; all rows of other symbols are recorded.
        symbols: Symbols that the venue trades.
    """
    fills = [row for row in books.fills if row["market_ms"] < begins.get(row["symbol"], row["market_ms"] + 1)]
    filled = {decided_id(row["client_order_id"]) for row in fills}
    pending = _plan(ledger, books, begins, filled)
    cleared = deque(_market_ms(books, at_ms) for at_ms in books.cleared_ms() if at_ms < begin_at_ms)
    for number, row in enumerate(fills, start=1):
        while cleared and cleared[0] < row["market_ms"]:
            cleared.popleft()
            ledger.clear_drawdown()
        ledger.record_fills(row["symbol"], [replace(fill_of(row), sequence=number)])
    if cleared:
        ledger.clear_drawdown()
    ledger.open_incidents([_incident(row) for row in books.drawdowns if _is_open(row, begin_at_ms)])
    for row in books.moves:
        if row["open_ms"] < begins.get(row["symbol"], row["open_ms"] + 1):
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


def _market_ms(books: RecordedBooks, at_ms: int) -> int:
    """Return the newest candle decided at a wall-clock time, because fills hold only their market time."""
    return max((row["open_ms"] for row in books.decisions if row["written_at_ms"] <= at_ms), default=-1)


def _is_open(drawdown: Row, at_ms: int) -> bool:
    resolved_at_ms = drawdown["resolved_at_ms"]
    return drawdown["opened_at_ms"] < at_ms and (resolved_at_ms is None or resolved_at_ms >= at_ms)


def _incident(row: Row) -> Incident:
    return Incident(IncidentKind(row["kind"]), row["symbol"], row["key"], row["reason"], row["details"])


def _plan(
    ledger: MemoryLedger, books: RecordedBooks, begins: Mapping[str, int], filled: Collection[str]
) -> list[OrderRequest]:
    """Record earlier decisions and orders, and return the orders that were not filled yet."""
    orders: dict[int, list[Row]] = {}
    for row in books.intents:
        orders.setdefault(row["decision_id"], []).append(row)
    pending = []
    for row in books.decisions:
        if row["open_ms"] >= begins.get(row["symbol"], row["open_ms"] + 1):
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
