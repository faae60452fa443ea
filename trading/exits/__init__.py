"""Trailing stops, break-even stops, and the exit hook of a strategy."""
