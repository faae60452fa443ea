"""The entry rules: each one met and rejected, with its numbers, in the order of docs/reference/risk.md."""

from typing import Any

import pytest

from trading.incidents.incident import IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, Side
from trading.portfolio.positions import Position
from trading.portfolio.trades import ClosedTrade
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import CooldownPeriod
from trading.risk.rules import evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.structs import replace

OPEN_MS = 1_774_360_800_000
VIEW = AccountSnapshot(
    DesiredState.RUNNING,
    Position("XAUUSD", "ema"),
    has_unsettled=False,
    open_positions=0,
    open_risk=0.0,
    day_realised=0.0,
    balance=10_000.0,
    peak_balance=10_000.0,
)
LONG = Position("XAUUSD", "ema", units=2.0, average_price=100.0, stop_loss=95.0)
BUY = Signal(
    strategy="ema",
    open_ms=OPEN_MS,
    side=SignalSide.BUY,
    price=100.0,
    stop_loss=95.0,
    take_profit=110.0,
    reason="EMA 20 crossed above EMA 50",
)
SELL = BUY.model_copy(update={"side": SignalSide.SELL, "stop_loss": 105.0, "take_profit": 90.0})
CLOSE = BUY.model_copy(update={"side": SignalSide.CLOSE, "stop_loss": None, "take_profit": None})
COOLDOWN = CooldownPeriod(method="CooldownPeriod", stop_duration_candles=2)


def account_of(**limits: Any) -> AccountLimits:
    return AccountLimits(name="main", starting_balance=10_000.0, **limits)


def judged(
    signal: Signal = BUY, view: AccountSnapshot = VIEW, account: AccountLimits | None = None, **limits: Any
) -> RiskDecision:
    return evaluate_signal(
        view,
        signal,
        symbol="XAUUSD",
        timeframe="1m",
        account=account or account_of(),
        limits=RiskLimits.model_validate({"units": 1.0, **limits}),
    )


def reason_of(verdict: RiskDecision, rule: str) -> str:
    (reason,) = [check.reason for check in verdict.checks if check.rule == rule]
    return reason


# the list of checks


def test_an_accepted_entry_lists_each_rule_in_the_order_in_which_it_was_checked() -> None:
    account = account_of(
        max_open_positions=3, max_notional=500, max_daily_loss=50, max_drawdown=0.1, protections=(COOLDOWN,)
    )
    verdict = judged(
        view=replace(VIEW, open_positions=2, spread=0.2),
        account=account,
        max_notional=300,
        min_notional=10,
        tick_size=0.1,
        min_reward_risk=1.5,
        max_spread=0.5,
    )
    assert verdict.rule == "ok"
    assert all(check.is_met for check in verdict.checks)
    assert [check.rule for check in verdict.checks] == [
        "stopped",
        "entry_rules",
        "drawdown_latch",
        "equity",
        "stop_distance",
        "target_distance",
        "min_stop_distance",
        "min_reward_risk",
        "max_spread",
        "below_min_units",
        "below_min_notional",
        "max_open_positions",
        "max_symbol_notional",
        "max_notional",
        "max_symbol_leverage",
        "max_leverage",
        "max_daily_loss",
        "drawdown_headroom",
        "cooldown_period",
    ]
    assert reason_of(verdict, "max_open_positions") == "2 of 3 positions are open or on their way"
    assert (
        reason_of(verdict, "max_notional") == "0.00 are open or on their way and 100.00 this entry, the limit is 500.00"
    )


@pytest.mark.parametrize(
    ("signal", "view", "rules"),
    [
        (BUY, replace(VIEW, desired=DesiredState.STOPPED), ["stopped"]),
        (BUY, replace(VIEW, halted="3 units too many"), ["stopped", "halted"]),
        (BUY, replace(VIEW, desired=DesiredState.PAUSED), ["stopped", "paused"]),
        (BUY, replace(VIEW, quarantined="no candles"), ["stopped", "quarantined"]),
        (BUY, replace(VIEW, has_unsettled=True), ["stopped", "entry_rules", "unsettled"]),
        (BUY, replace(VIEW, position=LONG), ["stopped", "position_open"]),
        (CLOSE, VIEW, ["stopped", "nothing_to_close"]),
        (
            BUY.model_copy(update={"entry_refused": Refusal(rule="session", reason="closed")}),
            VIEW,
            ["stopped", "session"],
        ),
    ],
)
def test_a_refusal_is_the_last_check_and_the_only_one_not_met(
    signal: Signal, view: AccountSnapshot, rules: list[str]
) -> None:
    verdict = judged(signal, view)
    assert [check.rule for check in verdict.checks] == rules
    assert [check.is_met for check in verdict.checks] == [True] * (len(rules) - 1) + [False]
    assert verdict.rule == rules[-1]
    assert verdict.checks[-1].reason == verdict.reason


