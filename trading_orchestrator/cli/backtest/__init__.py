"""Commands for backtests and strategy checks."""
