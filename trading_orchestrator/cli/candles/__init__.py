"""Commands for candle files."""