def test_an_exit_lists_its_checked_rules() -> None:
    verdict = judged(CLOSE, replace(VIEW, position=LONG))
    assert [(one.rule, one.is_met) for one in verdict.checks] == [("stopped", True), ("nothing_to_close", True)]


def test_a_reversal_that_may_not_enter_lists_the_refusal_and_exits() -> None:
    verdict = judged(SELL, replace(VIEW, position=LONG), account_of(max_notional=50))
    assert [plan.request.leg for plan in verdict.planned] == [Leg.EXIT]
    assert (verdict.checks[-1].rule, verdict.checks[-1].is_met) == ("max_notional", False)


# sizes and prices


def test_fixed_notional_buys_units_of_that_value_rounded_down_to_the_step() -> None:
    verdict = judged(sizing="fixed_notional", notional=250.0, unit_step=0.1)
    assert verdict.planned[0].request.units == 2.5
    assert judged(sizing="fixed_notional", notional=259.0, unit_step=0.1).planned[0].request.units == 2.5


def test_an_entry_below_the_smallest_value_is_rejected_with_the_numbers() -> None:
    verdict = judged(min_notional=100.01)
    assert (verdict.rule, verdict.breached) == ("below_min_notional", False)
    assert verdict.reason == "1 units are worth 100.00, the smallest that is traded is 100.01"
    assert judged(min_notional=100.0).rule == "ok"


@pytest.mark.parametrize(
    ("signal", "stop", "target"),
    [
        (BUY.model_copy(update={"stop_loss": 95.01, "take_profit": 109.99}), 95.25, 109.75),
        (SELL.model_copy(update={"stop_loss": 104.99, "take_profit": 90.01}), 104.75, 90.25),
        (BUY, 95.0, 110.0),
        (BUY.model_copy(update={"stop_loss": None, "take_profit": None}), None, None),
    ],
)
def test_stop_and_target_are_rounded_towards_the_entry(
    signal: Signal, stop: float | None, target: float | None
) -> None:
    (planned,) = judged(signal, tick_size=0.25).planned
    assert (planned.request.stop_loss, planned.request.take_profit) == (stop, target)
    assert planned.risk == (100.0 if stop is None else abs(100.0 - stop))  # without a stop all of it may be lost


@pytest.mark.parametrize(
    ("change", "rule", "reason"),
    [
        ({"stop_loss": 99.9}, "stop_distance", "the stop 99.9 is 100 in ticks of 0.25, the price is 100"),
        (
            {"price": 100.1, "stop_loss": 100.05},
            "stop_distance",
            "the stop 100.05 is 100.25 in ticks of 0.25, the price is 100.1",
        ),
        ({"take_profit": 100.2}, "target_distance", "the target 100.2 is 100 in ticks of 0.25, the price is 100"),
    ],
)
def test_a_stop_or_target_that_rounding_leads_to_the_price_is_rejected(
    change: dict[str, float], rule: str, reason: str
) -> None:
    sizings: list[dict[str, Any]] = [{}, {"sizing": "risk_fraction", "risk_fraction": 0.01}]
    for sizing in sizings:
        verdict = judged(BUY.model_copy(update=change), tick_size=0.25, **sizing)
        assert (verdict.rule, verdict.reason, verdict.planned) == (rule, reason, ())


@pytest.mark.parametrize(
    ("signal", "least", "rule"),
    [
        (BUY, 2.0, "ok"),
        (BUY, 2.01, "min_reward_risk"),
        (SELL, 2.0, "ok"),
        (BUY.model_copy(update={"stop_loss": None}), 0.1, "min_reward_risk"),
        (BUY.model_copy(update={"take_profit": None}), 0.1, "min_reward_risk"),
    ],
)
def test_reward_for_risk_needs_stop_and_target_and_their_ratio(signal: Signal, least: float, rule: str) -> None:
    assert judged(signal, min_reward_risk=least).rule == rule


def test_reward_for_risk_is_that_of_the_rounded_prices() -> None:
    signal = BUY.model_copy(update={"stop_loss": 95.0, "take_profit": 107.6})
    assert judged(signal, min_reward_risk=1.5).rule == "ok"
    verdict = judged(signal, min_reward_risk=1.5, tick_size=0.5)  # 7.5 over 5 is still enough
    assert verdict.rule == "ok"
    verdict = judged(signal, min_reward_risk=1.51, tick_size=0.5)
    assert verdict.reason == "7.5 to the target are 1.50 times 5 to the stop, 1.51 times are needed"


