"""Fills: recorded once, and what they do to orders, positions and reservations."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading.errors import Broken
from trading.incidents.incident import IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderState, Side
from trading.portfolio.positions import Position
from trading.ports.ledger import Ledger
from trading.risk.verdict import PlannedOrder
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    DAY_MS,
    OTHER,
    SECOND,
    STRATEGY,
    SYMBOL,
    T0_MS,
    at,
    claim,
    enter,
    fill_of,
    opened,
    plan,
    position_of,
    protective_fill,
    request_of,
    state_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart, LedgerSubject

_DEALS = st.lists(
    st.tuples(
        st.sampled_from([STRATEGY, SECOND]),
        st.sampled_from(Leg),
        st.sampled_from(Side),
        st.integers(1, 50),
        st.integers(5_000, 15_000),
        st.integers(0, 100),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)


class FillContract(LedgerPart):
    """The promises of `record_fills` and `fills_from`, for fills that come in the order of their sequence."""

    def test_record_fills_entry_opens_protected_position(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fill = fill_of(request, fee=0.25)

        booked = ledger.record_fills(SYMBOL, [fill])

        held = Position(SYMBOL, STRATEGY, 2.0, 100.0, fill.market_ms, -0.25, 90.0, 120.0)
        assert list(booked) == [(fill, Position(SYMBOL, STRATEGY), held)]
        assert list(ledger.positions()) == [held]
        assert view_of(ledger, SYMBOL, strategy=STRATEGY, open_ms=at(1)).position == held
        assert list(ledger.unsettled(SYMBOL)) == []

    def test_record_fills_twice_changes_nothing(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fills = [fill_of(request, fee=1.0), protective_fill(request, units=0.5)]
        assert len(ledger.record_fills(SYMBOL, fills)) == 2
        before = (list(ledger.positions()), view_of(ledger), state_of(ledger, request))

        assert list(ledger.record_fills(SYMBOL, fills)) == []
        assert list(ledger.record_fills(SYMBOL, [fills[1], fills[1]])) == []
        assert (list(ledger.positions()), view_of(ledger), state_of(ledger, request)) == before

    def test_record_fills_twice_in_one_call_are_booked_once(self, ledger: Ledger) -> None:
        fill = fill_of(enter(ledger, request_of()).request)

        assert len(ledger.record_fills(SYMBOL, [fill, fill])) == 1
        assert position_of(ledger).units == 2.0

    def test_record_fills_in_one_call_are_booked_by_sequence(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fills = [protective_fill(request, 3), fill_of(request, 2, units=1.5), fill_of(request, 1, units=0.5)]

        booked = ledger.record_fills(SYMBOL, fills)

        assert [(fill.sequence, after.units) for fill, _, after in booked] == [(1, 0.5), (2, 2.0), (3, 0.0)]

    def test_record_fills_of_nothing_is_nothing(self, ledger: Ledger) -> None:
        assert list(ledger.record_fills(SYMBOL, [])) == []
        assert list(ledger.positions()) == []

    def test_record_fills_in_parts_fills_order_with_the_last(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of(units=0.3)).request
        states = []
        for sequence in (1, 2, 3):
            ledger.record_fills(SYMBOL, [fill_of(request, sequence, units=0.1, price=100.0 + sequence)])
            states.append(state_of(ledger, request))

        assert states == [OrderState.PARTIALLY_FILLED, OrderState.PARTIALLY_FILLED, OrderState.FILLED]
        position = position_of(ledger)
        assert position.units == pytest.approx(0.3)
        assert position.average_price == pytest.approx(102.0)

    @pytest.mark.parametrize(
        ("leg", "price", "realised"), [(Leg.STOP_LOSS, 90.0, -20.0), (Leg.TAKE_PROFIT, 120.0, 40.0)]
    )
    def test_record_fills_of_a_protective_order_closes_the_position_and_frees_its_place(
        self, ledger: Ledger, leg: Leg, price: float, realised: float
    ) -> None:
        request = opened(ledger)
        assert ledger.has_exposure(SYMBOL)

        ((_, _, after),) = ledger.record_fills(SYMBOL, [protective_fill(request, leg=leg, price=price)])

        assert after == Position(SYMBOL, STRATEGY, realised=realised)
        view = view_of(ledger)
        assert (view.open_positions, view.open_risk, view.open_notional) == (0, 0.0, 0.0)
        assert not ledger.has_exposure(SYMBOL)
        assert view.balance == BALANCE + realised

    def test_record_fills_of_exit_and_entry_of_a_reversal_move_the_reservation_to_the_new_side(
        self, ledger: Ledger
    ) -> None:
        opened(ledger)
        leave = request_of(open_ms=at(5), leg=Leg.EXIT, side=Side.SELL)
        turn = request_of(open_ms=at(5), side=Side.SELL, units=1.0)
        _, waiting = plan(ledger, at(5), PlannedOrder(leave), PlannedOrder(turn, 7.0)).intents
        planned = view_of(ledger)
        assert (planned.open_positions, planned.open_risk) == (1, 27.0)
        assert ledger.mark(OrderUpdate(leave.client_order_id, OrderState.FILLED), claim(waiting, 1))
        ledger.mark(OrderUpdate(turn.client_order_id, OrderState.FILLED))

        booked = ledger.record_fills(SYMBOL, [fill_of(leave, 2, price=110.0), fill_of(turn, 3, price=110.0)])

        assert [after.units for _, _, after in booked] == [0.0, -1.0]
        assert [after.stop_loss for _, _, after in booked] == [None, 90.0]
        turned = view_of(ledger)
        assert (turned.open_positions, turned.open_risk, turned.balance) == (1, 7.0, BALANCE + 20.0)

    def test_record_fills_single_order_through_flat_releases_old_side(self, ledger: Ledger) -> None:
        opened(ledger)
        turn = enter(ledger, request_of(open_ms=at(1), side=Side.SELL, units=3.0), risk=7.0).request
        ledger.record_fills(SYMBOL, [fill_of(turn, 2)])

        view = view_of(ledger)
        assert (view.open_positions, view.open_risk) == (1, 7.0)

    def test_record_fills_after_the_order_was_given_up_reserves_again_and_opens_an_incident(
        self, ledger: Ledger
    ) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.CANCELED))
        fill = fill_of(request, units=1.0)

        ledger.record_fills(SYMBOL, [fill])
        ledger.record_fills(SYMBOL, [fill])

        assert (view_of(ledger).open_positions, view_of(ledger).open_risk) == (1, 10.0)
        assert state_of(ledger, request) is OrderState.CANCELED
        (late,) = ledger.incidents_of(SYMBOL)
        assert (late.kind, late.key) == (IncidentKind.LATE_FILL, "fill-1")
        assert "had ended as canceled" in late.reason

    def test_record_fills_of_an_order_that_was_given_up_and_of_its_stop_opens_no_incident_for_the_stop(
        self, ledger: Ledger
    ) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.CANCELED))
        ledger.record_fills(SYMBOL, [fill_of(request, 1, units=0.5), fill_of(request, 2, units=1.5)])
        ledger.record_fills(SYMBOL, [protective_fill(request, 3)])

        assert [one.key for one in ledger.incidents_of(SYMBOL)] == ["fill-1", "fill-2"]

    def test_record_fills_of_another_symbol_is_broken_and_books_nothing(self, ledger: Ledger) -> None:
        mine, other = (enter(ledger, request_of(symbol)).request for symbol in (SYMBOL, OTHER))

        with pytest.raises(Broken, match=f"is of {OTHER}"):
            ledger.record_fills(SYMBOL, [fill_of(mine), fill_of(other, 2)])

        assert list(ledger.positions()) == []
        assert len(ledger.record_fills(SYMBOL, [fill_of(mine)])) == 1

    def test_record_fills_of_an_order_that_we_never_decided_on_changes_the_position(self, ledger: Ledger) -> None:
        foreign = replace(fill_of(request_of()), client_order_id="by-hand")
        ledger.record_fills(SYMBOL, [foreign])

        assert position_of(ledger) == Position(SYMBOL, STRATEGY, 2.0, 100.0, foreign.market_ms)
        assert ledger.order_states(["by-hand"]) == {}
        assert ledger.owners(SYMBOL) == frozenset()

    @pytest.mark.parametrize(("price", "open_risk"), [(100.0, 20.0), (108.0, 36.0), (95.0, 20.0)])
    def test_record_fills_worse_than_decided_reserve_what_the_stop_will_really_cost(
        self, ledger: Ledger, price: float, open_risk: float
    ) -> None:
        request = enter(ledger, request_of(), risk=20.0).request
        ledger.record_fills(SYMBOL, [fill_of(request, price=price)])

        assert view_of(ledger).open_risk == pytest.approx(open_risk)

    def test_fills_from_the_place_named_shown_again_change_nothing(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fills = [fill_of(request, sequence, units=0.01) for sequence in range(1, 31)]
        assert ledger.fills_from(SYMBOL) == 0
        ledger.record_fills(SYMBOL, fills)

        after = ledger.fills_from(SYMBOL)
        assert 0 < after <= 30
        assert ledger.fills_from(OTHER) == 0
        assert list(ledger.record_fills(SYMBOL, [fill for fill in fills if fill.sequence > after])) == []

    @pytest.mark.parametrize(
        "parts",
        [
            [153_779.8, 4_394_967.3, 2_812_162.1, 3_220_769.1, 1_418_321.7],
            [0.1, 0.2],
            [1e-8],
        ],
    )
    def test_record_fills_in_parts_that_are_closed_by_their_decimal_sum_leave_nothing(
        self, ledger: Ledger, parts: list[float]
    ) -> None:
        units = float(sum(map(Decimal, map(str, parts))))
        entry = enter(ledger, request_of(units=units)).request
        ledger.record_fills(SYMBOL, [fill_of(entry, at, units=part) for at, part in enumerate(parts, 1)])
        assert position_of(ledger, SYMBOL, STRATEGY).units == units
        assert state_of(ledger, entry) is OrderState.FILLED
        leaving = enter(ledger, request_of(open_ms=T0_MS + 600_000, leg=Leg.EXIT, side=Side.SELL, units=units)).request
        ledger.record_fills(SYMBOL, [fill_of(leaving, at, units=part) for at, part in enumerate(reversed(parts), 10)])

        assert not position_of(ledger, SYMBOL, STRATEGY).is_open
        assert state_of(ledger, leaving) is OrderState.FILLED
        assert view_of(ledger).open_positions == 0
        assert not ledger.has_exposure(SYMBOL)
        assert ledger.overfilled([entry.client_order_id, leaving.client_order_id]) == {}

    @given(deals=_DEALS, cut=st.integers(0, 12))
    @settings(
        max_examples=30,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    def test_record_fills_any_history_conserves_cash_and_position(
        self,
        make_subject: Callable[[], LedgerSubject],
        deals: list[tuple[str, Leg, Side, int, int, int, int]],
        cut: int,
    ) -> None:
        ledger = make_subject().ledger
        fills = [
            Fill(
                n,
                f"f{n}",
                f"o{n}",
                SYMBOL,
                strategy,
                leg,
                side,
                units / 10,
                price / 100,
                fee / 100,
                T0_MS + day * DAY_MS,
            )
            for n, (strategy, leg, side, units, price, fee, day) in enumerate(deals, 1)
        ]
        booked = [*ledger.record_fills(SYMBOL, fills[:cut]), *ledger.record_fills(SYMBOL, fills)]

        for strategy in {fill.strategy for fill in fills}:
            own = [fill for fill in fills if fill.strategy == strategy]
            cash = -sum(fill.side.sign * fill.units * fill.price + fill.fee for fill in own)
            position = position_of(ledger, SYMBOL, strategy)
            assert position.units == pytest.approx(sum(fill.side.sign * fill.units for fill in own), abs=1e-6)
            assert cash == pytest.approx(position.realised - position.units * position.average_price, abs=1e-6)
        realised = sum(position.realised for position in ledger.positions())
        days = sum(view_of(ledger, open_ms=T0_MS + day * DAY_MS).day_realised for day in range(4))
        assert realised == pytest.approx(days, abs=1e-6)
        assert view_of(ledger).balance == pytest.approx(BALANCE + realised, abs=1e-6)
        assert realised == pytest.approx(sum(after.realised - before.realised for _, before, after in booked), abs=1e-6)


class LateFillContract(LedgerPart):
    """The promises for fills that a venue shows later than those that followed them."""

    def test_record_fills_before_a_recorded_one_returns_the_positions_of_the_true_order(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        parts = [fill_of(request, 1, units=0.5, fee=0.1), fill_of(request, 2, units=1.5, price=101.0, fee=0.1)]
        stops = [protective_fill(request, 3, units=1.25), protective_fill(request, 4, units=0.75)]
        ledger.record_fills(SYMBOL, stops)
        booked = ledger.record_fills(SYMBOL, parts)

        assert [(fill.sequence, before.units, after.units) for fill, before, after in booked] == [
            (1, 0.0, 0.5),
            (2, 0.5, 2.0),
        ]
        assert position_of(ledger).units == 0.0
        assert position_of(ledger).realised == pytest.approx(-0.5 * 10 - 1.5 * 11 - 0.2)
        assert not ledger.has_exposure(SYMBOL)

    def test_fills_from_lies_some_fills_before_the_newest(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fills = [fill_of(request, number, units=0.01) for number in range(1, 31)]
        ledger.record_fills(SYMBOL, fills[:10])
        assert ledger.fills_from(SYMBOL) == 0
        ledger.record_fills(SYMBOL, fills[10:])

        assert 0 < ledger.fills_from(SYMBOL) < 30

    def test_record_fills_before_a_recorded_one_keep_the_stop_that_was_moved(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(entry, 2, units=1.5)])
        ledger.move_stop(SYMBOL, STRATEGY, at(2), 95.0, "trailing", correlation_id="c")
        ledger.record_fills(SYMBOL, [fill_of(entry, 1, units=0.5)])

        assert (position_of(ledger).units, position_of(ledger).stop_loss) == (2.0, 95.0)


class LateFillAbsentContract(LedgerPart):
    """A venue in this process shows fills in order: one that is out of order is an error, never dropped silently."""

    def test_record_fills_before_a_recorded_one_is_broken_and_books_nothing(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(request, 2, units=1.5)])

        with pytest.raises(Broken, match="fill-1 of XAUUSD comes after"):
            ledger.record_fills(SYMBOL, [fill_of(request, 1, units=0.5), fill_of(request, 3, units=0.5)])

        assert position_of(ledger).units == 1.5
        assert ledger.fills_from(SYMBOL) == 2
