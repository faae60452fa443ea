"""The ledger in memory, which a backtest uses in place of SQL."""

from adapters.ledger.memory.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
