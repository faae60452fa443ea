"""Names that the benchmark and the worker it measures share."""

DONE = "benchmark:done"
STOCK_QUEUE, KEPT_QUEUE = "STOCK", "KEPT"
"""Where no-op chains run.

On a worker with kombu's own transport, and on the one with ours, `tasks.engine.celery_patches`.
"""
NOOP_STAGES = ("benchmark.fetch", "benchmark.indicators", "benchmark.strategy", "benchmark.execute")

HARM = "benchmark:harm"
"""Redis key that tells the misbehaving worker what to do."""
HARM_COUNT = "benchmark:harm-count"
"""Redis key that counts how often it began to."""
HELD_BYTES = 2 * 2**30
"""What a strategy without measure takes."""
