"""Decisions: one for each candle, recorded with its orders or not at all."""

import pytest

from trading.errors import Broken, InvalidMessage
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Leg, OrderState, Side
from trading.portfolio.positions import Position
from trading.ports.ledger import DecisionResult, Ledger
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision
from trading_orchestrator.testing.contracts.ledger.examples import (
    OK,
    OTHER,
    REFUSED,
    SECOND,
    STRATEGY,
    SYMBOL,
    T0_MS,
    UNKNOWN_SYMBOL,
    accept,
    at,
    decide,
    enter,
    fill_of,
    opened,
    plan,
    request_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

DRAWDOWN = Incident(IncidentKind.MAX_DRAWDOWN, SYMBOL, "account", "the account fell 3 %", {"drawdown": 0.03})
BREACHED = RiskDecision("max_drawdown", "3 % of 2 %", breached=True, incident=DRAWDOWN)


class DecisionLogContract(LedgerPart):
    """The promises of `decide`, `written` and `fence`."""

    def test_decide_accepted_claims_the_first_intent_and_plans_the_others(self, ledger: Ledger) -> None:
        leave = PlannedOrder(request_of(leg=Leg.EXIT, side=Side.SELL))
        turn = PlannedOrder(request_of(side=Side.SELL), 20.0)

        decided = plan(ledger, T0_MS, leave, turn)

        expected = (Intent(leave.request, OrderState.SUBMITTING, attempt=1), Intent(turn.request, OrderState.PLANNED))
        assert decided == DecisionResult(RiskDecision(OK.rule, OK.reason, (leave, turn)), expected)
        assert tuple(ledger.unsettled(SYMBOL)) == expected
        assert list(ledger.unsettled(OTHER)) == []

    @pytest.mark.parametrize("late_minutes", [0, 1])
    def test_decide_candle_at_or_before_fence_writes_nothing(self, ledger: Ledger, late_minutes: int) -> None:
        enter(ledger, request_of())
        views: list[AccountSnapshot] = []

        def judge(view: AccountSnapshot) -> RiskDecision:
            views.append(view)
            return REFUSED

        again = ledger.decide(SYMBOL, STRATEGY, at(-late_minutes), judge, correlation_id="c2")

        assert (again.verdict, again.intents) == (None, ())
        assert again.earlier == (None if late_minutes else OK)
        assert views == []
        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(-10)) == {(STRATEGY, T0_MS): OK}
        assert len(ledger.unsettled(SYMBOL)) == 1

    def test_decide_earlier_candle_that_was_decided_then_returns_that_decision(self, ledger: Ledger) -> None:
        decide(ledger, at(0), REFUSED)
        decide(ledger, at(1), OK)

        assert decide(ledger, at(0), BREACHED) == DecisionResult(None, earlier=REFUSED)
        assert ledger.fence(SYMBOL) == at(1)

    @pytest.mark.parametrize("late_ms", [0, 1, 5_000_000_000_000])
    def test_decide_candle_after_the_market_time_records_nothing(self, ledger: Ledger, late_ms: int) -> None:
        decide(ledger, at(0), REFUSED)
        limit_ms = at(3)

        with pytest.raises(InvalidMessage, match="fence_jump"):
            ledger.decide(SYMBOL, STRATEGY, limit_ms + late_ms, lambda _: OK, correlation_id="c", latest_ms=limit_ms)

        assert ledger.fence(SYMBOL) == at(0)
        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(1)) == {}
        decided = ledger.decide(SYMBOL, STRATEGY, at(2), lambda _: REFUSED, correlation_id="c", latest_ms=limit_ms)
        assert decided.verdict == REFUSED

    def test_decide_first_candle_of_an_old_market_needs_no_earlier_one(self, ledger: Ledger) -> None:
        decided = ledger.decide(SYMBOL, STRATEGY, 0, lambda _: REFUSED, correlation_id="c", latest_ms=60_000)

        assert decided.verdict == REFUSED

    def test_decide_fence_is_of_symbol_and_strategy(self, ledger: Ledger) -> None:
        enter(ledger, request_of())
        for symbol, strategy in [(SYMBOL, SECOND), (OTHER, STRATEGY)]:
            decided = ledger.decide(symbol, strategy, at(-1), lambda _: REFUSED, correlation_id="c")
            assert decided.verdict == REFUSED

        assert [ledger.fence(symbol) for symbol in (SYMBOL, OTHER, UNKNOWN_SYMBOL)] == [at(0), at(-1), None]

    def test_decide_rejected_moves_fence_and_keeps_reason(self, ledger: Ledger) -> None:
        verdict = RiskDecision("max_open_positions", "3 of 3", breached=True)

        assert decide(ledger, T0_MS, verdict) == DecisionResult(verdict)

        assert ledger.fence(SYMBOL) == T0_MS
        assert ledger.decisions_since(SYMBOL, [STRATEGY], T0_MS) == {(STRATEGY, T0_MS): verdict}
        assert decide(ledger, T0_MS).earlier == verdict
        assert not ledger.has_exposure(SYMBOL)

    def test_decide_judge_raises_nothing_is_written(self, ledger: Ledger) -> None:
        view_of(ledger, SYMBOL, strategy=STRATEGY)

        assert ledger.fence(SYMBOL) is None
        assert ledger.decisions_since(SYMBOL, [STRATEGY], 0) == {}
        assert decide(ledger, T0_MS).verdict == REFUSED

    def test_decide_order_id_that_is_taken_writes_nothing(self, ledger: Ledger) -> None:
        used = opened(ledger)
        fresh = request_of(open_ms=at(1), leg=Leg.EXIT, side=Side.SELL)

        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            plan(ledger, at(1), PlannedOrder(fresh), PlannedOrder(used))

        assert ledger.fence(SYMBOL) == T0_MS
        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(1)) == {}
        assert list(ledger.unsettled(SYMBOL)) == []
        assert ledger.order_states([used.client_order_id, fresh.client_order_id]) == {
            used.client_order_id: OrderState.FILLED
        }

    def test_decide_dry_run_records_the_decision_and_no_intent(self, ledger: Ledger) -> None:
        evaluate = accept(PlannedOrder(request_of(), 20.0))

        decided = ledger.decide(SYMBOL, STRATEGY, T0_MS, evaluate, correlation_id="c1", dry_run=True)

        assert decided.verdict is not None
        assert decided.verdict.is_accepted
        assert decided.intents == ()
        assert ledger.fence(SYMBOL) == T0_MS
        assert ledger.decisions_since(SYMBOL, [STRATEGY], T0_MS) == {(STRATEGY, T0_MS): OK}
        assert not ledger.has_exposure(SYMBOL)
        assert view_of(ledger).open_risk == 0.0

    def test_decide_with_an_incident_opens_it_with_the_decision(self, ledger: Ledger) -> None:
        assert decide(ledger, T0_MS, BREACHED) == DecisionResult(BREACHED)
        assert list(ledger.incidents_of(SYMBOL)) == [DRAWDOWN]

        assert decide(ledger, T0_MS, BREACHED).verdict is None
        assert len(ledger.incidents_of(SYMBOL)) == 1

    def test_decide_dry_run_with_an_incident_opens_none(self, ledger: Ledger) -> None:
        ledger.decide(SYMBOL, STRATEGY, T0_MS, lambda _: BREACHED, correlation_id="c", dry_run=True)

        assert list(ledger.incidents_of(SYMBOL)) == []

    def test_decide_of_a_symbol_never_seen_sees_an_empty_account(self, ledger: Ledger) -> None:
        view = view_of(ledger, UNKNOWN_SYMBOL, strategy=STRATEGY)

        flat = Position(UNKNOWN_SYMBOL, STRATEGY)
        assert view == AccountSnapshot(DesiredState.RUNNING, flat, False, 0, 0.0, 0.0, 10_000.0, peak_balance=10_000.0)
        assert ledger.fence(UNKNOWN_SYMBOL) is None

    def test_decide_two_strategies_on_one_symbol_see_the_orders_of_each_other(self, ledger: Ledger) -> None:
        enter(ledger, request_of())
        view = view_of(ledger, SYMBOL, strategy=SECOND)
        assert (view.position, view.has_unsettled) == (Position(SYMBOL, SECOND), True)
        enter(ledger, request_of(strategy=SECOND))

        assert [one.request.strategy for one in ledger.unsettled(SYMBOL)] == [STRATEGY, SECOND]
        assert ledger.decisions_since(SYMBOL, [STRATEGY, SECOND], T0_MS).keys() == {(STRATEGY, T0_MS), (SECOND, T0_MS)}

    def test_written_candles_are_those_of_the_strategies_asked_for_from_a_time_on(self, ledger: Ledger) -> None:
        for minute in range(3):
            decide(ledger, at(minute), RiskDecision("cooldown", f"{minute}"))
        decide(ledger, at(2), OK, strategy=SECOND)

        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(1)) == {
            (STRATEGY, at(1)): RiskDecision("cooldown", "1"),
            (STRATEGY, at(2)): RiskDecision("cooldown", "2"),
        }
        assert ledger.decisions_since(SYMBOL, [SECOND, "other"], at(0)) == {(SECOND, at(2)): OK}
        assert ledger.decisions_since(SYMBOL, [STRATEGY, SECOND], at(3)) == {}
        assert ledger.decisions_since(SYMBOL, [], at(0)) == {}
        assert ledger.decisions_since(OTHER, [STRATEGY], at(0)) == {}


