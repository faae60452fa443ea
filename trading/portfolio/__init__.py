"""Positions, closed trades, drawdown."""
