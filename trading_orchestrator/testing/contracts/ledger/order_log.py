"""Orders: claims of the attempts to send them, and the states that they go through."""

import pytest

from trading.errors import Broken
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Leg, OrderRequest, OrderState, Side, next_order_state, protective_order_id
from trading.ports.ledger import Ledger
from trading_orchestrator.testing.contracts.ledger.examples import (
    ENDED_EMPTY,
    FINAL,
    OTHER,
    SECOND,
    STRATEGY,
    SYMBOL,
    T0_MS,
    at,
    claim,
    decide,
    enter,
    fill_of,
    opened,
    protective_fill,
    request_of,
    reversal,
    state_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

HALT = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "2 here, 3 there")
LATCH = Incident(IncidentKind.MAX_DRAWDOWN, OTHER, "account", "the account fell 3 %")


class ClaimContract(LedgerPart):
    """The promises of `mark` for a mark that claims an order before it is sent."""

    def test_mark_claim_by_number_is_given_once_and_writes_nothing_else_when_it_is_not(self, ledger: Ledger) -> None:
        leave, turn = reversal(ledger)
        accepted = OrderUpdate(leave.request.client_order_id, OrderState.ACCEPTED, "v1")

        assert ledger.mark(accepted, claim(turn, 1))
        assert not ledger.mark(OrderUpdate(leave.request.client_order_id, OrderState.CANCELED), claim(turn, 1))
        assert [one.state for one in ledger.unsettled(SYMBOL)] == [OrderState.ACCEPTED, OrderState.SUBMITTING]
        assert ledger.mark(claim(turn, 2))
        assert [one.attempt for one in ledger.unsettled(SYMBOL)] == [1, 2]

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_mark_claim_of_another_attempt_than_the_next_one_is_refused(self, ledger: Ledger, number: int) -> None:
        intent = enter(ledger, request_of())

        assert not ledger.mark(claim(intent, number))
        assert list(ledger.unsettled(SYMBOL)) == [intent]

    @pytest.mark.parametrize("state", [OrderState.ACCEPTED, *FINAL])
    def test_mark_claim_of_an_order_that_the_venue_has_taken_or_that_ended_is_refused(
        self, ledger: Ledger, state: OrderState
    ) -> None:
        intent = enter(ledger, request_of())
        ledger.mark(OrderUpdate(intent.request.client_order_id, state))

        assert not ledger.mark(claim(intent, 2))
        assert state_of(ledger, intent.request) is state

    def test_mark_claim_of_an_unknown_order_begins_the_next_attempt(self, ledger: Ledger) -> None:
        intent = enter(ledger, request_of())
        ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.UNKNOWN))

        assert ledger.mark(claim(intent, 2))
        assert list(ledger.unsettled(SYMBOL)) == [Intent(intent.request, OrderState.SUBMITTING, attempt=2)]

    @pytest.mark.parametrize(
        ("state", "may_enter", "may_exit"),
        [
            (DesiredState.RUNNING, True, True),
            (DesiredState.PAUSED, False, True),
            (DesiredState.STOPPED, False, False),
        ],
    )
    def test_mark_claim_follows_the_desired_state_of_the_symbol(
        self, ledger: Ledger, state: DesiredState, *, may_enter: bool, may_exit: bool
    ) -> None:
        entry = enter(ledger, request_of(strategy=SECOND))
        leave = enter(ledger, request_of(leg=Leg.EXIT, side=Side.SELL))
        ledger.set_desired(SYMBOL, state, reason="test")

        assert (ledger.mark(claim(entry, 2)), ledger.mark(claim(leave, 2))) == (may_enter, may_exit)
        ledger.set_desired(SYMBOL, DesiredState.RUNNING, reason="test")
        assert (ledger.mark(claim(entry, 2)), ledger.mark(claim(leave, 2))) == (not may_enter, not may_exit)

    def test_mark_claim_of_a_halted_symbol_is_refused_for_entry_and_exit(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of(strategy=SECOND))
        leave = enter(ledger, request_of(leg=Leg.EXIT, side=Side.SELL))
        other = enter(ledger, request_of(OTHER))
        ledger.open_incidents([HALT])

        assert [ledger.mark(claim(one, 2)) for one in (entry, leave, other)] == [False, False, True]

    def test_mark_claim_under_a_drawdown_latch_is_refused_for_entries_of_all_symbols(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of(strategy=SECOND))
        leave = enter(ledger, request_of(leg=Leg.EXIT, side=Side.SELL))
        ledger.open_incidents([LATCH])

        assert [ledger.mark(claim(one, 2)) for one in (entry, leave)] == [False, True]

    def test_mark_without_a_claim_is_recorded_whatever_is_desired(self, ledger: Ledger) -> None:
        intent = enter(ledger, request_of())
        ledger.set_desired(SYMBOL, DesiredState.STOPPED, reason="test")
        ledger.open_incidents([HALT])

        assert ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.ACCEPTED, "v1"))
        assert state_of(ledger, intent.request) is OrderState.ACCEPTED


