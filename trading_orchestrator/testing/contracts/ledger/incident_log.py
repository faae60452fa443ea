"""Incidents: conditions that need an operator, each opened once while it is open."""

import pytest

from trading.incidents.incident import Incident, IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Leg, OrderState, Side
from trading.ports.ledger import Ledger
from trading.risk.verdict import PlannedOrder
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    ENDED_EMPTY,
    OTHER,
    STRATEGY,
    SYMBOL,
    UNKNOWN_SYMBOL,
    at,
    closed,
    enter,
    fill_of,
    opened,
    plan,
    request_of,
    state_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart, LedgerSubject

LOST = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "2 here, 3 there", {"venue_units": 3.0})
NAKED = Incident(IncidentKind.UNPROTECTED, SYMBOL, STRATEGY, "a stop is not at the venue", {"stop_loss": 90.0})
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

    def test_incident_of_a_lost_stop_is_seen_by_decisions_of_its_symbol_and_counts_the_whole_position(
        self, ledger: Ledger
    ) -> None:
        entry = opened(ledger)
        assert (view_of(ledger, SYMBOL).unprotected, view_of(ledger).open_risk) == (None, 20.0)
        ledger.open_incidents([NAKED, replace(NAKED, key="another", reason="b")])

        assert view_of(ledger, SYMBOL).unprotected == NAKED.reason
        assert not view_of(ledger, SYMBOL).permissions.entries
        assert view_of(ledger, SYMBOL).permissions.exits
        assert view_of(ledger, OTHER).unprotected is None
        assert view_of(ledger, OTHER).open_risk == pytest.approx(entry.units * 100.0)
        ledger.end_incidents([NAKED, replace(NAKED, key="another"), replace(NAKED, symbol=OTHER)], "it rests again")
        ledger.end_incidents([], "nothing")

        assert list(ledger.incidents_of(SYMBOL)) == []
        assert view_of(ledger).open_risk == 20.0
        assert list(ledger.open_incidents([NAKED])) == [NAKED]

    def test_incident_of_a_lost_stop_keeps_an_entry_that_waits_from_being_claimed(self, ledger: Ledger) -> None:
        opened(ledger)
        turn = request_of(open_ms=at(5), leg=Leg.EXIT, side=Side.SELL), request_of(open_ms=at(5), side=Side.SELL)
        _, waiting = plan(ledger, at(5), *map(PlannedOrder, turn)).intents
        ledger.open_incidents([NAKED])

        claim = OrderUpdate(waiting.request.client_order_id, OrderState.SUBMITTING, claims=1)
        assert not ledger.mark(claim)

    @pytest.mark.parametrize("state", ENDED_EMPTY)
    def test_exit_that_ends_and_leaves_its_position_open_opens_an_incident_that_ends_with_the_position(
        self, ledger: Ledger, state: OrderState
    ) -> None:
        opened(ledger)
        leaving = request_of(open_ms=at(5), leg=Leg.EXIT, side=Side.SELL)
        enter(ledger, leaving)
        ended = OrderUpdate(leaving.client_order_id, state, reason="reduce-only is not possible")
        ledger.mark(ended)
        ledger.mark(ended)

        (incident,) = ledger.incidents_of(SYMBOL)
        assert (incident.kind, incident.key) == (IncidentKind.EXIT_FAILED, STRATEGY)
        assert "reduce-only is not possible" in incident.reason
        assert incident.details["client_order_id"] == leaving.client_order_id
        assert view_of(ledger, SYMBOL).halted is None
        again = request_of(open_ms=at(6), leg=Leg.EXIT, side=Side.SELL)
        enter(ledger, again)
        ledger.record_fills(SYMBOL, [fill_of(again, 2)])
        assert list(ledger.incidents_of(SYMBOL)) == []

    def test_exit_that_fills_in_part_and_ends_opens_an_incident_of_what_is_left(self, ledger: Ledger) -> None:
        opened(ledger)
        leaving = request_of(open_ms=at(5), leg=Leg.EXIT, side=Side.SELL)
        enter(ledger, leaving)
        ledger.record_fills(SYMBOL, [fill_of(leaving, 2, units=1.5)])
        assert list(ledger.incidents_of(SYMBOL)) == []
        ledger.mark(OrderUpdate(leaving.client_order_id, OrderState.CANCELED))

        (incident,) = ledger.incidents_of(SYMBOL)
        assert (incident.kind, incident.details["units"]) == (IncidentKind.EXIT_FAILED, 0.5)

    def test_order_that_ends_without_a_position_that_it_closes_opens_no_incident(self, ledger: Ledger) -> None:
        entry = request_of()
        enter(ledger, entry)
        ledger.mark(OrderUpdate(entry.client_order_id, OrderState.REJECTED))
        leaving = request_of(open_ms=at(1), leg=Leg.EXIT, side=Side.SELL)
        enter(ledger, leaving)
        ledger.mark(OrderUpdate(leaving.client_order_id, OrderState.REJECTED))

        assert list(ledger.incidents_of(SYMBOL)) == []

    def test_opener_of_a_position_is_its_newest_entry_and_none_when_flat(self, ledger: Ledger) -> None:
        assert ledger.opener(SYMBOL, STRATEGY) is None
        entry = opened(ledger)
        assert ledger.opener(SYMBOL, STRATEGY) == entry.client_order_id
        closed(ledger)
        assert ledger.opener(SYMBOL, STRATEGY) is None

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
