"""A symbol store that fails on demand."""

from collections.abc import Sequence

from adapters.symbol_store.memory import MemoryStore
from trading.events.decisions import describe
from trading.events.event import Event
from trading.ports.symbol_store import Commit


class FlakyStore(MemoryStore):
    """A `SymbolStore` in memory, whose commits fail on demand and whose contents can be lost.

    Attributes:
        failures: Errors that the next commits raise, one each.
    """

    def __init__(self) -> None:
        super().__init__(window_limit=2_000)
        self.failures: list[Exception] = []

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        if self.failures:
            raise self.failures.pop(0)
        return super().commit(commit, events)

    def decisions(self, symbol: str) -> dict[int, str]:
        """Return the decision on each candle, by its open time."""
        kept = self.journal(symbol)
        return dict(zip(kept.open_ms, map(describe, kept.decisions), strict=True))

    def lose_exposure(self, symbol: str) -> None:
        """Delete the mark of an open position, as when Redis loses its last second of writes."""
        self._change(symbol, has_exposure=False)

    def forget(self) -> None:
        """Lose everything but the events, as Redis does when it starts without its file."""
        self._symbols.clear()
        self._prices.clear()