class FlattenContract(LedgerPart):
    """The promises of `flatten`, of a ledger that can close a position without a signal."""

    @staticmethod
    def _flatten(
        ledger: Ledger, after_ms: int, verdict: RiskDecision | None = None
    ) -> tuple[DecisionResult, list[int]]:
        """Request a close, and return the answer with the times that `evaluate` received."""
        times: list[int] = []

        def judge(view: AccountSnapshot, decision_ms: int) -> RiskDecision:
            times.append(decision_ms)
            leave = request_of(open_ms=decision_ms, leg=Leg.EXIT, side=Side.SELL, units=abs(view.position.units) or 1.0)
            return verdict or RiskDecision(OK.rule, OK.reason, (PlannedOrder(leave),))

        return ledger.flatten(SYMBOL, STRATEGY, after_ms, judge, correlation_id="operator"), times

    def test_flatten_accepted_plans_the_exit_after_the_newest_decision_and_leaves_the_fence(
        self, ledger: Ledger
    ) -> None:
        opened(ledger)

        decided, times = self._flatten(ledger, at(-5))

        assert [intent.attempt for intent in decided.intents] == [1]
        assert times == [T0_MS + 1]
        assert ledger.fence(SYMBOL) == T0_MS
        assert list(ledger.unsettled(SYMBOL)) == list(decided.intents)
        assert ledger.decisions_since(SYMBOL, [STRATEGY], T0_MS).keys() == {(STRATEGY, T0_MS)}

    def test_flatten_again_is_another_decision_with_another_order(self, ledger: Ledger) -> None:
        opened(ledger)
        first, _ = self._flatten(ledger, at(3))
        identity = first.intents[0].request.client_order_id
        ledger.mark(OrderUpdate(identity, OrderState.REJECTED))

        second, times = self._flatten(ledger, at(3))

        assert times == [at(3) + 2]
        assert second.intents[0].request.client_order_id != identity

    def test_flatten_refused_records_nothing_and_may_be_asked_again(self, ledger: Ledger) -> None:
        opened(ledger)
        assert self._flatten(ledger, at(3), REFUSED) == (DecisionResult(REFUSED), [at(3) + 1])
        assert self._flatten(ledger, at(3), REFUSED) == (DecisionResult(REFUSED), [at(3) + 1])
        assert list(ledger.unsettled(SYMBOL)) == []

    def test_flatten_filled_ends_the_position_and_the_next_candle_is_decided(self, ledger: Ledger) -> None:
        opened(ledger)
        decided, _ = self._flatten(ledger, at(0))
        ledger.record_fills(SYMBOL, [fill_of(decided.intents[0].request, 2, market_ms=at(1))])

        assert not ledger.has_exposure(SYMBOL)
        assert decide(ledger, at(1)).verdict == REFUSED


class FlattenAbsentContract(LedgerPart):
    """A backtest has no operator: the ledger raises an error rather than do nothing."""

    def test_flatten_is_refused_loudly(self, ledger: Ledger) -> None:
        opened(ledger)

        with pytest.raises(Broken, match="cannot be flattened"):
            ledger.flatten(SYMBOL, STRATEGY, at(1), lambda _view, _ms: OK, correlation_id="operator")

        assert list(ledger.unsettled(SYMBOL)) == []
