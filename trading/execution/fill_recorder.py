"""Recording of fills: reads the venue's fills page by page, books them in the ledger and publishes their events."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from trading.events.bus import LocalBus
from trading.events.event import Event
from trading.execution import order_events
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.symbol_venue import SymbolVenue
from trading.execution.terms import ExecutionTerms
from trading.incidents import descriptions
from trading.incidents.incident import Incident
from trading.orders.orders import ENDED_OTHERWISE, Fill, decided_open_ms
from trading.portfolio.positions import Position
from trading.ports.ledger import OrderLog, Positions
from trading.risk.stop_rules import is_protected, of_strategy
from trading.tolerance import is_same_units, total_units

Booked = Sequence[tuple[Fill, Position, Position]]
"""Fills that were new, each with the position before and after it."""


class FillLedger(OrderLog, Positions, Protocol):
    """The parts of the ledger that recording fills needs."""


class FillRecorder:
    """Books the fills of one symbol, and opens incidents for foreign and overfilled ones."""

    def __init__(
        self,
        terms: ExecutionTerms,
        venue: SymbolVenue,
        ledger: FillLedger,
        bus: LocalBus,
        publisher: IncidentPublisher,
    ) -> None:
        self.symbol = terms.symbol
        self._terms = terms
        self._venue = venue
        self._ledger = ledger
        self._bus = bus
        self._publisher = publisher
        self.reset()

    def reset(self) -> None:
        """Read the fills again at the next call."""
        self._newest: int | None = None

    def is_recorded(self, newest: int) -> bool:
        """Return whether `newest` was the venue's newest fill when the fills were last recorded completely."""
        return newest == self._newest

    def record(self, newest: int) -> None:
        """Record the fills up to sequence number `newest`; fills that the venue shows late are read again."""
        self._newest = newest if self._record_pages(newest) else None

    def is_complete(self) -> bool:
        """Return whether ledger and venue hold the same position, and each open position has its stop at the venue.

        Else the venue has fills or orders that it has not shown, or has lost a stop.
        """
        ours = [one for one in self._ledger.positions() if one.symbol == self.symbol]
        at_venue = self._venue.units()
        if at_venue is None:
            return False
        is_same = is_same_units(total_units(one.units for one in ours), at_venue, step=self._terms.unit_step)
        return is_same and self._are_protected([one for one in ours if one.is_open])

    def _are_protected(self, held: Sequence[Position]) -> bool:
        if all(one.stop_loss is None for one in held):
            return True
        resting = self._venue.known_open_orders()
        if resting is None:
            return False
        owners = self._ledger.order_strategies([one.client_order_id for one in resting]) if len(held) > 1 else {}
        return all(
            is_protected(one, of_strategy(one.strategy, resting, owners), step=self._terms.unit_step) for one in held
        )

    def _record_pages(self, newest: int) -> bool:
        after = self._ledger.fills_from(self.symbol)
        waits = self._venue.waits()
        while True:
            fills = self._venue.fills(after=after)
            self._record(fills)
            seen = max((fill.sequence for fill in fills), default=0)
            if seen >= newest:
                return True
            if seen > after:
                after = seen
                continue
            if next(waits, None) is None:
                return False
            after = self._ledger.fills_from(self.symbol)

    def _record(self, fills: Sequence[Fill]) -> None:
        """Record the fills of our orders, and open incidents for those that no decision explains."""
        states = self._ledger.order_states({fill.client_order_id for fill in fills}) if fills else {}
        ours = [fill for fill in fills if fill.client_order_id in states]
        foreign = [descriptions.foreign_fill(fill) for fill in fills if fill.client_order_id not in states]
        booked = self._book(ours)
        self._publisher.open([*foreign, *self._overfilled(ours)])
        if any(states[fill.client_order_id] in ENDED_OTHERWISE for fill, _, _ in booked):
            self._publisher.publish()  # the ledger opened an incident for the late fill

    def _book(self, fills: Sequence[Fill]) -> Booked:
        booked = self._ledger.record_fills(self.symbol, fills)
        self._bus.publish_lazily(lambda: self._events(booked))
        return booked

    def _overfilled(self, fills: Sequence[Fill]) -> list[Incident]:
        found = self._ledger.overfilled({fill.client_order_id for fill in fills})
        return [descriptions.overfilled(self.symbol, identity, *units) for identity, units in found.items()]

    def _events(self, booked: Booked) -> Iterator[Event]:
        for fill, before, after in booked:
            cause = self._terms.correlation_id(decided_open_ms(fill.client_order_id))
            yield from order_events.fill_events(fill, before, after, cause)


FillRecorderFactory = Callable[[ExecutionTerms, SymbolVenue, FillLedger, LocalBus, IncidentPublisher], FillRecorder]
