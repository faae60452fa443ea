"""The latest market time that a message between the steps of a symbol may have."""

from adapters import clock
from trading.errors import Transient
from trading.events.event import Event
from trading.events.messages import Message
from trading.ports.candle_source import CandleSource

CLOCK_TOLERANCE_MS = 60_000
"""Difference of clocks that a market in real time may have."""


def real_time_limit(_after_ms: int) -> int:
    """Return the latest time that a market in real time can have."""
    return clock.now_ms() + CLOCK_TOLERANCE_MS


class PlayedLimit:
    """The latest time of a market with a clock of its own: the largest that this process has read from its source.

    A Redis that lost its newest writes lets such a clock begin again earlier, while messages of the time before are on
    their way: they are no forgery.
    """

    def __init__(self, source: CandleSource) -> None:
        self._source = source
        self._largest_ms = 0

    def record(self, fetched: Event | Message) -> None:
        """Record the market time of candles that this process has fetched."""
        if isinstance(fetched, Message):
            self._largest_ms = max(self._largest_ms, fetched.as_of_ms)

    def __call__(self, after_ms: int) -> int | None:
        """Return the limit; None, no limit, while the source does not answer."""
        try:
            as_of_ms = self._source.newest(1, after_ms=after_ms or None).as_of_ms
        except Transient:
            return None
        self._largest_ms = max(self._largest_ms, as_of_ms)
        return self._largest_ms
