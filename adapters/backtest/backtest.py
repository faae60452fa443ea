"""Run a backtest: feed candles to each symbol's services, with ledger, venue and store in memory."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
from numpy.typing import NDArray

from adapters.backtest.trusted_fills import TrustedFillRecorder
from adapters.ledger.memory import MemoryLedger
from adapters.sources.file import InMemoryCandles
from adapters.sources.playback import PlayedSource
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from configs.loading import SystemConfig
from trading.backtest import BacktestRun, Decision, Feed, Order, play
from trading.backtest.result import Journal, equity_of, trades_of
from trading.errors import UnknownSymbol
from trading.execution.fill_booking import Booked
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.market.timeframes import Timeframe, phase_of
from trading.orders.orders import Fill
from trading.portfolio.positions import Position
from trading.strategies import Strategy
from trading.strategies.signal import Signal
from trading.structs import replace

Times = NDArray[np.int64]

BATCH = 16_384
"""Candles per batch: enough for NumPy, few enough for a progress bar to move."""


def run_backtest(
    system: SystemConfig,
    candles: Mapping[str, Candles],
    *,
    strategies: Mapping[str, Mapping[str, Strategy]] | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    close_at_end: bool = False,
    batch: int = BATCH,
    on_progress: Callable[[int], None] = lambda _: None,
) -> BacktestRun:
    """Run a backtest on candles: each is decided at its close, with symbols merged by time.

    Strategies, rules, limits and fill terms come from `system`; its sources and venue kinds are not used.

    Args:
        candles: By symbol; of candles that close at the same time, the symbol listed first is decided first.
        strategies: By symbol and by the name of their book; None uses the configured ones.
        from_ms: Open time of the first candle to decide; earlier ones are history for the indicators. None for all.
        to_ms: Open time after the last candle to decide; None for all.
        close_at_end: Close open positions at the last close of their symbol.
        batch: Maximum number of candles per batch; it does not change the result.
        on_progress: Called periodically with the number of candles done, of all symbols.

    Raises:
        UnknownSymbol: A symbol is not configured.
        Broken: A candle is corrupt, or an indicator has no finite value.
        ValueError: No candle of a symbol lies between `from_ms` and `to_ms`.
    """
    decided = {symbol: _between(symbol, one, from_ms, to_ms) for symbol, one in candles.items()}
    ledger = MemoryLedger(system.account.name, system.account.starting_balance, system.account.day)
    venue = MemoryVenue({one: system.symbols[_known(one, system)].backtest_fills(one) for one in candles})
    store = MemoryStore(keeps_events=False)
    feeds = []
    for place, (symbol, part) in enumerate(decided.items()):
        timeframe = system.symbols[symbol].timeframe
        history = candles[symbol].until(int(part.open_ms[0]) - 1)
        pipeline = build_pipeline(
            pipeline_spec(
                system,
                symbol,
                strategies=None if strategies is None else strategies[symbol],
                replay_batch=batch,
            ),
            source=_source(history.then(part), timeframe, batch),
            store=store,
            ledger=ledger,
            venue=venue,
            now_s=lambda: 0.0,
            sleep_s=lambda _: None,
            fill_recorder=TrustedFillRecorder,
        )
        cursor_ms = int(part.open_ms[0]) - 1
        store.seed(symbol, history, timeframe=timeframe, cursor_ms=cursor_ms, desired=DesiredState.RUNNING)
        feeds.append(Feed(pipeline, place))
    closes = {
        symbol: Timeframe.parse(system.symbols[symbol].timeframe).closes(one.open_ms) for symbol, one in decided.items()
    }
    in_order = partial(ledger.in_order, partial(_moment, decided, closes))
    together = in_order if len(feeds) > 1 else nullcontext
    with _without_collections():
        play(feeds, is_exposed=ledger.has_exposure, together=together, on_progress=on_progress)
        return _result(system, decided, closes, feeds, ledger, venue, store, close_at_end=close_at_end)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Disable garbage collection: a backtest makes no reference cycles, and its objects all stay alive."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()  # the new objects count as old and are not scanned at once
            gc.enable()


def _known(symbol: str, system: SystemConfig) -> str:
    if symbol not in system.symbols:
        raise UnknownSymbol(symbol, tuple(system.symbols))
    return symbol


def _between(symbol: str, candles: Candles, from_ms: int | None, to_ms: int | None) -> Candles:
    part = candles if from_ms is None else candles.after(from_ms - 1)
    part = part if to_ms is None else part.until(to_ms - 1)
    if not len(part):
        raise ValueError(f"no candle of {symbol} in the range; candles available: {_span(candles)}")
    return part


def _span(candles: Candles) -> str:
    if not len(candles):
        return "none"
    first, last = np.datetime64(int(candles.open_ms[0]), "ms"), np.datetime64(candles.last_open_ms, "ms")
    return f"{len(candles)} from {first}Z to {last}Z"


def _source(candles: Candles, timeframe: str, batch: int) -> PlayedSource:
    return PlayedSource(
        InMemoryCandles(candles),
        timeframe=timeframe,
        speed="max",
        step=batch,
        now_ms=lambda: 0,
        anchors=None,
        phase_ms=phase_of(candles.open_ms, Timeframe.parse(timeframe)),
    )


def _result(
    system: SystemConfig,
    candles: Mapping[str, Candles],
    closes: Mapping[str, Times],
    feeds: list[Feed],
    ledger: MemoryLedger,
    venue: MemoryVenue,
    store: MemoryStore,
    *,
    close_at_end: bool,
) -> BacktestRun:
    ended = _close_out(candles, closes, ledger, venue) if close_at_end else []
    booked = _in_order([*ledger.fills(), *ended], candles, closes)
    requests = [request for request, _ in ledger.orders()]
    return BacktestRun(
        account=system.account.name,
        starting_balance=system.account.starting_balance,
        currency=system.account.currency,
        money_decimals=system.account.money_decimals,
        candles=candles,
        timeframes={symbol: system.symbols[symbol].timeframe for symbol in candles},
        fills=[fill for fill, _, _ in booked],
        trades=trades_of(
            booked,
            requests,
            at_end=frozenset(fill.client_order_id for fill, _, _ in ended),
            rules=ledger.rules_behind_exits(),
        ),
        positions=_last_positions(ledger, booked, ended),
        equity=equity_of(system.account.starting_balance, candles, closes, booked),
        journals={symbol: _journal(store, symbol) for symbol in candles},
        list_orders=lambda: _orders(candles, ledger, venue),
        list_decisions=lambda: _decisions(feeds, ledger, candles, closes),
        day=system.account.day,
    )


def _last_positions(ledger: MemoryLedger, booked: list[Booked], ended: list[Booked]) -> list[Position]:
    """Return the final positions: the ledger's, adjusted by the closes at the end."""
    last = {(now.symbol, now.strategy): now for _, _, now in booked}
    closed = {(now.symbol, now.strategy) for _, _, now in ended}
    moved = {(one.symbol, one.strategy): one for one in ledger.positions()}
    return [now if key in closed else moved[key] for key, now in last.items()]


