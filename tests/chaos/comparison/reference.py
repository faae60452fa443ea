"""The undisturbed run: the same candles through the same services in one process, as far as the other one has come."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos.comparison.books import Books, read_books
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Transient
from trading.services.chain import AdvanceSymbol

MOST_TRIES = 200
ROOM_BYTES = 1_000_000_000
"""A container often has 64 MB there."""


def _in_memory() -> Path | None:
    """Return a folder whose files need no disk: nobody kills the reference, and each commit waits for its disk."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < ROOM_BYTES:
        return None
    return shared


class Reference:
    """A system on stores of its own, which nobody kills."""

    def __init__(self, symbols: Mapping[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chaos-reference-", dir=_in_memory())
        folder = Path(self._folder.name)
        self._redis = RedisServer(folder / "reference-redis").start()
        extra = {"TRADING__NAMESPACE": "reference"}
        self.system = TradingSystem(folder / "reference", self._redis, symbols, extra=extra)
        self._pipelines = {name: self.system.pipeline(name) for name in symbols}
        self._cursors = dict.fromkeys(symbols, 0)

    def advance(self, cursors: Mapping[str, int], *, most: int | None = None) -> bool:
        """Go on to the cursor of each symbol, by `most` candles at most, and return whether all are there."""
        steps = 0
        for name, until_ms in cursors.items():
            while self._cursors[name] < until_ms:
                if most is not None and steps >= most:
                    return False
                self._step(name)
                steps += 1
        return True

    def books(self, candles: Mapping[str, list[int]]) -> Books:
        return read_books(self.system, candles)

    def stop(self) -> None:
        self.system.stop()
        self._redis.stop()
        self._folder.cleanup()

    def _step(self, name: str) -> None:
        """Decide one candle; a venue that fails by its faults is asked again, as the next tick would."""
        before = self._cursors[name]
        for _ in range(MOST_TRIES):
            try:
                self._pipelines[name].advance(AdvanceSymbol(name))
            except Transient:
                continue
            self._cursors[name] = self.system.cursor_ms(name)
            if self._cursors[name] > before:
                return
        raise AssertionError(f"the reference run of {name} does not go on after {before}")
