"""The wall clock: the one place that reads it."""

import time


def now_ms() -> int:
    """Return the wall time, milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000
