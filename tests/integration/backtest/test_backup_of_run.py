"""A backup of the ledger has everything that the services recorded, and a restore returns all of it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.backtest.read_recording import read_recording
from adapters.backtest.replay_journal import replay_recorded
from adapters.backup.backup import LEDGER, backup
from adapters.backup.restore import restore
from adapters.database import create_engine
from adapters.ledger.schema import migrate
from adapters.ledger.tables import decisions
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.ledger_copies import look, rows_of, silent
from tests.fixtures.servers.redis_server import RedisServer
from trading.backtest.comparison import compare
from trading.services.chain import AdvanceSymbol

GOLD = "XAUUSD"
CANDLES = 150
PARAMS = {"fast": 3, "slow": 8, "atr_period": 2}
STRATEGIES = {
    "cross": {"name": "sma_cross", "params": PARAMS},
    "quick": {"name": "sma_cross", "params": {**PARAMS, "fast": 2}, "risk": {"sizing": "fixed_units", "units": 3}},
}
ACCOUNT = {"name": "test", "starting_balance": 100_000, "max_open_positions": 1}

pytestmark = pytest.mark.timeout(240)


def test_run_of_several_strategies_is_restored_with_its_checks_and_replayed_out_of_the_restored_ledger(
    tmp_path: Path, own_redis: RedisServer, database_url: str
) -> None:
    path = write_candles(tmp_path / "gold.csv", generated_candles(GOLD, CANDLES, seed=3))
    symbol = file_symbol(path, strategy=None, strategies=STRATEGIES)
    system = TradingSystem(tmp_path / "system", own_redis, {GOLD: symbol}, account=ACCOUNT)
    lived, restored = create_engine(system.settings.ledger_url.get_secret_value()), create_engine(database_url)
    try:
        pipeline = system.pipeline(GOLD)
        for _ in range(CANDLES):
            pipeline.advance(AdvanceSymbol(GOLD))
        migrate(restored)

        restore(backup(lived, LEDGER, tmp_path / "copy.sqlite3", silent).file, restored, LEDGER, silent)

        findings = look(restored)
        with restored.connect() as connection:
            restored_rows = connection.execute(
                sa.select(decisions.c.strategy, decisions.c.rule, decisions.c.checks)
            ).all()
        found = read_recording(system.stores().redis, restored, system.settings.namespace, system.config)
        comparison = compare(*replay_recorded(system.config, found.recording), left_out=found.left_out)
        assert rows_of(restored) == rows_of(lived)
    finally:
        lived.dispose()
        restored.dispose()
        system.stop()

    assert findings.differences == []
    assert {row.strategy for row in restored_rows} == set(STRATEGIES)
    assert {"ok", "max_open_positions"} <= {row.rule for row in restored_rows}
    assert all({"rule", "is_met", "reason"} == set(check) - {"fields"} for row in restored_rows for check in row.checks)
    assert any(check.get("fields") for row in restored_rows for check in row.checks)
    assert all(row.checks for row in restored_rows)
    assert comparison.is_identical, comparison.differences[:1]
    assert comparison.left_out == []
