"""The contract of a symbol store: subclass `SymbolStoreContract`, and define the fixture `kept`."""

from trading_orchestrator.testing.contracts.store.beginning import BeginningContract
from trading_orchestrator.testing.contracts.store.commits import CommitContract
from trading_orchestrator.testing.contracts.store.feed import FeedContract
from trading_orchestrator.testing.contracts.store.subject import Kept
from trading_orchestrator.testing.contracts.store.symbol_controls import SymbolControlContract
from trading_orchestrator.testing.contracts.store.window import WindowContract

__all__ = ["Kept", "SymbolStoreContract"]


class SymbolStoreContract(BeginningContract, CommitContract, WindowContract, FeedContract, SymbolControlContract):
    """The promises of `trading.ports.symbol_store.SymbolStore`."""
