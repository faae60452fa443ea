"""Positions, and what the account holds: places, risk, value, profit of the day and drawdown, as decisions see it."""

from collections.abc import Sequence

import pytest

from trading.incidents.incident import Incident, IncidentKind
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Leg, OrderState, Side
from trading.portfolio.positions import Position
from trading.portfolio.trades import ClosedTrade
from trading.ports.ledger import Ledger
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    DAY_MS,
    OTHER,
    SECOND,
    STRATEGY,
    SYMBOL,
    T0_MS,
    UNKNOWN_SYMBOL,
    at,
    closed,
    decide,
    enter,
    fill_of,
    opened,
    position_of,
    protective_fill,
    request_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart, LedgerSubject

LATCH = Incident(IncidentKind.MAX_DRAWDOWN, SYMBOL, "account", "the account fell 3 %", {"drawdown": 0.03})


class PositionContract(LedgerPart):
    """The promises of `positions`, `has_exposure` and `owners`."""

    def test_positions_of_an_empty_ledger_are_none(self, ledger: Ledger) -> None:
        assert list(ledger.positions()) == []
        assert not ledger.has_exposure(UNKNOWN_SYMBOL)
        assert ledger.owners(UNKNOWN_SYMBOL) == frozenset()

    def test_positions_are_of_symbol_and_strategy_and_flat_ones_stay(self, ledger: Ledger) -> None:
        opened(ledger)
        opened(ledger, request_of(strategy=SECOND, side=Side.SELL), 2)
        opened(ledger, request_of(OTHER), 1_000)
        closed(ledger, sequence=3)

        held = {(one.symbol, one.strategy): one.units for one in ledger.positions()}
        assert held == {(SYMBOL, STRATEGY): 0.0, (SYMBOL, SECOND): -2.0, (OTHER, STRATEGY): 2.0}
        assert position_of(ledger) == Position(SYMBOL, STRATEGY)

    def test_positions_opened_at_the_market_time_of_the_fill_that_opened_them(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        fills = [fill_of(request, n, units=1.0, market_ms=at(10 * n)) for n in (1, 2)]
        ledger.record_fills(SYMBOL, fills)

        assert position_of(ledger).opened_ms == at(10)

    def test_exposure_begins_with_the_decision_and_ends_when_nothing_is_open(self, ledger: Ledger) -> None:
        seen = [ledger.has_exposure(SYMBOL)]
        request = enter(ledger, request_of()).request
        seen.append(ledger.has_exposure(SYMBOL))
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.FILLED))
        seen.append(ledger.has_exposure(SYMBOL))
        ledger.record_fills(SYMBOL, [fill_of(request)])
        seen.append(ledger.has_exposure(SYMBOL))
        ledger.record_fills(SYMBOL, [protective_fill(request)])
        seen.append(ledger.has_exposure(SYMBOL))

        assert seen == [False, True, True, True, False]
        assert not ledger.has_exposure(OTHER)

    def test_exposure_is_none_of_an_exit_that_ended_without_a_position(self, ledger: Ledger) -> None:
        leave = enter(ledger, request_of(leg=Leg.EXIT, side=Side.SELL)).request
        ledger.mark(OrderUpdate(leave.client_order_id, OrderState.FILLED))

        assert not ledger.has_exposure(SYMBOL)

    def test_owners_are_the_strategies_whose_entries_hold_a_place(self, ledger: Ledger) -> None:
        opened(ledger)
        pending = enter(ledger, request_of(strategy=SECOND)).request
        enter(ledger, request_of(strategy="exits", leg=Leg.EXIT, side=Side.SELL))
        assert ledger.owners(SYMBOL) == {STRATEGY, SECOND}

        ledger.mark(OrderUpdate(pending.client_order_id, OrderState.EXPIRED))
        assert ledger.owners(SYMBOL) == {STRATEGY}
        closed(ledger)
        assert ledger.owners(SYMBOL) == frozenset()


