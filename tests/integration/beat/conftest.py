"""A beat whose symbols play a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from tasks.engine.routing import PRIORITY_STEPS, route
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.integration.beat.beats import NEVER_AGAIN, SYMBOLS, Beat


@pytest.fixture
def make_beat(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Callable[..., Beat]]:
    apps: list[Celery] = []
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 40))
    patch = pytest.MonkeyPatch()

    def make(**extra: str) -> Beat:
        system = make_system({name: file_symbol(path, speed=1.0) for name in SYMBOLS}, extra={**NEVER_AGAIN, **extra})
        for name, value in system.environment.items():
            patch.setenv(name, value)
        app = Celery("beat-test", broker=system.redis.url, set_as_current=False)
        app.conf.task_routes = (route,)
        app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS), "socket_timeout": 60}
        apps.append(app)
        return Beat(system, app)

    yield make
    patch.undo()
    for app in apps:
        app.close()
