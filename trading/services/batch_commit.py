"""The end of every chain: commits decisions, cursor and events of a batch together."""

from collections.abc import Sequence

from trading.events.bus import Outbox
from trading.events.decisions import Decisions
from trading.events.messages import Message
from trading.indicators.regime import Regime
from trading.market.candles import Candles
from trading.market.feed_health import FeedSnapshot
from trading.ports.symbol_store import Commit, SymbolStore


class BatchCommitter:
    """Commits the result of a batch to the symbol store, with the events that it caused."""

    def __init__(self, store: SymbolStore, outbox: Outbox, config: str = "") -> None:
        """Make the committer.

        Args:
            config: Short digest of the configuration that decides.
        """
        self._store = store
        self._outbox = outbox
        self._config = config

    def commit(
        self,
        message: Message,
        candles: Candles,
        decisions: Sequence[Decisions],
        regimes: Sequence[Regime],
        *,
        has_exposure: bool | None = None,
    ) -> None:
        """Commit the batch of `message`; on an error the events are kept for the next commit.

        Raises:
            Transient: The store did not answer; the cursor stays, so the batch comes again.
        """
        events = self._outbox.waiting()
        commit = Commit(
            message.symbol,
            message.timeframe,
            message.after_ms,
            candles,
            decisions,
            regimes,
            has_exposure,
            FeedSnapshot(message.as_of_ms, message.newest_ms, message.is_over),
            message.desired,
            message.quarantine,
            self._config,
            message.window_count,
        )
        self._store.commit(commit, events)
        self._outbox.forget(len(events))
