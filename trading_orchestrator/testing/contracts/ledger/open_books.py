"""Promises about the open books that a decision sees: what each position and each pending entry is worth."""

from collections.abc import Mapping

import pytest

from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState, Side
from trading.ports.ledger import NO_PRICES, Ledger
from trading.risk.open_book import OpenBook
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    OTHER,
    SECOND,
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
    reversal,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

LATEST = {SYMBOL: 97.0, OTHER: 110.0}


def seen(ledger: Ledger, prices: Mapping[str, float] = LATEST) -> AccountSnapshot:
    """Return what a decision of an unknown symbol would see at these prices, without making one."""
    views: list[AccountSnapshot] = []

    def look(view: AccountSnapshot) -> RiskDecision:
        views.append(view)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.decide(UNKNOWN_SYMBOL, "probe", at(30), look, correlation_id="probe", prices=prices)
    return views[0]


class OpenBookContract(LedgerPart):
    """The books in the account snapshot that `decide` passes to the rules."""

    def test_books_of_an_empty_account_are_none_and_its_equity_is_its_balance(self, ledger: Ledger) -> None:
        view = seen(ledger, NO_PRICES)

        assert (view.books, view.equity, view.unpriced) == ((), BALANCE, ())

    @pytest.mark.parametrize("side", list(Side))
    def test_books_show_a_pending_entry_with_its_value_and_its_risk(self, ledger: Ledger, side: Side) -> None:
        enter(ledger, request_of(side=side))
        value = {"buying": 200.0} if side is Side.BUY else {"selling": 200.0}

        view = seen(ledger, NO_PRICES)

        assert view.books == (OpenBook(SYMBOL, STRATEGY, risk=20.0, **value),)
        assert view.equity == BALANCE

    def test_books_show_what_is_left_of_an_entry_beside_the_position(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(request, units=0.5)])

        assert seen(ledger).books == (OpenBook(SYMBOL, STRATEGY, 0.5, 100.0, 90.0, 97.0, 20.0, buying=150.0),)

    def test_books_value_positions_at_the_latest_price(self, ledger: Ledger) -> None:
        opened(ledger)
        opened(ledger, request_of(OTHER, side=Side.SELL), 2, risk=7.0)

        view = seen(ledger)

        assert view.books == (
            OpenBook(OTHER, STRATEGY, -2.0, 100.0, 90.0, 110.0, 7.0),
            OpenBook(SYMBOL, STRATEGY, 2.0, 100.0, 90.0, 97.0, 20.0),
        )
        assert view.equity == BALANCE - 20.0 - 6.0
        assert [book.exposure for book in view.books] == [220.0, 194.0]

    def test_books_of_two_strategies_are_apart(self, ledger: Ledger) -> None:
        opened(ledger)
        enter(ledger, request_of(strategy=SECOND, side=Side.SELL))

        books = seen(ledger).books

        assert [(book.strategy, book.units, book.selling) for book in books] == [
            (SECOND, 0.0, 200.0),
            (STRATEGY, 2.0, 0.0),
        ]

    def test_equity_is_unknown_while_the_price_of_a_position_is(self, ledger: Ledger) -> None:
        opened(ledger)
        enter(ledger, request_of(OTHER))

        view = seen(ledger, {OTHER: 110.0})

        assert (view.equity, view.unpriced) == (None, (SYMBOL,))

    def test_books_count_a_reversal_once(self, ledger: Ledger) -> None:
        opened(ledger)
        reversal(ledger, 5)

        (book,) = seen(ledger).books

        assert (book.units, book.selling, book.exposure) == (2.0, 200.0, 200.0)

    def test_books_keep_an_entry_that_filled_before_its_fills_are_recorded(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.FILLED, "v1"))

        assert [book.buying for book in seen(ledger).books] == [200.0]

    def test_books_end_with_the_position_and_with_the_order(self, ledger: Ledger) -> None:
        opened(ledger)
        closed(ledger)
        request = enter(ledger, request_of(OTHER)).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.CANCELED))

        assert seen(ledger).books == ()

    def test_books_have_no_stop_where_the_position_has_none(self, ledger: Ledger) -> None:
        bare = replace(request_of(), stop_loss=None)
        plan(ledger, at(0), PlannedOrder(bare, 200.0))
        ledger.record_fills(SYMBOL, [fill_of(bare)])

        (book,) = seen(ledger).books

        assert (book.stop_loss, book.at_risk) == (None, 200.0)
