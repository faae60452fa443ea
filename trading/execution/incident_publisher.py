"""Publication of incidents to the operator: at least once each, even if the process dies in between."""

from collections.abc import Sequence
from contextlib import suppress

from trading.errors import Transient
from trading.events.bus import LocalBus, Outbox
from trading.events.event import Event, EventType
from trading.execution import order_events
from trading.incidents.incident import Incident, IncidentKind
from trading.ports.ledger import IncidentLog


class IncidentPublisher:
    """Opens incidents, publishes those that the ledger holds as unpublished, and marks those that left the worker."""

    def __init__(self, symbol: str, ledger: IncidentLog, bus: LocalBus, outbox: Outbox) -> None:
        self._symbol = symbol
        self._ledger = ledger
        self._bus = bus
        self._in_outbox: set[tuple[str, str]] = set()
        outbox.on_sent(self._mark_published)

    def open(self, incidents: Sequence[Incident]) -> Sequence[Incident]:
        """Open incidents in the ledger, publish those that were not open already, and return these."""
        new = self._ledger.open_incidents(incidents) if incidents else ()
        if new:
            self.publish()
        return new

    def publish(self) -> None:
        """Publish the symbol's unpublished incidents; those that wait in the outbox are not published again."""
        for incident in self._ledger.unpublished(self._symbol):
            name = (incident.kind.value, incident.key)
            if name not in self._in_outbox:
                self._in_outbox.add(name)
                self._bus.publish(order_events.incident_event(incident))

    def _mark_published(self, events: Sequence[Event]) -> None:
        published = [_incident(event) for event in events if event.type is EventType.INCIDENT_OPENED]
        self._in_outbox.difference_update((one.kind.value, one.key) for one in published)
        if published:
            with suppress(Transient):  # they are published once more
                self._ledger.mark_published(published)


def _incident(event: Event) -> Incident:
    details = event.details
    return Incident(IncidentKind(details["kind"]), event.symbol or "", details["key"], event.reason)
