"""Backtests on recorded candles, and the replay of a recorded journal."""
