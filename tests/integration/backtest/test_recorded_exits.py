"""A recorded run with exit rules is replayed from any candle on, with the stop at its price of that time."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from tests.fixtures.strategies.exits import WILFUL
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.cli.app import trading

GOLD = "XAUUSD"
CANDLES = 160
MINUTE_MS = 60_000
PARAMS = {"fast": 3, "slow": 8, "atr_period": 2}
WITH_A_STOP = {"name": WILFUL, "params": PARAMS | {"stop_atr": 2.0, "target_atr": 6.0}}
WITHOUT_A_STOP = {"name": "ema_cross", "params": PARAMS | {"stop_atr": 0, "target_atr": 0}}
AT_ONCE = {"trailing_stop": {"distance_fraction": 0.001}}
LATER = {"trailing_stop": {"distance_fraction": 0.001, "from_profit_fraction": 0.002}}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("strategy", "exits", "places"),
    [
        pytest.param(WITH_A_STOP, AT_ONCE, "stop ", id="entry_with_a_stop"),
        pytest.param(WITHOUT_A_STOP, LATER, "stop none -> ", id="entry_without_a_stop"),
    ],
)
def test_recording_cut_around_the_candle_that_moved_a_stop_is_replayed_as_it_was_lived(
    tmp_path: Path, own_redis: RedisServer, strategy: dict[str, Any], exits: dict[str, Any], places: str
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(GOLD, CANDLES, seed=3))
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: file_symbol(path, strategy=strategy, exits=exits)})
    try:
        pipeline = system.pipeline(GOLD)
        for _ in range(CANDLES):
            pipeline.advance(AdvanceSymbol(GOLD))
        moved = [open_ms for open_ms, text in system.journal(GOLD).items() if text.startswith(places)]
        entered = [row["market_ms"] for row in system.stores().ledger.fills(limit=10**9) if row["leg"] == "entry"]
        held = [open_ms for open_ms in moved if not any(open_ms - MINUTE_MS <= at <= open_ms for at in entered)]
        around = [at + step for at in held[:: max(1, len(held) // 3)] for step in (-MINUTE_MS, 0, MINUTE_MS)]
        cuts = [None, *sorted({*around})]
        compared = [recorded_again(system, from_ms=cut)[1] for cut in cuts]
        at = datetime.fromtimestamp(moved[0] / 1000, UTC).isoformat()
        explained = CliRunner().invoke(trading, ["explain", GOLD, at], env=system.environment)
    finally:
        system.stop()

    assert len(cuts) > 6, "hardly a stop was moved while a position had been open: the test shows nothing"
    assert [one.differences[:1] for one in compared] == [[]] * len(cuts)
    assert all(one.is_identical for one in compared)
    assert re.search(rf"decision\s+{places}.*: trailing_stop: [^:]+$", explained.output, re.MULTILINE)
