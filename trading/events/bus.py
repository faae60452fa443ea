"""The local event bus: in process, synchronous, one for each symbol."""

from collections.abc import Callable, Iterable, Sequence

from trading.events.event import LOCAL_ONLY, Event, EventType
from trading.events.messages import Message

Handler = Callable[[Event | Message], None]


class LocalBus:
    """Hands each event to its subscribers, in the order in which they subscribed.

    An error in a subscriber is raised to the publisher: a subscriber of order events must not fail silently.
    """

    def __init__(self) -> None:
        self._handlers: list[tuple[frozenset[EventType], Handler]] = []

    def subscribe(self, handler: Handler, *types: EventType) -> None:
        """Call `handler` for events of these types, of all types when none is named."""
        self._handlers.append((frozenset(types), handler))

    def publish_lazily(self, make: Callable[[], Iterable[Event]]) -> None:
        """Publish the events that `make` returns; it is not called where nothing is subscribed."""
        if self._handlers:
            for event in make():
                self.publish(event)

    def publish(self, event: Event | Message) -> None:
        for types, handler in self._handlers:
            if not types or event.type in types:
                handler(event)


class Outbox:
    """Keeps the events that leave the worker until they are sent together."""

    def __init__(self, bus: LocalBus) -> None:
        self._events: list[Event] = []
        self._sent_handlers: list[Callable[[Sequence[Event]], None]] = []
        bus.subscribe(self._keep)

    def on_sent(self, handler: Callable[[Sequence[Event]], None]) -> None:
        """Call `handler` with events each time some have left the worker."""
        self._sent_handlers.append(handler)

    def _keep(self, event: Event | Message) -> None:
        if isinstance(event, Event) and event.type not in LOCAL_ONLY:
            self._events.append(event)

    def waiting(self) -> Sequence[Event]:
        """Return the events kept so far."""
        return tuple(self._events)

    def forget(self, count: int) -> None:
        """Drop the oldest `count` events, because they were sent."""
        sent = self._events[:count]
        del self._events[:count]
        for handler in self._sent_handlers if sent else ():
            handler(sent)
