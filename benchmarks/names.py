"""Names shared by the benchmark and the measured worker."""

DONE = "benchmark:done"
STOCK_QUEUE, KEPT_QUEUE = "STOCK", "KEPT"
"""Queues of no-op chains.

On a worker with kombu's own transport, and on the one with ours, `tasks.engine.celery_patches`.
"""
NOOP_STAGES = ("benchmark.fetch", "benchmark.indicators", "benchmark.strategy", "benchmark.execute")

HARM = "benchmark:harm"
"""Redis key with the fault of the misbehaving worker."""
HARM_COUNT = "benchmark:harm-count"
"""Redis key that counts the times that it began its fault."""
HELD_BYTES = 2 * 2**30
"""Memory that the unbounded strategy allocates."""
