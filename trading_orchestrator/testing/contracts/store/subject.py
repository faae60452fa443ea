"""A symbol store under test, and the fixture that each part of the contract shares."""

from typing import Protocol

import pytest

from trading.events.event import Event
from trading.ports.symbol_store import SymbolStore


class Kept(Protocol):
    """A store under test, and what it holds beyond the port.

    Attributes:
        window_limit: Candles that the store keeps for each symbol; at most 40.
        wall_ms: The wall clock as the store reads it; a test may set it.
    """

    store: SymbolStore
    window_limit: int
    wall_ms: int

    def journal(self, symbol: str) -> dict[int, str]:
        """Return the text of each decision, by the open time of its candle."""
        ...

    def events(self) -> list[Event]:
        """Return the published events, oldest first."""
        ...


class StorePart:
    """The fixture of the contract: a test class gives `kept`."""

    @pytest.fixture
    def kept(self) -> Kept:
        raise NotImplementedError("define the fixture kept in the test class")
