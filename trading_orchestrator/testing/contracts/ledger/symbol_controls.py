"""The controls of a symbol: desired state and quarantine."""

from typing import cast

import pytest

from trading.errors import Broken, Rejected
from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState, PositionPolicy
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Leg, OrderState, Side
from trading.ports.ledger import DecisionResult, Ledger
from trading.risk.rules import AccountLimits, RiskLimits, evaluate_signal
from trading.risk.verdict import RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.contracts.ledger.examples import (
    OTHER,
    SECOND,
    SYMBOL,
    UNKNOWN_SYMBOL,
    at,
    claim,
    decide,
    enter,
    opened,
    request_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

ACCOUNT = AccountLimits(name="main", starting_balance=10_000.0)


def signal(
    ledger: Ledger, minute: int, side: SignalSide = SignalSide.BUY, *, strategy: str = "other"
) -> DecisionResult:
    """Have the risk rules decide on a signal."""
    request = Signal(strategy=strategy, open_ms=at(minute), side=side, price=100.0, reason="asked for by a test")
    limits = RiskLimits(units=1.0)
    return ledger.decide(
        SYMBOL,
        strategy,
        at(minute),
        lambda view: evaluate_signal(view, request, symbol=SYMBOL, timeframe="1m", account=ACCOUNT, limits=limits),
        correlation_id="c",
        prices={SYMBOL: 100.0},
    )


def rule(decided: DecisionResult) -> str:
    assert decided.verdict is not None
    return decided.verdict.rule


class DesiredStateContract(LedgerPart):
    """The promises of `desired` and `set_desired`."""

    def test_desired_of_a_symbol_never_seen_is_running(self, ledger: Ledger) -> None:
        assert ledger.desired(UNKNOWN_SYMBOL) is DesiredState.RUNNING
        assert view_of(ledger, UNKNOWN_SYMBOL).desired is DesiredState.RUNNING

    @pytest.mark.parametrize("state", list(DesiredState))
    def test_desired_is_what_was_set_last_and_the_next_decision_sees_it(
        self, ledger: Ledger, state: DesiredState
    ) -> None:
        for one in (DesiredState.STOPPED, DesiredState.PAUSED, state, state):
            ledger.set_desired(SYMBOL, one, reason="news at 14:30")

        assert view_of(ledger, SYMBOL).desired is ledger.desired(SYMBOL) is state
        assert view_of(ledger, OTHER).desired is DesiredState.RUNNING

    @pytest.mark.parametrize(
        ("state", "entry", "exit_"),
        [
            (DesiredState.RUNNING, "ok", "ok"),
            (DesiredState.PAUSED, "paused", "ok"),
            (DesiredState.STOPPED, "stopped", "stopped"),
        ],
    )
    def test_decide_after_set_desired_has_returned_allows_what_the_state_allows(
        self, ledger: Ledger, state: DesiredState, entry: str, exit_: str
    ) -> None:
        opened(ledger)
        ledger.set_desired(SYMBOL, state, reason="test")

        closing = signal(ledger, 1, SignalSide.CLOSE, strategy="trend")
        for intent in closing.intents:
            ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.CANCELED))

        assert (rule(signal(ledger, 1)), rule(closing)) == (entry, exit_)

    def test_set_desired_leaves_fence_orders_and_positions(self, ledger: Ledger) -> None:
        opened(ledger)
        enter(ledger, request_of(strategy=SECOND))
        before = (ledger.fence(SYMBOL), list(ledger.unsettled(SYMBOL)), list(ledger.positions()))
        ledger.set_desired(SYMBOL, DesiredState.STOPPED, reason="weekend")

        assert (ledger.fence(SYMBOL), list(ledger.unsettled(SYMBOL)), list(ledger.positions())) == before
        assert ledger.has_exposure(SYMBOL)


def set_aside(ledger: Ledger, policy: PositionPolicy = "hold") -> bool:
    return ledger.set_quarantine(SYMBOL, policy, cause="no-progress", reason="no candle for an hour")


