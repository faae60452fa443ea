"""Incidents: conditions that need an operator, each opened once while it is open."""

from trading.incidents.incident import Incident, IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState
from trading.ports.ledger import Ledger
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    OTHER,
    STRATEGY,
    SYMBOL,
    UNKNOWN_SYMBOL,
    closed,
    enter,
    fill_of,
    opened,
    request_of,
    state_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart, LedgerSubject

LOST = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "2 here, 3 there", {"venue_units": 3.0})
CLOSE_REFUSED = Incident(IncidentKind.CLOSE_REFUSED, SYMBOL, STRATEGY, "halted when it was to close", {"units": 2.0})


class IncidentLogContract(LedgerPart):
    """The promises of `open_incidents` and `incidents_of`."""

    def test_open_incidents_alike_are_opened_once(self, ledger: Ledger) -> None:
        assert list(ledger.open_incidents([LOST, LOST])) == [LOST]
        assert list(ledger.open_incidents([LOST, replace(LOST, reason="other numbers")])) == []
        assert list(ledger.open_incidents([])) == []
        assert list(ledger.incidents_of(SYMBOL)) == [LOST]

    def test_open_incidents_differ_by_symbol_kind_and_key(self, ledger: Ledger) -> None:
        others = [replace(LOST, key="other"), replace(LOST, kind=IncidentKind.UNPROTECTED), replace(LOST, symbol=OTHER)]

        assert list(ledger.open_incidents([LOST, *others])) == [LOST, *others]
        assert list(ledger.incidents_of(SYMBOL)) == [LOST, *others[:2]]
        assert list(ledger.incidents_of(OTHER)) == others[2:]
        assert list(ledger.incidents_of(UNKNOWN_SYMBOL)) == []

    def test_incidents_of_a_symbol_are_not_changed_by_a_later_one(self, ledger: Ledger) -> None:
        ledger.open_incidents([LOST])
        before = ledger.incidents_of(SYMBOL)
        ledger.open_incidents([replace(LOST, key="later")])

        assert list(before) == [LOST]

    def test_incident_that_halts_is_seen_by_decisions_of_its_symbol_alone(self, ledger: Ledger) -> None:
        ledger.open_incidents([replace(LOST, reason="b"), replace(LOST, key="other", reason="a")])

        assert view_of(ledger, SYMBOL).halted == "a"
        assert view_of(ledger, OTHER).halted is None

    def test_incident_that_does_not_halt_is_not_seen_by_decisions(self, ledger: Ledger) -> None:
        ledger.open_incidents([replace(LOST, kind=IncidentKind.UNPROTECTED)])

        assert view_of(ledger, SYMBOL).halted is None

    def test_incident_of_a_refused_close_ends_with_the_position(self, ledger: Ledger) -> None:
        opened(ledger)
        ledger.open_incidents([CLOSE_REFUSED, replace(CLOSE_REFUSED, key="other")])
        closed(ledger)

        assert list(ledger.incidents_of(SYMBOL)) == [replace(CLOSE_REFUSED, key="other")]
        opened(ledger, request_of(open_ms=request_of().decided_ms + 600_000), 3)
        assert list(ledger.open_incidents([CLOSE_REFUSED])) == [CLOSE_REFUSED]


class IncidentHistoryContract(LedgerPart):
    """The promises for incidents that an operator resolves, of a ledger that keeps them."""

    def test_incident_halts_its_symbol_until_it_is_resolved(self, ledger: Ledger, subject: LedgerSubject) -> None:
        ledger.open_incidents([LOST])
        assert view_of(ledger, SYMBOL).halted == LOST.reason

        subject.resolve(LOST)

        assert view_of(ledger, SYMBOL).halted is None
        assert list(ledger.incidents_of(SYMBOL)) == []

    def test_incident_that_was_resolved_is_opened_again(self, ledger: Ledger, subject: LedgerSubject) -> None:
        ledger.open_incidents([LOST])
        subject.resolve(LOST)

        assert list(ledger.open_incidents([LOST])) == [LOST]

    def test_incident_of_one_fill_is_opened_once_for_ever(self, ledger: Ledger, subject: LedgerSubject) -> None:
        foreign = Incident(IncidentKind.FOREIGN_FILL, SYMBOL, "fill-9", "by hand")
        assert list(ledger.open_incidents([foreign])) == [foreign]
        subject.resolve(foreign)

        assert list(ledger.open_incidents([foreign])) == []

    def test_incident_of_a_lost_order_that_is_resolved_ends_the_order(
        self, ledger: Ledger, subject: LedgerSubject
    ) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.ACCEPTED, "v1"))
        lost = Incident(IncidentKind.ORDER_LOST, SYMBOL, request.client_order_id, "gone")
        ledger.open_incidents([lost])
        subject.resolve(lost)

        assert list(ledger.unsettled(SYMBOL)) == []
        assert state_of(ledger, request) is OrderState.EXPIRED
        assert view_of(ledger).open_positions == 0


class IncidentPublishingContract(LedgerPart):
    """The promises of `unpublished` and `mark_published`, of a ledger whose incidents are published."""

    def test_unpublished_incidents_are_those_that_are_open_and_not_marked(
        self, ledger: Ledger, subject: LedgerSubject
    ) -> None:
        others = [replace(LOST, key="other"), replace(LOST, symbol=OTHER), replace(LOST, key="resolved")]
        ledger.open_incidents([LOST, *others])
        subject.resolve(others[2])
        ledger.mark_published([])
        assert list(ledger.unpublished(SYMBOL)) == [LOST, others[0]]

        ledger.mark_published([LOST])
        ledger.mark_published([LOST])

        assert list(ledger.unpublished(SYMBOL)) == [others[0]]
        assert list(ledger.unpublished(OTHER)) == [others[1]]
        assert list(ledger.incidents_of(SYMBOL)) == [LOST, others[0]]

    def test_incident_that_is_opened_again_is_published_again(self, ledger: Ledger, subject: LedgerSubject) -> None:
        ledger.open_incidents([LOST])
        ledger.mark_published([LOST])
        subject.resolve(LOST)
        ledger.open_incidents([LOST])

        assert list(ledger.unpublished(SYMBOL)) == [LOST]

    def test_incident_of_a_late_fill_is_to_be_published(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.EXPIRED))
        ledger.record_fills(SYMBOL, [fill_of(request)])

        assert [one.kind for one in ledger.unpublished(SYMBOL)] == [IncidentKind.LATE_FILL]


class IncidentPublishingAbsentContract(LedgerPart):
    """No event leaves a backtest: incidents are opened, and there is never one to publish."""

    def test_unpublished_incidents_are_none(self, ledger: Ledger) -> None:
        ledger.open_incidents([LOST])
        ledger.mark_published([LOST])

        assert list(ledger.unpublished(SYMBOL)) == []
        assert list(ledger.incidents_of(SYMBOL)) == [LOST]
