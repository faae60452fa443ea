"""Rows that no decision writes: set fences, and the key of the messages."""
