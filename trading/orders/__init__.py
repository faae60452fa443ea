"""Orders, fills, intents, and the matching of orders against candles."""