def _in_order(booked: list[Booked], candles: Mapping[str, Candles], closes: Mapping[str, Times]) -> list[Booked]:
    """Number the fills by market time: symbols run ahead of one another where that changes no result."""
    if len(candles) == 1:
        return booked
    ordered = enumerate(sorted(booked, key=lambda one: _moment(candles, closes, one[0])), start=1)
    return [(replace(fill, sequence=number), before, after) for number, (fill, before, after) in ordered]


def _moment(candles: Mapping[str, Candles], closes: Mapping[str, Times], fill: Fill) -> tuple[int, int, int]:
    """Return the sort key of a fill: its candle's close, then its symbol."""
    open_ms = candles[fill.symbol].open_ms
    at = int(open_ms.searchsorted(fill.market_ms, side="right")) - 1
    return int(closes[fill.symbol][at]), list(candles).index(fill.symbol), fill.sequence


def _close_out(
    candles: Mapping[str, Candles], closes: Mapping[str, Times], ledger: MemoryLedger, venue: MemoryVenue
) -> list[Booked]:
    """Close all open positions at the last close of their symbol."""
    positions = {(position.symbol, position.strategy): position for position in ledger.positions()}
    ended: list[Booked] = []
    for symbol, one in candles.items():
        closed_ms = int(closes[symbol][-1])
        for fill in venue.close_out(symbol, float(one.values[-1, CLOSE]), market_ms=closed_ms - 1):
            before = positions[symbol, fill.strategy]
            ended.append((fill, before, before.after(fill)))
    return ended


def _decisions(
    feeds: list[Feed], ledger: MemoryLedger, candles: Mapping[str, Candles], closes: Mapping[str, Times]
) -> list[Decision]:
    """Return the decisions by market time: symbols run ahead of one another where that changes no result."""
    signal_by_candle: dict[tuple[str, str, int], Signal] = {
        (feed.symbol, signal.strategy, signal.open_ms): signal for feed in feeds for signal in feed.signals
    }
    found = []
    for row in ledger.decisions():
        signal = signal_by_candle[row["symbol"], row["strategy"], row["open_ms"]]
        found.append(
            Decision(
                row["symbol"],
                row["strategy"],
                row["open_ms"],
                signal.side.value,
                signal.price,
                row["outcome"],
                row["rule"],
                row["reason"],
                signal.reason,
                row["checks"],
            )
        )
    symbols = list(candles)

    def moment(one: Decision) -> tuple[int, int]:
        at = int(candles[one.symbol].open_ms.searchsorted(one.open_ms))
        return int(closes[one.symbol][at]), symbols.index(one.symbol)

    return sorted(found, key=moment)


def _orders(candles: Mapping[str, Candles], ledger: MemoryLedger, venue: MemoryVenue) -> list[Order]:
    """Return the orders that the venue accepted, then those that were decided and never sent."""
    found, taken = [], set()
    for symbol in candles:
        for strategy, resting, state, filled_units in venue.orders(symbol):
            taken.add(resting.client_order_id)
            found.append(
                Order(
                    resting.client_order_id,
                    symbol,
                    strategy,
                    resting.leg,
                    resting.side,
                    resting.units,
                    resting.price,
                    resting.decided_ms,
                    state,
                    filled_units,
                    resting.stop_loss,
                    resting.take_profit,
                )
            )
    for request, order in ledger.orders():
        if request.client_order_id not in taken:
            found.append(
                Order(
                    request.client_order_id,
                    request.symbol,
                    request.strategy,
                    request.leg,
                    request.side,
                    request.units,
                    request.reference_price,
                    request.decided_ms,
                    order.state,
                    order.filled_units,
                    request.stop_loss,
                    request.take_profit,
                )
            )
    return sorted(found, key=lambda order: order.decided_ms)


def _journal(store: MemoryStore, symbol: str) -> Journal:
    journal = store.journal(symbol)
    return Journal(np.array(journal.open_ms, np.int64), journal.decisions, journal.regimes)