class OrderStateContract(LedgerPart):
    """The promises of `mark` for the venue's state of an order."""

    @pytest.mark.parametrize("before", list(OrderState))
    def test_mark_goes_the_legal_ways_only_and_an_illegal_one_changes_nothing(
        self, ledger: Ledger, before: OrderState
    ) -> None:
        for minute, after in enumerate(OrderState):
            request = self._order_in(ledger, before, minute)
            kept = (list(ledger.unsettled(SYMBOL)), view_of(ledger, SYMBOL))
            expected = _state_after(before, after)
            if expected is None:
                with pytest.raises(Broken, match=f"from {before} to {after}"):
                    ledger.mark(OrderUpdate(request.client_order_id, after, "v9"))
                assert (list(ledger.unsettled(SYMBOL)), view_of(ledger, SYMBOL)) == kept
            else:
                ledger.mark(OrderUpdate(request.client_order_id, after))
                assert state_of(ledger, request) is expected

    @staticmethod
    def _order_in(ledger: Ledger, state: OrderState, minute: int) -> OrderRequest:
        """Bring an order of that minute into a state, and return it."""
        sent, waiting = (intent.request for intent in reversal(ledger, minute))
        if state is OrderState.PLANNED:
            return waiting
        if state is OrderState.PARTIALLY_FILLED:
            ledger.record_fills(SYMBOL, [fill_of(sent, minute + 1, units=0.5)])
        elif state is not OrderState.SUBMITTING:
            ledger.mark(OrderUpdate(sent.client_order_id, state))
        return sent

    def test_mark_illegal_undoes_what_came_with_it(self, ledger: Ledger) -> None:
        leave, turn = reversal(ledger)

        with pytest.raises(Broken, match="from planned to accepted"):
            ledger.mark(
                OrderUpdate(leave.request.client_order_id, OrderState.UNKNOWN),
                OrderUpdate(turn.request.client_order_id, OrderState.ACCEPTED),
            )

        assert list(ledger.unsettled(SYMBOL)) == [leave, turn]

    def test_mark_of_one_order_twice_in_a_call_is_recorded_in_order(self, ledger: Ledger) -> None:
        _, turn = reversal(ledger)
        identity = turn.request.client_order_id

        assert ledger.mark(claim(turn, 1), OrderUpdate(identity, OrderState.ACCEPTED, "v1"))

        assert ledger.unsettled(SYMBOL)[1] == Intent(turn.request, OrderState.ACCEPTED, "v1", attempt=1)

    @pytest.mark.parametrize("end", ENDED_EMPTY)
    def test_mark_ended_without_fill_releases_reservation(self, ledger: Ledger, end: OrderState) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.UNKNOWN))
        assert view_of(ledger).open_risk == 20.0

        ledger.mark(OrderUpdate(request.client_order_id, end))

        view = view_of(ledger)
        assert (view.open_positions, view.open_risk, view.open_notional) == (0, 0.0, 0.0)
        assert not ledger.has_exposure(SYMBOL)
        assert ledger.owners(SYMBOL) == frozenset()

    @pytest.mark.parametrize("end", FINAL)
    def test_mark_after_final_state_changes_nothing(self, ledger: Ledger, end: OrderState) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, end, "v1"))
        before = view_of(ledger, SYMBOL)

        for state in OrderState:
            ledger.mark(OrderUpdate(request.client_order_id, state, "v2"))

        assert state_of(ledger, request) is end
        assert view_of(ledger, SYMBOL) == before

    @pytest.mark.parametrize("end", FINAL)
    def test_mark_accepted_of_an_order_that_was_given_up_is_refused(self, ledger: Ledger, end: OrderState) -> None:
        intent = enter(ledger, request_of())
        ledger.mark(OrderUpdate(intent.request.client_order_id, end))

        is_recorded = ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.ACCEPTED, "v1"))

        assert is_recorded is (end is OrderState.FILLED)

    def test_mark_accepted_after_first_fill_stays_partially_filled(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(request, units=0.5)])
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.ACCEPTED, "v1"))

        assert list(ledger.unsettled(SYMBOL)) == [
            Intent(request, OrderState.PARTIALLY_FILLED, "v1", attempt=1, filled_units=0.5)
        ]

    def test_mark_order_without_intent_is_broken_and_undoes_what_came_with_it(self, ledger: Ledger) -> None:
        intent = enter(ledger, request_of())

        with pytest.raises(Broken, match="never planned"):
            ledger.mark(
                OrderUpdate(intent.request.client_order_id, OrderState.UNKNOWN),
                OrderUpdate("nobody-knows", OrderState.ACCEPTED),
            )

        assert list(ledger.unsettled(SYMBOL)) == [intent]

    def test_mark_of_nothing_is_recorded(self, ledger: Ledger) -> None:
        assert ledger.mark()

    def test_mark_canceled_after_part_filled_keeps_the_risk_of_that_part(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(request, units=0.5)])
        assert view_of(ledger).open_risk == 20.0

        ledger.mark(OrderUpdate(request.client_order_id, OrderState.CANCELED))
        assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (1, 5.0)
        ledger.record_fills(SYMBOL, [protective_fill(request, units=0.5)])
        assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (0, 0.0)


