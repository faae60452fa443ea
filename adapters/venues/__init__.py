"""Venues: paper trading in SQL and in memory."""
