"""Orders are claimed before they are sent, and sent again only when the venue has none."""

import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.unit.trading.execution.desks import BUY, SHOWN, make_desk
from trading.execution.reconciliation import AbandonOrder, SubmitOrder
from trading.lifecycle import DesiredState
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState
from trading_orchestrator.testing.candles import SYMBOL


def test_reconcile_without_the_markets_time_sends_no_entry(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    settlement = desk.pipeline.execute

    assert not any(isinstance(action, SubmitOrder) for action in settlement.reconcile(None))
    assert any(isinstance(action, SubmitOrder) for action in desk.pipeline.reconcile())


def test_reconcile_stopped_symbol_lets_go_of_an_entry_never_sent(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.want(DesiredState.STOPPED)

    assert [type(action) for action in desk.pipeline.reconcile()] == [AbandonOrder]


def test_send_order_that_another_process_claimed_meanwhile_is_not_sent(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    [intent] = desk.ledger.unsettled(SYMBOL)
    identity = intent.request.client_order_id

    assert desk.ledger.mark(OrderUpdate(identity, OrderState.SUBMITTING, claims=intent.attempt + 1))
    assert not desk.ledger.mark(OrderUpdate(identity, OrderState.SUBMITTING, claims=intent.attempt + 1))


def test_settle_sends_again_only_after_a_wait_and_ends_with_its_patience(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit"}
    desk.advance(show=1)

    [intent] = desk.ledger.unsettled(SYMBOL)
    assert intent.state is OrderState.UNKNOWN
    assert intent.attempt <= len(desk.slept_s) + 2 < 20


def test_settle_in_a_dry_run_sends_nothing_of_what_was_decided_before(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    desk.venue.silent = set()
    desk.config = system_config(
        planned({SHOWN: BUY}, stop_distance=0.6), services={"trade_execution": {"execution_mode": "dry"}}
    )
    desk.restart()
    desk.pipeline.reconcile()

    assert desk.venue.submitted == []
    assert [one.state for one in desk.ledger.unsettled(SYMBOL)] == [OrderState.UNKNOWN]


@pytest.mark.parametrize("desired", [DesiredState.PAUSED, DesiredState.STOPPED])
def test_claim_of_an_entry_after_the_symbol_was_paused_is_rejected_by_the_ledger(
    databases: Databases, desired: DesiredState
) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.advance()
    desk.venue.silent = {"submit", "find"}
    desk.advance(show=1)
    [intent] = desk.ledger.unsettled(SYMBOL)
    desk.want(desired)

    claim = OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=intent.attempt + 1)
    assert not desk.ledger.mark(claim)


def test_positions_that_the_venue_does_not_report_keep_no_exit_from_being_sent(desk: Desk) -> None:
    desk.venue.silent = {"positions", "open_orders"}
    desk.restart()
    desk.play(SHOWN + 8)

    assert desk.ledger.positions()[0].units == 0.0
