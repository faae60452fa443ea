"""The open positions of one symbol, read from the ledger once and cached until they may have changed."""

from collections.abc import Mapping

from trading.portfolio.positions import Position
from trading.ports.ledger import Positions
from trading.ports.symbol_store import SymbolStore


class SymbolExposure:
    """The exposure of one symbol: read from the ledger, and marked in the symbol store."""

    def __init__(self, symbol: str, ledger: Positions, store: SymbolStore) -> None:
        self._symbol = symbol
        self._ledger = ledger
        self._store = store
        self.forget()

    def forget(self) -> None:
        """Drop the cache: a decision, a fill or another process may have changed the positions."""
        self._has_exposure: bool | None = None
        self._positions: Mapping[str, Position] | None = None

    def mark(self) -> None:
        """Mark the symbol as exposed in the store, so that each of its candles reaches the venue; drop the cache."""
        self._store.mark_exposed(self._symbol)
        self.forget()

    def mark_if_exists(self) -> None:
        """Mark the symbol as exposed in the store where it has exposure."""
        if self.exists():
            self._store.mark_exposed(self._symbol)

    def exists(self) -> bool:
        """Return whether the symbol has an open position or an order that may open one."""
        if self._has_exposure is None:
            self._has_exposure = self._ledger.has_exposure(self._symbol)
        return self._has_exposure

    def position_of(self, strategy: str) -> Position | None:
        """Return the open position of a strategy; None where it has none."""
        if self._positions is None:
            held = [one for one in self._ledger.positions() if one.symbol == self._symbol and one.is_open]
            self._positions = {one.strategy: one for one in held}
        return self._positions.get(strategy)
