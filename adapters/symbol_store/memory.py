"""Symbol store in memory: cursor, candle window and journal."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from trading.events.decisions import Decisions
from trading.events.event import Event
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import CLOSE, Candles
from trading.market.feed_health import FeedHistory, FeedSnapshot
from trading.ports.symbol_store import Commit, SymbolSnapshot
from trading.structs import replace

_NOTHING = SymbolSnapshot(None, DesiredState.RUNNING, has_exposure=True, regime=Regime.UNKNOWN, generation=0)


class Journal(Struct):
    """Decisions by candle, oldest first; the three lists have the same length."""

    open_ms: list[int] = field(default_factory=list)
    decisions: list[Decisions] = field(default_factory=list)
    regimes: list[Regime] = field(default_factory=list)


class _Symbol(Struct):
    memory: SymbolSnapshot
    window: list[Candles] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)
    feed: FeedHistory | None = None
    moved_ms: int = 0


class MemoryStore:
    """The `SymbolStore` port for one thread.

    Attributes:
        events: Events of all commits, if they are kept.
        now_ms: The wall clock, set by the caller.
    """

    def __init__(self, *, window_limit: int | None = None, keeps_events: bool = True) -> None:
        """Create an empty store.

        Args:
            window_limit: Candles kept per symbol; None keeps all, without a copy.
            keeps_events: Whether to keep events in `events`.
        """
        self.events: list[Event] = []
        self.now_ms = 0
        self._window_limit = window_limit
        self._keeps_events = keeps_events
        self._symbols: dict[str, _Symbol] = {}
        self._prices: dict[str, float] = {}

    def load(self, symbol: str) -> SymbolSnapshot:
        at = self._of(symbol).memory
        return at if at.cursor_ms is not None else replace(_NOTHING, generation=at.generation)

    def window(self, symbol: str, count: int, *, until_ms: int) -> Candles:
        found = Candles.empty()
        for part in reversed(self._of(symbol).window):
            found = part.until(until_ms).then(found)
            if len(found) >= count:
                break
        return found[-count:]

    def seed(self, symbol: str, history: Candles, *, timeframe: str, cursor_ms: int, desired: DesiredState) -> None:
        at = self._of(symbol)
        at.memory = replace(
            at.memory,
            cursor_ms=cursor_ms,
            desired=desired,
            has_exposure=True,
            regime=Regime.UNKNOWN,
            timeframe=timeframe,
        )
        at.window, at.feed = [history], None
        if len(history):
            self._prices[symbol] = float(history.values[-1, CLOSE])

    def mark_exposed(self, symbol: str) -> None:
        if not self.load(symbol).has_exposure:
            self._change(symbol, has_exposure=True)

    def set_desired(self, symbol: str, state: DesiredState) -> None:
        self._change(symbol, desired=state)

    def set_quarantine(self, symbol: str, policy: PositionPolicy | None) -> None:
        self._change(symbol, quarantine=policy)

    def record_fetch(self, symbol: str, snapshot: FeedSnapshot) -> None:
        at = self._of(symbol)
        if at.feed is None or at.feed.snapshot.market_ms != snapshot.market_ms:
            at.moved_ms = self.now_ms
        at.feed = FeedHistory(snapshot, self.now_ms, at.moved_ms, at.memory.cursor_ms or 0)

    def feed(self, symbol: str) -> FeedHistory | None:
        at = self._of(symbol)
        return at.feed and replace(at.feed, cursor_ms=at.memory.cursor_ms or 0)

    def latest_prices(self) -> Mapping[str, float]:
        return self._prices

    def request_restart(self, symbol: str) -> None:
        self._change(symbol, generation=self.load(symbol).generation + 1)

    def discard_future(self, symbol: str, *, after_ms: int) -> None:
        at = self._of(symbol)
        kept = bisect_right(at.journal.open_ms, after_ms)
        for column in (at.journal.open_ms, at.journal.decisions, at.journal.regimes):
            del column[kept:]
        at.window, at.feed = [], None
        self._change(symbol, cursor_ms=None)

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        at = self._of(commit.symbol)
        cursor_ms = at.memory.cursor_ms or 0
        fresh = commit.candles.after(cursor_ms) if cursor_ms >= commit.after_ms else Candles.empty()
        if len(fresh):
            first = len(commit.candles) - len(fresh)
            at.journal.open_ms += fresh.open_ms.tolist()
            at.journal.decisions += commit.decisions[first:]
            at.journal.regimes += commit.regimes[first:]
            at.window.append(fresh)
            self._prices[commit.symbol] = float(fresh.values[-1, CLOSE])
            if self._window_limit is not None:
                count = max(self._window_limit, commit.window_count)
                at.window = [self.window(commit.symbol, count, until_ms=fresh.last_open_ms)]
            is_exposed = at.memory.has_exposure if commit.has_exposure is None else commit.has_exposure
            self._change(
                commit.symbol, cursor_ms=fresh.last_open_ms, has_exposure=is_exposed, regime=commit.regimes[-1]
            )
        known_ms = at.feed.snapshot.market_ms if at.feed else 0
        if commit.shown is not None and (len(fresh) or commit.shown.market_ms >= known_ms):
            self.record_fetch(commit.symbol, commit.shown)
        if self._keeps_events:
            self.events += events
        return len(fresh)

    def journal(self, symbol: str) -> Journal:
        """Return the decisions of a symbol; do not modify them."""
        return self._of(symbol).journal

    def _change(self, symbol: str, **values: object) -> None:
        at = self._of(symbol)
        at.memory = replace(at.memory, **values)  # type: ignore[arg-type]  # each caller names fields of its own types

    def _of(self, symbol: str) -> _Symbol:
        if symbol not in self._symbols:
            self._symbols[symbol] = _Symbol(_NOTHING)
        return self._symbols[symbol]
