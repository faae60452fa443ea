"""Events of a source that fails or delivers invalid data."""

from trading.events.bus import LocalBus
from trading.events.event import Event, EventType, correlation_id


class DataErrors:
    """Publishes the data errors of one symbol, each once until the source delivers valid data again."""

    def __init__(self, symbol: str, timeframe: str, bus: LocalBus) -> None:
        self._symbol = symbol
        self._timeframe = timeframe
        self._bus = bus
        self.end()

    def end(self) -> None:
        """Record that the source delivered valid data: a later error is published, the same one again too."""
        self._published: tuple[str, int] | None = None

    def publish(self, reason: str, at_ms: int, **details: int) -> None:
        """Publish an error, unless it is the one published last.

        Args:
            at_ms: Open time of the candle that it concerns, milliseconds since the epoch, UTC; 0 for none.
        """
        if (reason, at_ms) == self._published:
            return
        self._published = (reason, at_ms)
        self._bus.publish(
            Event(
                type=EventType.DATA_FETCH_FAILED,
                symbol=self._symbol,
                correlation_id=correlation_id(self._symbol, self._timeframe, at_ms),
                market_ms=at_ms,
                reason=reason,
                details=dict(details),
            )
        )
