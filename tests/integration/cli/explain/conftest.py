"""A system that decided on its candles."""

from collections.abc import Iterator

import pytest

from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.integration.cli.explain.explained import CANDLES, COIN, GOLD, LIMITS, recorded_series
from trading.lifecycle import DesiredState
from trading.services.chain import AdvanceSymbol


@pytest.fixture(scope="package")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingSystem]:
    """A system of two symbols that share room for one position, and that decided on its candles in turn.

    Gold was paused for 40 candles.
    """
    folder = tmp_path_factory.mktemp("explained")
    server = RedisServer(folder / "redis").start()
    paths = {
        name: write_candles(folder / f"{name}.csv", recorded_series(name, seed))
        for seed, name in enumerate((GOLD, COIN), 3)
    }
    system = TradingSystem(
        folder / "system", server, {name: file_symbol(path) for name, path in paths.items()}, account=LIMITS
    )
    pipelines = {name: system.pipeline(name) for name in paths}
    for number in range(CANDLES - 5):
        if number in (100, 140):
            desired = DesiredState.PAUSED if number == 100 else DesiredState.RUNNING
            system.stores().ledger.set_desired(GOLD, desired, reason="news")
            system.stores().store.set_desired(GOLD, desired)
        for name, pipeline in pipelines.items():
            pipeline.advance(AdvanceSymbol(name))
    yield system
    system.stop()
    server.stop()
