"""Moved to `adapters.backtest.backtest`; the old path works for one release, with a warning."""

from trading.moved import moved

__getattr__ = moved(__name__, "adapters.backtest.backtest", renamed={"replay": "run_backtest"})
