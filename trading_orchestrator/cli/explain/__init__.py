"""The command that explains the decision on a candle."""
