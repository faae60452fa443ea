"""The first stage of a chain, and the state that it corrects before a symbol is processed."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from trading.events.bus import LocalBus
from trading.events.messages import NewCandle
from trading.formatting import format_time
from trading.market.candles import Candles
from trading.market.feed_health import FeedSnapshot
from trading.market.timeframes import Timeframe
from trading.ports.candle_source import Bars, CandleSource
from trading.ports.ledger import DecisionLog, Positions, SymbolControls
from trading.ports.symbol_store import SymbolSnapshot, SymbolStore
from trading.services.base import Service
from trading.services.chain import AdvanceSymbol, ChainOutcome, ChainResult
from trading.services.data_fetching.closed_candles import Answer, ClosedCandles
from trading.services.data_fetching.data_errors import DataErrors
from trading.services.data_fetching.terms import BATCH_LIMIT, FetchTerms
from trading.structs import replace
from trading.trading_state import Cause, Permissions, Processing, TradingState, permissions

_CHECK_EVERY = 60
"""Messages between two comparisons of the store with the ledger."""

AHEAD_CANDLES = 10
AHEAD_MS = 3_600_000
"""A cursor that is further ahead of the market, in candles and in time, is corrupt; less is a delay of the source."""


class FetchLedger(DecisionLog, SymbolControls, Positions, Protocol):
    """The parts of the ledger that correct the symbol store."""


class DataFetchingService(Service[AdvanceSymbol, NewCandle]):
    """Queries the source, rejects invalid candles, and passes on new ones."""

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        source: CandleSource,
        store: SymbolStore,
        ledger: FetchLedger,
        terms: FetchTerms,
        bus: LocalBus,
        *,
        is_open: Callable[[int], bool],
        now_s: Callable[[], float],
        is_enabled: bool = True,
        sleep_s: Callable[[float], None],
    ) -> None:
        """Create the service.

        Args:
            is_open: Returns whether the market trades at a time in milliseconds: while it is closed, no candle is
                missing.
            sleep_s: Waits between tries.
        """
        super().__init__(symbol, bus, now_s=now_s, is_enabled=is_enabled)
        self._timeframe = timeframe
        self._grid = Timeframe.parse(timeframe)
        self._store = store
        self._ledger = ledger
        self._terms = terms
        self._errors = DataErrors(symbol, timeframe, bus)
        self._candles = ClosedCandles(symbol, timeframe, source, terms, self._errors, sleep_s=sleep_s)
        self._is_open = is_open
        self._generation: int | None = None
        self._until_check = 0

    def process(self, message: AdvanceSymbol) -> NewCandle | ChainResult:
        snapshot = self._store.load(self.symbol)
        if snapshot.cursor_ms is None or snapshot.timeframe != self._timeframe:
            self._begin()
            snapshot = self._store.load(self.symbol)
        snapshot = self._checked(snapshot)
        if self._generation is None:
            self._generation = snapshot.generation
        if snapshot.generation != self._generation:
            return ChainResult(ChainOutcome.RESTARTED, "the services begin anew", cursor_ms=snapshot.cursor_ms or 0)
        cursor_ms = snapshot.cursor_ms or 0
        if ended := _end_unprocessed(snapshot, cursor_ms):
            return ended
        if message.expected_ms is not None and message.expected_ms != cursor_ms:
            return ChainResult(ChainOutcome.SUPERSEDED, "another chain has moved on", cursor_ms=cursor_ms)
        answer = self._candles.after(cursor_ms)
        if self._is_cursor_lost(cursor_ms, answer.shown.market_ms):
            return self._begin_again(cursor_ms, answer.shown.market_ms)
        self._errors.end()
        if not len(answer.fresh):
            self._store.record_fetch(self.symbol, answer.shown)
            return ChainResult(ChainOutcome.NO_NEW_CANDLE, self._why_none(answer.shown, cursor_ms), cursor_ms=cursor_ms)
        self._flag_gaps(cursor_ms, answer.fresh[: self._terms.batch_limit])
        return self._message(snapshot, cursor_ms, answer)

    def market_ms(self) -> int | None:
        """Return the source's market time, milliseconds since the epoch, UTC; None if unknown."""
        return self._candles.market_ms(self._store.load(self.symbol).cursor_ms)

    def _is_cursor_lost(self, cursor_ms: int, market_ms: int) -> bool:
        """Return whether the cursor lies so far in the future that no delay of the source explains it.

        Where the ledger decided on a candle in the future too, only an operator knows which market it is.
        """
        if cursor_ms <= market_ms + max(AHEAD_CANDLES * self._grid.longest_ms, AHEAD_MS):
            return False
        fence_ms = self._ledger.fence(self.symbol)
        return fence_ms is None or fence_ms <= market_ms

    def _begin_again(self, cursor_ms: int, market_ms: int) -> ChainResult:
        """Discard a cursor in the future: the next message begins at the ledger's fence."""
        reason = f"the cursor {format_time(cursor_ms)} lies after the market time {format_time(market_ms)}: begun anew"
        self._errors.publish(reason, cursor_ms)
        self._store.discard_future(self.symbol, after_ms=market_ms)
        return ChainResult(ChainOutcome.RESTARTED, reason)

    def _why_none(self, snapshot: FeedSnapshot, cursor_ms: int) -> str:
        if snapshot.market_ms >= cursor_ms:
            return ""
        return (
            f"the market is at {format_time(snapshot.market_ms)}, before the last candle decided, of "
            f"{format_time(cursor_ms)}: another market needs another account or TRADING__VAR_DIR"
        )

    def reset(self) -> None:
        """Reset the source's connections, and compare the store with the ledger at the next message."""
        self._until_check = 0
        self._candles.close()

    def stop(self) -> None:
        super().stop()
        self._candles.close()

    def _checked(self, snapshot: SymbolSnapshot) -> SymbolSnapshot:
        """Correct outdated values of the store from the ledger: periodically, and while the store forbids
        processing.
        """
        if self._until_check and _permissions(snapshot).state is TradingState.ACTIVE:
            self._until_check -= 1
            return snapshot
        self._until_check = _CHECK_EVERY
        desired = self._ledger.desired(self.symbol)
        if desired is not snapshot.desired:
            self._store.set_desired(self.symbol, desired)
        quarantine = self._ledger.quarantine(self.symbol)
        if quarantine != snapshot.quarantine:
            self._store.set_quarantine(self.symbol, quarantine)
        has_exposure = snapshot.has_exposure or self._ledger.has_exposure(self.symbol)
        if has_exposure and not snapshot.has_exposure:
            self._store.mark_exposed(self.symbol)
        return replace(snapshot, desired=desired, has_exposure=has_exposure, quarantine=quarantine)

    def _begin(self) -> None:
        """Fill an empty store, up to the candle at the ledger's fence, else up to the newest.

        The candle at the fence is decided on again: a process may have died between its first decision and its last.
        """
        fence_ms = self._ledger.fence(self.symbol)
        if fence_ms is None:
            first = self._candles.newest()
            until_ms = first.last_open_ms - 1 if len(first) else 0
        else:
            until_ms = fence_ms - 1
        history = self._candles.history(until_ms)
        cursor_ms = history.last_open_ms if len(history) else until_ms
        desired = self._ledger.desired(self.symbol)
        self._store.seed(self.symbol, history, timeframe=self._timeframe, cursor_ms=cursor_ms, desired=desired)

    def _flag_gaps(self, cursor_ms: int, batch: Candles) -> None:
        """Publish the candles that are missing although the market was open."""
        seen = np.concatenate(([cursor_ms], batch.open_ms)) if cursor_ms else batch.open_ms
        # half a bar of tolerance, because a day on which clocks are put back is longer
        gaps = np.flatnonzero(np.diff(seen) > self._grid.length_ms * 3 // 2)
        for before_ms, open_ms in zip(seen[gaps].tolist(), seen[gaps + 1].tolist(), strict=True):
            expected = self._grid.expected(before_ms, open_ms)[:BATCH_LIMIT].tolist()
            missing = sum(1 for at_ms in expected if self._is_open(at_ms))
            if missing:
                self._errors.publish(f"gap: {missing} candles missing, continued", open_ms, missing=missing)

    def _message(self, snapshot: SymbolSnapshot, cursor_ms: int, answer: Answer) -> NewCandle:
        batch = answer.fresh[: self._terms.batch_limit]
        message = NewCandle(
            symbol=self.symbol,
            timeframe=self._timeframe,
            after_ms=cursor_ms,
            candles=batch,
            as_of_ms=answer.shown.market_ms,
            newest_ms=answer.shown.newest_ms,
            is_over=answer.shown.is_over,
            is_replay=self._terms.is_replay,
            desired=snapshot.desired,
            has_exposure=snapshot.has_exposure,
            regime=snapshot.regime,
            quarantine=snapshot.quarantine,
            has_more=answer.bars.has_more or len(answer.fresh) > len(batch),
            closed_ms=self._unusual_end(batch.last_open_ms, answer.bars),
        )
        self._bus.publish(message)
        return message

    def _unusual_end(self, open_ms: int, bars: Bars) -> int | None:
        """Return the end of a closed bar, None where it is the one of the timeframe."""
        opens = bars.candles.open_ms
        later = int(opens.searchsorted(open_ms, side="right"))
        following_ms = int(opens[later]) if later < len(opens) else None
        if bars.closed_ms and (following_ms is None or following_ms >= bars.closed_ms):
            closed_ms = bars.closed_ms
        else:
            closed_ms = self._grid.close_of(open_ms, following_ms)
        return None if closed_ms == self._grid.close_of(open_ms) else closed_ms


def _permissions(snapshot: SymbolSnapshot) -> Permissions:
    return permissions(snapshot.desired, policy=snapshot.quarantine, has_exposure=snapshot.has_exposure)


def _end_unprocessed(snapshot: SymbolSnapshot, cursor_ms: int) -> ChainResult | None:
    """Return the end of a chain whose symbol must not be processed now; None if it may."""
    permitted = _permissions(snapshot)
    if permitted.processing is not Processing.NOTHING:
        return None
    if permitted.restrictions[0].cause is Cause.STOPPED:
        return ChainResult(ChainOutcome.STOPPED, "start it with tasks.start_symbol", cursor_ms=cursor_ms)
    return ChainResult(ChainOutcome.QUARANTINED, "clear it with tasks.clear_quarantine", cursor_ms=cursor_ms)
