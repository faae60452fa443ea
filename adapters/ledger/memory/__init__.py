"""The ledger in memory: what a backtest works with in place of SQL."""

from adapters.ledger.memory.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
