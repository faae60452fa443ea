"""Entries that the venue sizes at their fill: what they reserve, and when they are filled."""

import pytest

from trading.orders.equity_size import EquitySize
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import OrderRequest, OrderState
from trading.ports.ledger import Ledger
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    SYMBOL,
    enter,
    fill_of,
    position_of,
    request_of,
    state_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

SIZE = EquitySize(0.3, 800.0, exit_profit=0.1 + 0.2, unit_step=0.5, min_units=1.0, max_units=7.5, max_value=240.0)


def sized() -> OrderRequest:
    """Return an entry of two units at 100 that may be worth 240."""
    return replace(request_of(), at_fill=SIZE)


class EquitySizeContract(LedgerPart):
    """An order with `at_fill` has the units that the venue fills, be they more or fewer than `units`."""

    def test_intent_keeps_the_size_that_the_venue_computes(self, ledger: Ledger) -> None:
        request = sized()
        enter(ledger, request)

        assert list(ledger.unsettled(SYMBOL)) == [Intent(request, OrderState.SUBMITTING, attempt=1)]

    def test_pending_entry_reserves_the_value_that_it_may_reach(self, ledger: Ledger) -> None:
        enter(ledger, sized(), risk=24.0)

        view = view_of(ledger)
        assert (view.open_notional, view.open_risk) == (240.0, 24.0)
        assert [book.buying for book in view.books] == [240.0]

    @pytest.mark.parametrize(("units", "reserved"), [(1.5, 180.0), (2.5, 240.0)])
    def test_entry_is_filled_once_the_venue_says_so_with_any_units(
        self, ledger: Ledger, units: float, reserved: float
    ) -> None:
        request = enter(ledger, sized(), risk=24.0).request
        ledger.record_fills(SYMBOL, [fill_of(request, units=units)])
        assert state_of(ledger, request) is OrderState.PARTIALLY_FILLED

        ledger.mark(OrderUpdate(request.client_order_id, OrderState.FILLED, "v1"))

        assert (state_of(ledger, request), list(ledger.unsettled(SYMBOL))) == (OrderState.FILLED, [])
        assert position_of(ledger).units == units
        assert ledger.overfilled([request.client_order_id]) == {}
        view = view_of(ledger)
        assert view.open_notional == pytest.approx(reserved)
        assert [(book.units, book.buying) for book in view.books] == [(units, 0.0)]

    def test_entry_that_ends_without_a_fill_reserves_nothing(self, ledger: Ledger) -> None:
        request = enter(ledger, sized()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.CANCELED, "v1", "too small"))

        view = view_of(ledger)
        assert (view.open_notional, view.open_risk, view.books) == (0.0, 0.0, ())
