"""Incidents on their way to a person: each is told at least once, whatever dies in between."""

from collections.abc import Sequence
from contextlib import suppress

from trading.errors import Transient
from trading.events.bus import LocalBus, Outbox
from trading.events.event import Event, EventType
from trading.execution import order_events
from trading.incidents.incident import Incident, IncidentKind
from trading.ports.ledger import IncidentLog


class IncidentPublisher:
    """Publishes what the ledger says is not told yet, and has the ledger note what has left the worker."""

    def __init__(self, symbol: str, ledger: IncidentLog, bus: LocalBus, outbox: Outbox) -> None:
        self._symbol = symbol
        self._ledger = ledger
        self._bus = bus
        self._on_its_way: set[tuple[str, str]] = set()
        outbox.on_sent(self._note)

    def publish(self) -> None:
        """Publish the symbol's incidents that are not told; those that wait to leave are not published again."""
        for incident in self._ledger.unpublished(self._symbol):
            name = (incident.kind.value, incident.key)
            if name not in self._on_its_way:
                self._on_its_way.add(name)
                self._bus.publish(order_events.incident_event(incident))

    def _note(self, events: Sequence[Event]) -> None:
        published = [_incident(event) for event in events if event.type is EventType.INCIDENT_OPENED]
        self._on_its_way.difference_update((one.kind.value, one.key) for one in published)
        if published:
            with suppress(Transient):  # then they are told once more
                self._ledger.mark_published(published)


def _incident(event: Event) -> Incident:
    details = event.details
    return Incident(IncidentKind(details["kind"]), event.symbol or "", details["key"], event.reason)
