"""Rows of a live run and of its replay, in a form that can be compared."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec.structs import asdict

from adapters.backtest.recording import Recording
from adapters.ledger.memory import MemoryLedger
from adapters.ledger.queries.recorded_rows import Row
from adapters.ledger.rows import fill_of
from adapters.ledger.tables import Origin
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from trading.backtest.comparison import Rows, Run
from trading.events.decisions import Decisions, describe, without_candle_counts
from trading.orders.orders import PROTECTIVE_LEGS, Leg, OrderState, Side, decided_open_ms
from trading.portfolio.positions import PositionFold

_DECISION = ("symbol", "strategy", "outcome", "rule", "reason", "breached")
_ORDER = ("symbol", "strategy", "leg", "side", "units", "reference_price", "stop_loss", "take_profit")
_FILL = ("symbol", "strategy", "client_order_id", "leg", "side", "units", "price", "fee", "market_ms")


def replayed_run(recording: Recording, ledger: MemoryLedger, venue: MemoryVenue, store: MemoryStore) -> Run:
    """Return the rows of a replay, for the recorded candles."""
    begins = {symbol: track.begin_ms for symbol, track in recording.tracks.items()}
    candles: dict[Any, Any] = {}
    orders: dict[Any, Any] = {}
    for symbol in begins:
        journal = store.journal(symbol)
        for open_ms, made, regime in zip(journal.open_ms, journal.decisions, journal.regimes, strict=True):
            candles[symbol, open_ms] = _candle(symbol, open_ms, made, regime.value)
    decisions = {
        (row["symbol"], row["strategy"], row["open_ms"]): _decision(row)
        for row in ledger.decisions()
        if row["open_ms"] >= begins.get(row["symbol"], row["open_ms"] + 1)
    }
    fills = [asdict(fill) for fill, _, _ in ledger.fills()]
    ours = [one for one in fills if one["market_ms"] >= begins.get(one["symbol"], one["market_ms"] + 1)]
    first = {one["client_order_id"]: one["market_ms"] for one in reversed(ours)}
    for request, order in ledger.orders():
        begin_ms = begins.get(request.symbol)
        if begin_ms is not None and decided_open_ms(request.client_order_id) >= begin_ms:
            orders[request.client_order_id,] = _order({**asdict(request), **_outcome(order.state, order.filled_units)})
    for symbol in begins:
        for _, resting, state, filled_units in venue.orders(symbol):
            identity = resting.client_order_id
            if resting.leg in PROTECTIVE_LEGS and state is OrderState.FILLED and identity in first:
                row = {"symbol": symbol, "leg": resting.leg, "side": resting.side, "market_ms": first[identity]}
                orders[identity,] = _protective({**row, **_outcome(state, filled_units)})
    return Run(candles, decisions, orders, {(one["fill_id"],): _fill(one) for one in ours}, _positions(fills, begins))


def recorded_run(recording: Recording, replayed: Run) -> Run:
    """Return the rows of the live run, for the same candles."""
    tracks, books = recording.tracks, recording.books
    ends = {symbol: track.end_ms for symbol, track in tracks.items()}

    def is_in(row: Row, name: str) -> bool:
        track = tracks.get(row["symbol"])
        return track is not None and track.begin_ms <= row[name] < track.end_ms

    signaled = {row["id"]: row for row in books.decisions if is_in(row, "open_ms") and row["origin"] == Origin.SIGNAL}
    later = _operator_orders(recording)
    fills = [row for row in books.fills if row["client_order_id"] not in later]
    filled_later = {row["client_order_id"] for row in fills if row["market_ms"] >= ends.get(row["symbol"], 0)}
    orders: dict[Any, Any] = {}
    for row in books.intents:
        if row["decision_id"] in signaled:
            is_open = row["client_order_id"] in filled_later or not row["is_final"] or bool(later)
            orders[row["client_order_id"],] = _as_at_the_end(row, replayed, is_open=is_open)
    orders |= {(row["client_order_id"],): _protective(row) for row in books.protective if is_in(row, "market_ms")}
    return Run(
        {
            (symbol, entry.open_ms): _candle(symbol, entry.open_ms, entry.decisions, entry.regime)
            for symbol, track in tracks.items()
            for entry in track.entries
        },
        {(row["symbol"], row["strategy"], row["open_ms"]): _decision(row) for row in signaled.values()},
        orders,
        {(row["fill_id"],): _fill(row) for row in fills if is_in(row, "market_ms")},
        _positions([row for row in fills if row["market_ms"] < ends.get(row["symbol"], 0)], ends),
    )


def _operator_orders(recording: Recording) -> set[str]:
    """Return the orders that an operator requested after a track began; the recording ends before them."""
    begins = {symbol: track.begin_ms for symbol, track in recording.tracks.items()}
    late = {
        row["id"]
        for row in recording.books.decisions
        if row["origin"] != Origin.SIGNAL and row["open_ms"] >= begins.get(row["symbol"], row["open_ms"] + 1)
    }
    return {row["client_order_id"] for row in recording.books.intents if row["decision_id"] in late}


def _as_at_the_end(row: Row, replayed: Run, *, is_open: bool) -> Row:
    """Return an order; one that changed after the last candle gets the state that it has in the replay."""
    order = _order(row)
    again = replayed.orders.get((row["client_order_id"],))
    if again is None or not is_open or OrderState(again["state"]).is_final:
        return order
    return {**order, "state": again["state"], "filled_units": again["filled_units"]}


def _positions(fills: Iterable[Mapping[str, Any]], symbols: Collection[str]) -> Rows:
    """Compute the positions that result from fills."""
    folds: dict[tuple[str, str], PositionFold] = {}
    last: dict[tuple[str, str], int] = {}
    for row in fills:
        if row["symbol"] in symbols:
            key = (row["symbol"], row["strategy"])
            folds.setdefault(key, PositionFold(*key)).add(fill_of(row))
            last[key] = row["market_ms"]
    return {
        key: {
            "symbol": at.symbol,
            "market_ms": last[key],
            "units": at.units,
            "average_price": at.average_price,
            "realised": at.realised,
        }
        for key, at in ((key, fold.position) for key, fold in folds.items())
    }


def _candle(symbol: str, open_ms: int, made: Decisions, regime: str) -> Row:
    return {"symbol": symbol, "market_ms": open_ms, "decision": describe(without_candle_counts(made)), "regime": regime}


def _decision(row: Mapping[str, Any]) -> Row:
    return {**{name: row[name] for name in _DECISION}, "market_ms": row["open_ms"]}


def _order(row: Mapping[str, Any]) -> Row:
    fields = {name: _plain(row[name]) for name in _ORDER}
    return {**fields, "market_ms": row["decided_ms"], **_outcome(row["state"], row["filled_units"])}


def _protective(row: Mapping[str, Any]) -> Row:
    fields = {name: _plain(row[name]) for name in ("symbol", "leg", "side", "market_ms")}
    return {**fields, **_outcome(row["state"], row["filled_units"])}


def _outcome(state: str, filled_units: float) -> Row:
    return {"state": _plain(state), "filled_units": filled_units}


def _fill(row: Mapping[str, Any]) -> Row:
    return {name: _plain(row[name]) for name in _FILL}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Leg | Side | OrderState) else value
