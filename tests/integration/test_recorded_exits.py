"""What a run with exit rules recorded is replayed from any candle on, with the stop where it rested then."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.exits import WILFUL
from tests.fixtures.live_replay import recorded_again
from tests.fixtures.redis_server import RedisServer
from tests.fixtures.system import TradingSystem, file_symbol
from trading.flow import Wake
from worker.cli import trading

GOLD = "XAUUSD"
CANDLES = 160
STRATEGY = {"name": WILFUL, "params": {"fast": 3, "slow": 8, "atr_period": 2, "stop_atr": 2.0, "target_atr": 6.0}}
EXITS = {"trailing_stop": {"distance_fraction": 0.001}}


@pytest.mark.timeout(240)
def test_recording_cut_where_a_stop_had_been_moved_is_replayed_as_it_was_lived(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(GOLD, CANDLES, seed=3))
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: file_symbol(path, strategy=STRATEGY, exits=EXITS)})
    try:
        pipeline = system.pipeline(GOLD)
        for _ in range(CANDLES):
            pipeline.advance(Wake(GOLD))
        moved = [open_ms for open_ms, text in system.journal(GOLD).items() if text.startswith("stop ")]
        cuts = [None, *(open_ms + 60_000 for open_ms in moved[:: max(1, len(moved) // 8)])]
        compared = [recorded_again(system, from_ms=cut)[1] for cut in cuts]
        at = datetime.fromtimestamp(moved[0] / 1000, UTC).isoformat()
        explained = CliRunner().invoke(trading, ["explain", GOLD, at], env=system.environment)
    finally:
        system.stop()

    assert len(cuts) > 5, "hardly a stop was moved: the test shows nothing"
    assert [one.differences[:1] for one in compared] == [[]] * len(cuts)
    assert all(one.is_identical for one in compared)
    assert re.search(r"decision\s+stop [\d.]+ -> [\d.]+: trailing_stop: [^:]+$", explained.output, re.MULTILINE)
