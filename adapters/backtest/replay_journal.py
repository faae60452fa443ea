"""Replay the recorded inputs of a live run through the same services, on stores in memory."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from adapters.backtest.opening_state import Beginning, open_books
from adapters.backtest.recording import Recording, Track, in_order
from adapters.backtest.run_rows import recorded_run, replayed_run
from adapters.backtest.trusted_fills import TrustedFillRecorder
from adapters.ledger.memory import MemoryLedger
from adapters.ledger.queries.recorded_rows import Row
from adapters.sources.file import InMemoryCandles
from adapters.sources.playback import PlayedSource
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from configs.loading import SystemConfig
from trading.backtest.comparison import Run
from trading.events.journal import Entry, candles_of
from trading.events.messages import NewCandle
from trading.lifecycle import DesiredState
from trading.market.timeframes import Timeframe
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.ports.ledger import NO_PRICES, DecisionResult
from trading.risk.open_book import OpenBook
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.services.chain import ChainResult
from trading.services.pipeline import SymbolPipeline
from trading.structs import replace
from trading.trading_state import Cause, Processing, permissions

_TOLD_EACH = 500
"""Candles between two progress reports."""


class RecordedLedger(MemoryLedger):
    """A ledger in memory that applies pauses, quarantines and halts at the times of the live ledger."""

    def __init__(
        self,
        account_name: str,
        starting_balance: float,
        rulings: Mapping[tuple[str, str, int], Row],
        day: TradingDay = UTC_DAY,
    ) -> None:
        """Open an empty ledger.

        Args:
            rulings: Decisions of the live ledger, by symbol, strategy and open time.
        """
        super().__init__(account_name, starting_balance, day)
        self._rulings = rulings

    def decide(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        evaluate: Callable[[AccountSnapshot], RiskDecision],
        *,
        correlation_id: str,
        dry_run: bool = False,
        prices: Mapping[str, float] = NO_PRICES,
        latest_ms: int | None = None,
        at_ms: int | None = None,
    ) -> DecisionResult:
        ruling = self._rulings.get((symbol, strategy, open_ms))
        known = _account_state(ruling)
        recorded = None if ruling is None else ruling["prices"]
        return super().decide(
            symbol,
            strategy,
            open_ms,
            lambda view: evaluate(replace(view, books=_books_open_at(view.books, symbol, recorded), **known)),
            correlation_id=correlation_id,
            dry_run=dry_run,
            prices=prices if ruling is None else recorded or {},
            latest_ms=latest_ms,
            at_ms=at_ms,
        )


def _books_open_at(
    books: tuple[OpenBook, ...], symbol: str, recorded: Mapping[str, float] | None
) -> tuple[OpenBook, ...]:
    """Return the books without positions of other symbols that were not open yet when the live decision was made.

    A replay books fills in the order of market time; live, symbols with different pace overtake each other. The prices
    of a decision name all symbols with an open position.
    """
    if recorded is None:
        return books
    return tuple(one for one in books if not one.units or one.symbol == symbol or one.symbol in recorded)


def _account_state(ruling: Row | None) -> dict[str, Any]:
    """Return the inputs of a live decision that no candle holds, as fields of `AccountSnapshot`."""
    if ruling is None:
        return {}
    known: dict[str, Any] = {name: ruling[name] for name in ("halted", "quarantined") if ruling[name] is not None}
    known["is_bounded"] = ruling["prices"] is not None  # a version before 0010 recorded it: no leverage was limited
    unprotected = [one["reason"] for one in ruling["checks"] or () if one["rule"] == Cause.UNPROTECTED]
    if unprotected:
        known["unprotected"] = unprotected[0]  # a venue in memory loses no stop
    return known if ruling["desired"] is None else {**known, "desired": DesiredState(ruling["desired"])}


def replay_recorded(
    system: SystemConfig, recording: Recording, *, on_progress: Callable[[int], None] = lambda _: None
) -> tuple[Run, Run]:
    """Replay a recording and return the rows of the live run and of the replay.

    Each candle is decided as in the live run: at the market time of its fetch, with the symbol's desired state at that
    time, and in the same order; a drawdown is cleared when an operator cleared it. The opening positions result from
    earlier fills.
    """
    account, books = system.account, recording.books
    rulings = {(row["symbol"], row["strategy"], row["open_ms"]): row for row in books.decisions}
    ledger = RecordedLedger(account.name, account.starting_balance, rulings, account.day)
    venue = MemoryVenue({symbol: config.backtest_fills(symbol) for symbol, config in system.symbols.items()})
    store = MemoryStore(keeps_events=False)
    entries = list(in_order(recording))
    beginning = _beginning(recording, entries[0][0] if entries else 0)
    open_books(ledger, venue, books, beginning, symbols=system.symbols.keys())
    cleared = deque(at_ms for at_ms in books.cleared_ms() if at_ms >= beginning.at_ms)
    ends = {symbol: track.unusual_ends() for symbol, track in recording.tracks.items()}
    pipelines = {symbol: _pipeline(track, system, store, ledger, venue) for symbol, track in recording.tracks.items()}
    for number, (at_ms, symbol, entry) in enumerate(entries, start=1):
        while cleared and cleared[0] <= at_ms:
            cleared.popleft()
            ledger.clear_drawdown()
        _step(pipelines[symbol], store, recording.tracks[symbol].timeframe, entry, ends[symbol].get(entry.open_ms))
        if number % _TOLD_EACH == 0:
            on_progress(number)
    replayed = replayed_run(recording, ledger, venue, store)
    return recorded_run(recording, replayed), replayed


def _beginning(recording: Recording, at_ms: int) -> Beginning:
    tracks = recording.tracks
    market_ms = min((Timeframe.parse(one.timeframe).close_of(one.begin_ms) for one in tracks.values()), default=0)
    return Beginning({symbol: track.begin_ms for symbol, track in tracks.items()}, at_ms, market_ms)


def _pipeline(
    track: Track, system: SystemConfig, store: MemoryStore, ledger: MemoryLedger, venue: MemoryVenue
) -> SymbolPipeline:
    pipeline = build_pipeline(
        pipeline_spec(system, track.symbol, replay_batch=1),
        source=_unread_source(track),
        store=store,
        ledger=ledger,
        venue=venue,
        now_s=lambda: 0.0,
        sleep_s=lambda _: None,
        fill_recorder=TrustedFillRecorder,
    )
    store.seed(
        track.symbol,
        track.history,
        timeframe=track.timeframe,
        cursor_ms=track.begin_ms - 1,
        desired=DesiredState.RUNNING,
    )
    return pipeline


def _unread_source(track: Track) -> PlayedSource:
    """Return a source that is never read, because its candles are recorded."""
    series = InMemoryCandles(candles_of(track.entries))
    return PlayedSource(series, timeframe=track.timeframe, speed="max", step=1, now_ms=lambda: 0, anchors=None)


def _step(pipeline: SymbolPipeline, store: MemoryStore, timeframe: str, entry: Entry, closed_ms: int | None) -> None:
    """Pass a recorded candle on as the fetch service did, and run the other services."""
    snapshot = store.load(pipeline.symbol)
    fetched = NewCandle(
        symbol=pipeline.symbol,
        timeframe=timeframe,
        after_ms=snapshot.cursor_ms or 0,
        candles=candles_of([entry]),
        as_of_ms=entry.as_of_ms or 0,
        newest_ms=entry.open_ms,
        desired=entry.desired,
        has_exposure=snapshot.has_exposure,
        regime=snapshot.regime,
        quarantine=entry.quarantine,
        closed_ms=closed_ms,
    )
    if permissions(entry.desired, policy=entry.quarantine).processing is not Processing.FULL:
        pipeline.protect(fetched)
        return
    updated = pipeline.indicators.handle(fetched)
    generated = updated if isinstance(updated, ChainResult) else pipeline.strategy.handle(updated)
    if not isinstance(generated, ChainResult):
        pipeline.execute.handle(generated)