@pytest.mark.parametrize(
    ("spread", "rule", "reason"),
    [
        (0.5, "ok", "the spread is 0.5, allowed are 0.5"),
        (0.51, "max_spread", "the spread is 0.51, allowed are 0.5"),
        (None, "max_spread", "the venue tells no spread, allowed are 0.5"),
    ],
)
def test_a_wide_or_unknown_spread_rejects_an_entry(spread: float | None, rule: str, reason: str) -> None:
    verdict = judged(view=replace(VIEW, spread=spread), max_spread=0.5)
    assert (verdict.rule, reason_of(verdict, "max_spread"), verdict.breached) == (rule, reason, False)


# limits


@pytest.mark.parametrize(("held", "rule"), [(0.0, "ok"), (200.0, "ok"), (200.01, "max_symbol_notional")])
def test_the_value_of_a_symbol_is_limited_whatever_others_hold(held: float, rule: str) -> None:
    view = replace(VIEW, symbol_notional=held, open_notional=5_000.0)
    verdict = judged(view=view, max_notional=300)
    assert (verdict.rule, verdict.breached) == (rule, rule != "ok")


@pytest.mark.parametrize(
    ("balance", "open_risk", "rule"),
    [
        (10_000.0, 995.0, "ok"),  # 995 at stops and 5 of this entry are a tenth
        (10_000.0, 995.01, "drawdown_headroom"),
        (9_500.0, 495.0, "ok"),
        (9_500.0, 495.01, "drawdown_headroom"),
        (11_000.0, 1_095.0, "ok"),  # a new peak gives more room
    ],
)
def test_no_entry_may_lead_past_the_drawdown_if_all_stops_are_hit(balance: float, open_risk: float, rule: str) -> None:
    verdict = judged(view=replace(VIEW, balance=balance, open_risk=open_risk), account=account_of(max_drawdown=0.1))
    assert (verdict.rule, verdict.breached, verdict.incident) == (rule, rule != "ok", None)


@pytest.mark.parametrize(
    ("balance", "drawdown"),
    [(9_000.0, 0.0), (8_000.0, 0.0), (9_900.0, 0.1), (12_000.0, 0.2)],  # it recovered, and nobody has cleared it
)
def test_a_drawdown_that_was_reached_is_reported_and_rejects(balance: float, drawdown: float) -> None:
    view = replace(VIEW, balance=balance, drawdown=drawdown)
    verdict = judged(view=view, account=account_of(max_drawdown=0.1))
    assert (verdict.rule, verdict.breached, verdict.planned) == ("drawdown_latch", True, ())
    assert verdict.incident is not None
    assert (verdict.incident.kind, verdict.incident.symbol) == (IncidentKind.MAX_DRAWDOWN, "XAUUSD")
    assert not verdict.incident.kind.halts


def test_a_latched_account_rejects_every_entry_without_report_again_and_exits_continue() -> None:
    latched = replace(VIEW, latched="the account fell 12 %")
    verdict = judged(view=latched)  # whatever the settings say now
    assert (verdict.rule, verdict.breached, verdict.incident) == ("drawdown_latch", True, None)
    assert verdict.reason == "a person must look first: the account fell 12 %"
    assert judged(CLOSE, replace(latched, position=LONG)).rule == "ok"
    reversal = judged(SELL, replace(latched, position=LONG))
    assert (reversal.rule, [one.request.leg for one in reversal.planned]) == ("drawdown_latch", [Leg.EXIT])


def test_a_drawdown_found_by_a_reversal_is_reported_with_its_exit() -> None:
    view = replace(VIEW, position=LONG, balance=8_000.0)
    verdict = judged(SELL, view, account_of(max_drawdown=0.1))
    assert [one.request.leg for one in verdict.planned] == [Leg.EXIT]
    assert verdict.incident is not None


# protections


def closed(ms: int, symbol: str = "XAUUSD") -> ClosedTrade:
    return ClosedTrade(symbol, "ema", Side.BUY, Leg.EXIT, ms, 1.0, 100.0)


def test_protections_of_account_and_symbol_are_checked_last() -> None:
    reads: list[tuple[int, str | None]] = []

    def trades_since(since_ms: int, symbol: str | None) -> list[ClosedTrade]:
        reads.append((since_ms, symbol))
        return [closed(OPEN_MS - 60_000)]

    view = replace(VIEW, trades_since=trades_since)
    verdict = evaluate_signal(
        view,
        BUY,
        symbol="XAUUSD",
        timeframe="1m",
        account=account_of(),
        limits=RiskLimits(units=1.0),
        protections=(COOLDOWN,),
    )
    assert (verdict.rule, verdict.breached) == ("cooldown_period", False)
    assert verdict.reason == "XAUUSD was closed 1 candle ago: no entry for 1 candle yet"
    assert reads == [(OPEN_MS - 120_000, "XAUUSD")]
    assert judged(view=view).rule == "ok"
    assert len(reads) == 1  # where no protection is configured the past is not read
