"""Wall clock; no other module reads it."""

import threading
import time


def now_ms() -> int:
    """Return the wall time, milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


class LoopClock:
    """The `Clock` port for a loop in this process."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def now_s(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        self._woken.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()