class OrderReadContract(LedgerPart):
    """The promises of `unsettled`, `order_states`, `order_strategies` and `overfilled`."""

    def test_unsettled_orders_come_oldest_first_until_final(self, ledger: Ledger) -> None:
        first, second, third = (enter(ledger, request_of(open_ms=at(minute))).request for minute in range(3))
        ledger.mark(OrderUpdate(second.client_order_id, OrderState.REJECTED))
        ledger.mark(OrderUpdate(third.client_order_id, OrderState.UNKNOWN))
        ledger.mark(OrderUpdate(first.client_order_id, OrderState.UNKNOWN))

        assert list(ledger.unsettled(SYMBOL)) == [
            Intent(first, OrderState.UNKNOWN, attempt=1),
            Intent(third, OrderState.UNKNOWN, attempt=1),
        ]

    def test_unsettled_order_says_how_long_ago_it_was_claimed(self, ledger: Ledger) -> None:
        leave, turn = reversal(ledger)

        claimed, waiting = ledger.unsettled(SYMBOL)
        assert (claimed, waiting) == (leave, turn)
        assert 0.0 <= claimed.claimed_ago_s < 60.0
        assert waiting.claimed_ago_s == 0.0

    def test_unsettled_list_is_not_changed_by_a_later_mark(self, ledger: Ledger) -> None:
        intent = enter(ledger, request_of())
        before = ledger.unsettled(SYMBOL)
        ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.ACCEPTED, "v1"))

        assert list(before) == [intent]

    def test_order_states_knows_ours_and_their_protective_orders_and_nobody_elses(self, ledger: Ledger) -> None:
        mine = enter(ledger, request_of()).request.client_order_id
        stop, target = (protective_order_id(mine, leg) for leg in (Leg.STOP_LOSS, Leg.TAKE_PROFIT))
        ids = [mine, stop, target, "by-hand"]

        assert ledger.order_states(ids) == dict.fromkeys([mine, stop, target], OrderState.SUBMITTING)
        assert ledger.order_strategies(ids) == dict.fromkeys([mine, stop, target], STRATEGY)
        assert (ledger.order_states([]), ledger.order_strategies([])) == ({}, {})

    def test_order_strategies_are_those_that_decided_the_orders(self, ledger: Ledger) -> None:
        requests = [request_of(), request_of(strategy=SECOND), request_of(OTHER, strategy=SECOND)]
        for request in requests:
            enter(ledger, request)

        ids = [one.client_order_id for one in requests]
        assert list(ledger.order_strategies(ids).items()) == list(zip(ids, (STRATEGY, SECOND, SECOND), strict=True))

    def test_overfilled_orders_are_those_with_more_filled_than_ordered(self, ledger: Ledger) -> None:
        whole, over = opened(ledger), request_of(strategy=SECOND)
        enter(ledger, over)
        ledger.record_fills(SYMBOL, [fill_of(over, 2), fill_of(over, 3, units=0.5)])
        ids = [whole.client_order_id, over.client_order_id, "by-hand"]

        assert ledger.overfilled(ids) == {over.client_order_id: (2.0, 2.5)}
        assert ledger.overfilled([]) == {}

    def test_overfilled_order_by_the_rounding_of_a_sum_is_not_named(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of(units=0.3)).request
        ledger.record_fills(SYMBOL, [fill_of(request, sequence, units=0.1) for sequence in (1, 2, 3)])

        assert ledger.overfilled([request.client_order_id]) == {}
        assert state_of(ledger, request) is OrderState.FILLED

    def test_decide_on_an_order_that_is_unsettled_leaves_it_so(self, ledger: Ledger) -> None:
        intent = enter(ledger, request_of())
        decide(ledger, T0_MS + 60_000)

        assert list(ledger.unsettled(SYMBOL)) == [intent]


def _state_after(before: OrderState, after: OrderState) -> OrderState | None:
    """Return the state of an order in state `before` after an update to `after`; None if that is illegal."""
    if before.is_final:
        return before
    if before is OrderState.PARTIALLY_FILLED and after in (OrderState.SUBMITTING, OrderState.ACCEPTED):
        return before  # the update does not include the fill yet
    try:
        return next_order_state(before, after)
    except Broken:
        return None
