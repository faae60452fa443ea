"""The product's app with hooks.

`celery -A tests.chaos.kill_points.armed worker -Q XAUUSD`. Only a chaos run starts this.
"""

import os
import time
from pathlib import Path

from adapters.sources.playback import PlayedSource
from tasks import app
from tests.chaos.kill_points.hooks import install

__all__ = ["app"]

FOLDER, PACE_S = "CHAOS_FOLDER", "CHAOS_PACE_S"
"""Names in the environment: the director's folder, and seconds to wait before each look at the market."""


def _slow_down(pace_s: float) -> None:
    """Make a played market less fast than the machine could; nothing in it depends on the time it takes."""
    plain = PlayedSource.newest

    def newest(source: PlayedSource, count: int, *, after_ms: int | None) -> object:
        time.sleep(pace_s)
        return plain(source, count, after_ms=after_ms)

    PlayedSource.newest = newest  # type: ignore[method-assign, assignment]


_slow_down(float(os.environ.get(PACE_S, "0")))
if FOLDER in os.environ:
    install(Path(os.environ[FOLDER]))
