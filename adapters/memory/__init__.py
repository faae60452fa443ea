"""Ledger, venue and symbol store in memory: what a replay works with in place of SQL and Redis."""

from adapters.memory.ledger import MemoryLedger
from adapters.memory.store import MemoryStore
from adapters.memory.venue import MemoryVenue

__all__ = ["MemoryLedger", "MemoryStore", "MemoryVenue"]
