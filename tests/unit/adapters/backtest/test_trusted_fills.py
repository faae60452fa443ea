"""The fills of a backtest: recorded without checks, they give the same results as with them."""

import pytest

from adapters.backtest import backtest
from adapters.backtest.backtest import run_backtest
from tests.fakes import system_config
from tests.fixtures.candle_files import generated_candles
from trading.execution.fill_recorder import FillRecorder
from trading_orchestrator.testing.candles import SYMBOL

STRATEGY = {"name": "ema_cross", "params": {"fast": 5, "slow": 20, "stop_atr": 2.0, "target_atr": 3.0}}


def test_backtest_with_checked_fills_gives_the_same_trades_and_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    system, candles = system_config(STRATEGY), {SYMBOL: generated_candles(SYMBOL, 3_000)}
    trusted = run_backtest(system, candles)
    monkeypatch.setattr(backtest, "TrustedFillRecorder", FillRecorder)
    checked = run_backtest(system, candles)

    assert len(trusted.fills) > 50
    assert (checked.fills, checked.trades, checked.positions) == (trusted.fills, trusted.trades, trusted.positions)
    assert checked.journals[SYMBOL].decisions == trusted.journals[SYMBOL].decisions
