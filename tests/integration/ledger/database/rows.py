"""A row that the tests of the engines write."""

FENCE = {"account": "main", "symbol": "XAUUSD", "strategy": "trend"}
