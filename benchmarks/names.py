"""Names that the benchmark and the worker it measures share."""

DONE = "benchmark:done"
NOOP_QUEUE = "NOOP"
NOOP_STAGES = ("benchmark.fetch", "benchmark.indicators", "benchmark.strategy", "benchmark.execute")
