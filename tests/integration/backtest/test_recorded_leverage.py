"""A run whose sizes are cut to the equity that another symbol leaves is replayed by the prices that it recorded."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database import create_engine
from adapters.ledger.tables import decisions as table
from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.services.chain import AdvanceSymbol

GOLD, COIN = "XAUUSD", "BTCUSD"
CANDLES = 200
ACCOUNT = {"name": "test", "starting_balance": 50_000.0}
STRATEGY = {"name": "ema_cross", "params": {"fast": 3, "slow": 8, "atr_period": 2, "stop_atr": 1.0, "target_atr": 2.0}}
RISK = {"sizing": "risk_fraction", "risk_fraction": 0.02, "unit_step": 0.001, "max_leverage": 0.7}


@pytest.mark.timeout(240)
def test_sizes_cut_to_the_leverage_are_cut_alike_in_the_replay(tmp_path: Path, own_redis: RedisServer) -> None:
    symbols = {}
    for number, symbol in enumerate((GOLD, COIN)):
        path = write_candles(tmp_path / f"{symbol}.csv", generated_candles(symbol, CANDLES, seed=3 + number))
        symbols[symbol] = file_symbol(path, strategy=STRATEGY, risk=RISK)
    system = TradingSystem(tmp_path / "system", own_redis, symbols, account=ACCOUNT)
    try:
        pipelines = [system.pipeline(symbol) for symbol in (GOLD, COIN)]
        for _ in range(CANDLES):
            for pipeline in pipelines:
                pipeline.advance(AdvanceSymbol(pipeline.symbol))
        compared = recorded_again(system)[1]
        decisions = system.stores().ledger.decisions(limit=10**9)
        changed_ms = halve_a_price(system)
        changed = recorded_again(system)[1]
    finally:
        system.stop()

    cut = [
        check["fields"]
        for row in decisions
        for check in row["checks"]
        if row["rule"] == "ok" and check["rule"] == "max_leverage" and "cut from" in check["reason"]
    ]
    full = [one for one in cut if one["held"] > 0 and one["held"] + one["notional"] > 0.99 * one["limit"]]
    assert len(full) > 3
    assert len({one["equity"] for one in full}) > 3
    assert compared.is_identical, compared.differences[:1]
    assert changed.differences[0].market_ms == changed_ms


def halve_a_price(system: TradingSystem) -> int:
    """Halve the price by which the last entry beside a position valued it; return the open time of its candle."""
    engine = create_engine(system.settings.ledger_url.get_secret_value())
    with engine.begin() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)).all()
        row = [one for one in rows if one.rule == "ok" and set(one.prices) == {GOLD if one.symbol == COIN else COIN}][
            -1
        ]
        halved = {symbol: price / 2 for symbol, price in row.prices.items()}
        connection.execute(sa.update(table).where(table.c.id == row.id).values(prices=halved))
    engine.dispose()
    return int(row.open_ms)