class QuarantineContract(LedgerPart):
    """The promises of `quarantine`, `set_quarantine` and `clear_quarantine`."""

    @pytest.mark.parametrize("policy", ["hold", "flatten", "alert"])
    def test_set_quarantine_is_an_open_incident_that_halts_nothing(
        self, ledger: Ledger, policy: PositionPolicy
    ) -> None:
        assert ledger.quarantine(SYMBOL) is None
        assert set_aside(ledger, policy)

        assert (ledger.quarantine(SYMBOL), ledger.quarantine(OTHER)) == (policy, None)
        (incident,) = ledger.incidents_of(SYMBOL)
        assert (incident.kind, incident.details) == (
            IncidentKind.QUARANTINED,
            {"policy": policy, "cause": "no-progress"},
        )
        assert "no candle for an hour" in incident.reason
        assert view_of(ledger, SYMBOL).quarantined == incident.reason
        assert (view_of(ledger, SYMBOL).halted, view_of(ledger, OTHER).quarantined) == (None, None)

    def test_set_quarantine_twice_keeps_the_first(self, ledger: Ledger) -> None:
        assert set_aside(ledger)
        assert not set_aside(ledger, "flatten")
        assert ledger.quarantine(SYMBOL) == "hold"

    def test_set_quarantine_with_an_unknown_policy_names_the_known_ones(self, ledger: Ledger) -> None:
        with pytest.raises(Rejected, match=r"'wait'.*expected one of hold, flatten, alert"):
            set_aside(ledger, cast("PositionPolicy", "wait"))
        assert ledger.quarantine(SYMBOL) is None

    def test_clear_quarantine_lets_the_symbol_enter_again(self, ledger: Ledger) -> None:
        assert not ledger.clear_quarantine(SYMBOL, reason="nothing to clear")
        set_aside(ledger)
        assert rule(signal(ledger, 0)) == "quarantined"
        assert ledger.clear_quarantine(SYMBOL, reason="the feed is back")
        assert not ledger.clear_quarantine(SYMBOL, reason="again")

        assert ledger.quarantine(SYMBOL) is None
        assert rule(signal(ledger, 1)) == "ok"

    def test_quarantine_lets_exits_through_and_a_reversal_only_close(self, ledger: Ledger) -> None:
        for sequence, strategy in enumerate(("trend", SECOND), start=1):
            opened(ledger, request_of(strategy=strategy), sequence)
        set_aside(ledger)

        closing = signal(ledger, 1, SignalSide.CLOSE, strategy="trend")
        ledger.mark(OrderUpdate(closing.intents[0].request.client_order_id, OrderState.CANCELED))
        turning = signal(ledger, 1, SignalSide.SELL, strategy=SECOND)

        assert [(rule(one), [intent.request.leg for intent in one.intents]) for one in (closing, turning)] == [
            ("ok", [Leg.EXIT]),
            ("quarantined", [Leg.EXIT]),
        ]

    def test_quarantine_refuses_the_claim_of_an_entry_and_gives_that_of_an_exit(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of())
        leave = enter(ledger, request_of(open_ms=at(1), leg=Leg.EXIT, side=Side.SELL))
        set_aside(ledger)

        assert not ledger.mark(claim(entry, 2))
        assert ledger.mark(claim(leave, 2))
        ledger.clear_quarantine(SYMBOL, reason="seen")
        assert ledger.mark(claim(entry, 2))

    def test_quarantine_lets_the_stop_move(self, ledger: Ledger) -> None:
        opened(ledger)
        set_aside(ledger)

        move = ledger.move_stop(SYMBOL, "trend", at(2), 95.0, "trailing", correlation_id="c")

        assert move is not None
        assert move.refusal == ""


class QuarantineAbsentContract(LedgerPart):
    """A backtest has no operator who could clear a quarantine: to set one is an error."""

    def test_set_quarantine_is_refused_loudly(self, ledger: Ledger) -> None:
        with pytest.raises(Broken, match="cannot be quarantined"):
            set_aside(ledger)

        assert ledger.quarantine(SYMBOL) is None
        assert not ledger.clear_quarantine(SYMBOL, reason="nothing to clear")
        assert view_of(ledger, SYMBOL).quarantined is None
        assert decide(ledger, at(0), RiskDecision("ok", "")).verdict is not None
