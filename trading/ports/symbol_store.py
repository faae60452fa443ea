"""Cursor, candle window and journal of the symbols."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from trading.events.decisions import Decisions
from trading.events.event import Event
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles
from trading.market.feed_health import FeedHistory, FeedSnapshot


class SymbolSnapshot(Struct, frozen=True):
    """The state of a symbol in the fast store; all of it can be rebuilt.

    Attributes:
        cursor_ms: Open time of the last candle decided, 0 before the first; None when the store is empty.
        has_exposure: An order or a position may be alive, so each candle must reach the venue.
        regime: Of the last candle decided.
        generation: Incremented each time the symbol's services must be rebuilt.
        timeframe: Of the stored candles.
        quarantine: The policy of a symbol that is quarantined; None for one that is not.
    """

    cursor_ms: int | None
    desired: DesiredState
    has_exposure: bool
    regime: Regime
    generation: int
    timeframe: str = ""
    quarantine: PositionPolicy | None = None


class Commit(Struct, frozen=True):
    """The end of a batch: the decisions on each of its candles.

    Attributes:
        after_ms: The cursor that the batch was fetched after, 0 for none.
        candles: The batch.
        decisions: Those on each candle.
        has_exposure: None keeps the stored value.
        shown: State of the market in the answer of the source; None keeps the stored one.
        desired: Desired state of the symbol when the batch was fetched.
        quarantine: The policy of a symbol that was quarantined; None for one that was not.
        config: Short digest of the configuration that decided.
        window_count: Candles that the store must keep, where they are more than its limit.
    """

    symbol: str
    timeframe: str
    after_ms: int
    candles: Candles
    decisions: Sequence[Decisions]
    regimes: Sequence[Regime]
    has_exposure: bool | None = None
    shown: FeedSnapshot | None = None
    desired: DesiredState = DesiredState.RUNNING
    quarantine: PositionPolicy | None = None
    config: str = ""
    window_count: int = 0


class SymbolStore(Protocol):
    """Cursor, candle window and journal of the symbols: fast, and rebuilt from source and ledger when lost."""

    def load(self, symbol: str) -> SymbolSnapshot: ...

    def window(self, symbol: str, count: int, *, until_ms: int) -> Candles:
        """Return the newest `count` candles up to the one opened at `until_ms`; fewer where there are not as many."""
        ...

    def seed(self, symbol: str, history: Candles, *, timeframe: str, cursor_ms: int, desired: DesiredState) -> None:
        """Initialise the symbol, or reset it, with history on which nothing is decided."""
        ...

    def mark_exposed(self, symbol: str) -> None:
        """Mark that an order may soon be alive; called before the order is recorded."""
        ...

    def set_desired(self, symbol: str, state: DesiredState) -> None:
        """Store the desired state of the ledger."""
        ...

    def set_quarantine(self, symbol: str, policy: PositionPolicy | None) -> None:
        """Store the quarantine of the ledger."""
        ...

    def record_fetch(self, symbol: str, snapshot: FeedSnapshot) -> None:
        """Record the market state of an answer that brought no candle to decide on."""
        ...

    def feed(self, symbol: str) -> FeedHistory | None:
        """Return the state of the market in the last answers of the symbol's source; None before the first."""
        ...

    def latest_prices(self) -> Mapping[str, float]:
        """Return the close of the last decided candle by symbol, of each symbol that the store has seen."""
        ...

    def request_restart(self, symbol: str) -> None:
        """Request that the symbol's services are rebuilt at their next tick, in any process."""
        ...

    def discard_future(self, symbol: str, *, after_ms: int) -> None:
        """Forget cursor and window, and the journal of candles that opened after `after_ms`.

        The symbol begins anew, from the ledger; what it decided until then stays in the journal.
        """
        ...

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        """Append the candles to the window and the decisions to the journal, move the cursor, publish the events.

        All or nothing; candles at or before the cursor are left out, so a second delivery changes nothing. So are all
        of them if the cursor is before `after_ms`: the store lost the candles between, and they are fetched again.

        Returns:
            How many candles were new.
        """
        ...
