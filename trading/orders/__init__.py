"""Values of orders and fills, intents, and the matching of orders against candles."""
