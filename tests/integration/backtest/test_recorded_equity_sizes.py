"""A run that invests parts of its equity is replayed to the unit, also where the replay begins before a fill."""

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.market.candles import HIGH, LOW, OPEN, Candles
from trading.services.chain import AdvanceSymbol

GOLD, COIN = "XAUUSD", "BTCUSD"
CANDLES = 120
ACCOUNT = {"name": "test", "starting_balance": 50_000.0}
STRATEGY = {"name": "ema_cross", "params": {"fast": 3, "slow": 8, "atr_period": 2, "stop_atr": 0.0, "target_atr": 0.0}}
RISK = {"sizing": "equity_fraction", "equity_fraction": 0.6, "unit_step": 0.001}
VENUE = {"kind": "paper", "slippage": 0.02, "commission_per_unit": 0.01, "min_commission": 0.5}


def with_gaps(candles: Candles) -> Candles:
    """Return the candles with each open in the middle of its candle, so that it is not the close before."""
    values = candles.values.copy()
    values[:, OPEN] = np.round((values[:, HIGH] + values[:, LOW]) / 2, 2)
    return Candles(candles.open_ms, values)


@pytest.mark.timeout(240)
def test_sizes_by_equity_are_the_same_in_the_replay_wherever_it_begins(tmp_path: Path, own_redis: RedisServer) -> None:
    symbols = {}
    for number, symbol in enumerate((GOLD, COIN)):
        path = write_candles(tmp_path / f"{symbol}.csv", with_gaps(generated_candles(symbol, CANDLES, seed=3 + number)))
        symbols[symbol] = file_symbol(path, strategy=STRATEGY, risk=RISK, venue=VENUE)
    system = TradingSystem(tmp_path / "system", own_redis, symbols, account=ACCOUNT)
    try:
        pipelines = [system.pipeline(symbol) for symbol in (GOLD, COIN)]
        for _ in range(CANDLES):
            for pipeline in pipelines:
                pipeline.advance(AdvanceSymbol(pipeline.symbol))
        orders = [row for row in system.stores().ledger.orders(limit=10**9) if row["leg"] == "entry"]
        waited_ms = sorted(row["market_ms"] for row in orders if row["state"] == "filled")
        compared = [recorded_again(system)[1]]
        compared += [recorded_again(system, from_ms=at_ms)[1] for at_ms in waited_ms[1::3]]
    finally:
        system.stop()

    assert len({row["filled_units"] for row in orders}) > 5
    assert any(row["filled_units"] > row["units"] for row in orders)
    assert any(0 < row["filled_units"] < row["units"] for row in orders)
    for one in compared:
        assert one.is_identical, one.differences[:1]
        assert one.counts["fills"] > 0
