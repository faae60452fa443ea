"""The error of a candle file."""


class CandleFileError(ValueError):
    """A file cannot be used as candles; the message holds the reason and the action."""