class AccountViewContract(LedgerPart):
    """The account snapshot that `decide` passes to the rules."""

    def test_view_pending_entry_and_open_position_count_once_each(self, ledger: Ledger) -> None:
        enter(ledger, request_of(SYMBOL), risk=20.0)
        enter(ledger, request_of(OTHER), risk=0.0)
        pending = view_of(ledger, UNKNOWN_SYMBOL)
        ledger.record_fills(SYMBOL, [fill_of(request_of(SYMBOL))])
        filled = view_of(ledger, UNKNOWN_SYMBOL)

        assert (pending.open_positions, pending.open_risk) == (filled.open_positions, filled.open_risk) == (2, 20.0)

    def test_view_counts_two_strategies_on_one_symbol_as_two_positions(self, ledger: Ledger) -> None:
        opened(ledger)
        opened(ledger, request_of(strategy=SECOND, side=Side.SELL), 2, risk=7.0)

        view = view_of(ledger, SYMBOL, strategy=STRATEGY, open_ms=at(1))
        assert (view.open_positions, view.open_risk, view.symbol_notional) == (2, 27.0, 400.0)
        assert view.position.units == 2.0

    def test_view_unsettled_order_is_of_its_symbol_only(self, ledger: Ledger) -> None:
        identity = enter(ledger, request_of()).request.client_order_id
        assert view_of(ledger, SYMBOL, strategy=SECOND).has_unsettled
        assert not view_of(ledger, OTHER).has_unsettled
        ledger.mark(OrderUpdate(identity, OrderState.UNKNOWN))
        assert view_of(ledger, SYMBOL).has_unsettled
        ledger.mark(OrderUpdate(identity, OrderState.CANCELED))
        assert not view_of(ledger, SYMBOL).has_unsettled

    def test_view_unsettled_exit_is_of_its_strategy_only(self, ledger: Ledger) -> None:
        enter(ledger, request_of(leg=Leg.EXIT, side=Side.SELL))

        views = [view_of(ledger, SYMBOL, strategy=strategy, open_ms=at(1)) for strategy in (STRATEGY, SECOND)]
        assert [(view.has_unsettled, view.has_unsettled_exit) for view in views] == [(True, True), (True, False)]

    def test_view_filled_without_recorded_fills_still_holds_its_place(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        ledger.mark(OrderUpdate(request.client_order_id, OrderState.FILLED, "v1"))
        between = view_of(ledger, SYMBOL)
        assert (between.has_unsettled, between.open_positions, between.open_risk) == (True, 1, 20.0)
        ledger.record_fills(SYMBOL, [fill_of(request)])
        after = view_of(ledger, SYMBOL)
        assert (after.has_unsettled, after.open_positions, after.open_risk) == (False, 1, 20.0)

    def test_view_counts_the_value_of_entries_on_their_way_and_open_until_they_are_closed(self, ledger: Ledger) -> None:
        def values() -> list[float]:
            return [view_of(ledger).open_notional, view_of(ledger, SYMBOL).symbol_notional]

        request = enter(ledger, request_of()).request
        seen = [values()]
        ledger.record_fills(SYMBOL, [fill_of(request, 1, units=0.5), fill_of(request, 2, units=1.5, price=101.0)])
        seen.append(values())
        ledger.record_fills(SYMBOL, [protective_fill(request, 3)])

        assert [*seen, values()] == [[200.0, 200.0], [200.0, 200.0], [0.0, 0.0]]
        assert view_of(ledger, OTHER).symbol_notional == 0.0

    def test_view_realised_is_of_the_market_day_of_the_fills(self, ledger: Ledger) -> None:
        request = enter(ledger, request_of()).request
        late = T0_MS + DAY_MS - 1
        ledger.record_fills(
            SYMBOL, [fill_of(request, fee=1.5, market_ms=late), protective_fill(request, market_ms=late)]
        )

        seen = [view_of(ledger, open_ms=open_ms).day_realised for open_ms in (T0_MS, late, late + 1, T0_MS - 1)]
        assert seen == pytest.approx([-21.5, -21.5, 0.0, 0.0])
        assert view_of(ledger, open_ms=late + 1).balance == pytest.approx(BALANCE - 21.5)

    def test_view_trades_are_those_closed_after_a_time_of_one_symbol_or_of_all(self, ledger: Ledger) -> None:
        first = opened(ledger)
        ledger.record_fills(SYMBOL, [protective_fill(first, 2, fee=0.5)])
        other = opened(ledger, request_of(OTHER), 3)
        ledger.record_fills(OTHER, [protective_fill(other, 4, leg=Leg.TAKE_PROFIT, price=120.0, market_ms=at(9))])
        seen: list[list[ClosedTrade]] = []

        def read(view: AccountSnapshot) -> RiskDecision:
            for since_ms, symbol in ((at(0), None), (at(5), None), (at(0), SYMBOL), (at(0), UNKNOWN_SYMBOL)):
                seen.append(sorted(view.trades_since(since_ms, symbol), key=lambda one: one.closed_ms))
            return RiskDecision("cooldown", "")

        ledger.decide(SYMBOL, STRATEGY, at(10), read, correlation_id="c")

        stopped = ClosedTrade(SYMBOL, STRATEGY, Side.BUY, Leg.STOP_LOSS, at(5), -20.5, 200.0)
        gained = ClosedTrade(OTHER, STRATEGY, Side.BUY, Leg.TAKE_PROFIT, at(9), 40.0, 200.0)
        assert seen == [[stopped, gained], [gained], [stopped], []]

    @pytest.mark.parametrize(
        ("exit_units", "again", "close_units", "expected"),
        [
            # 1 of 2 units is sold at 90, 2 more are bought at 100, and 3 are sold at 80
            (1.0, Side.BUY, 3.0, ClosedTrade(SYMBOL, STRATEGY, Side.BUY, Leg.STOP_LOSS, at(9), -71.0, 400.0)),
            # 3 of 2 units are sold at 90: 1 is short; 2 more are sold short at 100, and 3 are bought at 80
            (3.0, Side.SELL, 3.0, ClosedTrade(SYMBOL, STRATEGY, Side.SELL, Leg.STOP_LOSS, at(9), 49.5, 290.0)),
        ],
        ids=["in part", "beyond the position"],
    )
    @pytest.mark.parametrize("entries", [1, 70])
    def test_view_trade_of_an_exit_before_another_entry_has_all_of_its_fills(
        self, ledger: Ledger, exit_units: float, again: Side, close_units: float, expected: ClosedTrade, entries: int
    ) -> None:
        first = request_of()
        enter(ledger, first)
        bought = [fill_of(first, number, units=2.0 / entries) for number in range(1, entries + 1)]
        partial = protective_fill(first, entries + 1, units=exit_units, fee=0.5, market_ms=at(3))
        ledger.record_fills(SYMBOL, [*bought, partial])
        second = request_of(open_ms=at(4), side=again)
        enter(ledger, second)
        ledger.record_fills(SYMBOL, [fill_of(second, entries + 2, market_ms=at(5))])
        last = protective_fill(second, entries + 3, units=close_units, price=80.0, fee=0.5, market_ms=at(9))
        ledger.record_fills(SYMBOL, [last])
        seen: list[ClosedTrade] = []

        def read(view: AccountSnapshot) -> RiskDecision:
            seen.extend(view.trades_since(at(7), SYMBOL))
            return RiskDecision("cooldown", "")

        ledger.decide(SYMBOL, STRATEGY, at(10), read, correlation_id="c")

        (trade,) = seen
        assert (trade.profit, trade.cost) == pytest.approx((expected.profit, expected.cost))
        assert replace(trade, profit=expected.profit, cost=expected.cost) == expected

    def test_decide_within_an_account_limit_stops_at_the_limit(self, ledger: Ledger) -> None:
        accepted = [bool(self._enter_within(ledger, f"S{number}", limit=5)) for number in range(8)]

        view = view_of(ledger)
        assert accepted == [True] * 5 + [False] * 3
        assert (view.open_positions, view.open_risk) == (5, 50.0)

    @staticmethod
    def _enter_within(ledger: Ledger, symbol: str, *, limit: int) -> Sequence[Intent]:
        """Request an entry with a risk of 10.0, under a limit of positions and of 10.0 for each of them."""
        planned = PlannedOrder(request_of(symbol), 10.0)

        def judge(view: AccountSnapshot) -> RiskDecision:
            if view.open_positions >= limit or view.open_risk + planned.risk > 10.0 * limit:
                return RiskDecision("max_open_positions", f"{view.open_positions} of {limit}", breached=True)
            return RiskDecision("ok", "", (planned,))

        return ledger.decide(symbol, STRATEGY, T0_MS, judge, correlation_id="c").intents


class DrawdownContract(LedgerPart):
    """The drawdown of the account, and the latch that stays until an operator clears it."""

    def test_drawdown_is_the_deepest_fall_from_the_peak(self, ledger: Ledger) -> None:
        for minute, price in ((0, 120.0), (10, 70.0), (20, 130.0)):
            entry = opened(ledger, request_of(open_ms=at(minute)), minute + 1)
            ledger.record_fills(SYMBOL, [protective_fill(entry, minute + 2, price=price)])

        view = view_of(ledger)
        assert view.balance == pytest.approx(BALANCE + 40.0 - 60.0 + 60.0)
        assert view.peak_balance == pytest.approx(BALANCE + 40.0)
        assert view.drawdown == pytest.approx(60.0 / (BALANCE + 40.0))

    def test_drawdown_within_one_call_counts_between_its_fills(self, ledger: Ledger) -> None:
        entry, later = request_of(), request_of(open_ms=at(1))
        for request in (entry, later):
            enter(ledger, request)
        fills = [
            fill_of(entry, 1),
            protective_fill(entry, 2, price=50.0),
            fill_of(later, 3),
            protective_fill(later, 4, price=200.0),
        ]
        ledger.record_fills(SYMBOL, fills)

        view = view_of(ledger)
        assert (view.balance, view.peak_balance) == (BALANCE + 100.0, BALANCE + 100.0)
        assert view.drawdown == pytest.approx(100.0 / BALANCE)

    def test_drawdown_latch_is_seen_by_decisions_of_all_symbols_until_it_is_resolved(
        self, ledger: Ledger, subject: LedgerSubject
    ) -> None:
        entry = opened(ledger)
        ledger.record_fills(SYMBOL, [protective_fill(entry, price=0.5)])
        assert view_of(ledger).drawdown > 0.0
        decide(ledger, at(6), RiskDecision("max_drawdown", "", breached=True, incident=LATCH))
        assert [view_of(ledger, symbol).latched for symbol in (SYMBOL, OTHER)] == [LATCH.reason, LATCH.reason]
        assert view_of(ledger, SYMBOL).halted is None

        subject.resolve(LATCH)

        view = view_of(ledger)
        assert (view.latched, view.drawdown, view.peak_balance) == (None, 0.0, view.balance)
        assert list(ledger.incidents_of(SYMBOL)) == []
        assert list(ledger.open_incidents([LATCH])) == [LATCH]
