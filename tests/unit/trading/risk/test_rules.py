"""The risk decision: rules, sizes and limits for one signal."""

import pytest
from pydantic import ValidationError

from tests.unit.trading.risk.signal_cases import FREE, OPEN_MS, VIEW, signal, verdict_of
from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading.portfolio.positions import Position
from trading.risk.open_book import OpenBook
from trading.risk.rules import AccountLimits, RiskLimits
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Refusal, Signal, SignalSide
from trading.structs import replace

LONG = Position("XAUUSD", "ema", units=2.0, average_price=100.0, stop_loss=95.0)
SHORT = Position("XAUUSD", "ema", units=-2.0, average_price=100.0, stop_loss=105.0)
FRACTION = RiskLimits(sizing="risk_fraction", risk_fraction=0.01, unit_step=0.1)
CLOSE = signal(SignalSide.CLOSE, stop_loss=None)
SELL = signal(SignalSide.SELL, stop_loss=105.0)
REFUSED = signal(entry_refused=Refusal(rule="max_signal_age", reason="too old"))


def legs(verdict: RiskDecision) -> list[tuple[Leg, Side, float]]:
    return [(one.request.leg, one.request.side, one.request.units) for one in verdict.planned]


def held(position: Position, **changes: float) -> AccountSnapshot:
    book = OpenBook("XAUUSD", "ema", position.units, position.average_price, position.stop_loss, price=100.0)
    return replace(VIEW, position=position, open_positions=1, books=(book,), **changes)  # type: ignore[arg-type]  # numbers only


ENTRY = [(Leg.ENTRY, Side.BUY, 1.0)]
EXIT_LONG, EXIT_SHORT = (Leg.EXIT, Side.SELL, 2.0), (Leg.EXIT, Side.BUY, 2.0)
PAUSED, STOPPED = replace(VIEW, desired=DesiredState.PAUSED), replace(VIEW, desired=DesiredState.STOPPED)
SET_ASIDE = replace(VIEW, quarantined="XAUUSD was quarantined: no candles for an hour")
TWO_AT_MOST = AccountLimits(name="main", starting_balance=10_000, max_open_positions=2)
LOSS_50 = AccountLimits(name="main", starting_balance=10_000, max_daily_loss=50)


@pytest.mark.parametrize(
    ("one", "view", "rule", "planned"),
    [
        (signal(), VIEW, "ok", ENTRY),
        (signal(stop_loss=None), VIEW, "ok", ENTRY),
        (SELL, VIEW, "ok", [(Leg.ENTRY, Side.SELL, 1.0)]),
        (signal(), PAUSED, "paused", []),
        (signal(), SET_ASIDE, "quarantined", []),
        (signal(), replace(SET_ASIDE, desired=DesiredState.PAUSED), "paused", []),
        (signal(), replace(held(SHORT), quarantined="quarantined"), "quarantined", [EXIT_SHORT]),
        (CLOSE, replace(held(LONG), quarantined="quarantined"), "ok", [EXIT_LONG]),
        (signal(), STOPPED, "stopped", []),
        (signal(), replace(VIEW, has_unsettled=True), "unsettled", []),
        (signal(), replace(PAUSED, has_unsettled=True), "paused", []),
        (signal(), held(LONG), "position_open", []),
        (SELL, held(SHORT), "position_open", []),
        (SELL, held(LONG), "ok", [EXIT_LONG, (Leg.ENTRY, Side.SELL, 1.0)]),
        (signal(), held(SHORT), "ok", [EXIT_SHORT, *ENTRY]),
        (signal(), replace(held(SHORT), desired=DesiredState.PAUSED), "paused", [EXIT_SHORT]),
        (REFUSED, VIEW, "max_signal_age", []),
        (REFUSED, replace(VIEW, has_unsettled=True), "max_signal_age", []),
        (REFUSED, held(LONG), "position_open", []),
        (REFUSED, held(SHORT), "max_signal_age", [EXIT_SHORT]),
        (CLOSE, VIEW, "nothing_to_close", []),
        (CLOSE, held(LONG), "ok", [EXIT_LONG]),
        (CLOSE, held(SHORT), "ok", [EXIT_SHORT]),
        (CLOSE, replace(held(LONG), desired=DesiredState.PAUSED), "ok", [EXIT_LONG]),
        (CLOSE, replace(held(LONG), desired=DesiredState.STOPPED), "stopped", []),
        (CLOSE, replace(held(LONG), has_unsettled=True), "ok", [EXIT_LONG]),
        (CLOSE, replace(held(LONG), has_unsettled=True, has_unsettled_exit=True), "unsettled", []),
        (CLOSE, replace(VIEW, has_unsettled=True), "unsettled", []),
        (SELL, replace(held(LONG), has_unsettled=True), "unsettled", [EXIT_LONG]),
        (SELL, replace(held(LONG), has_unsettled=True, has_unsettled_exit=True), "unsettled", []),
        (CLOSE, replace(held(LONG), halted="3 units too many"), "halted", []),
        (signal(), replace(VIEW, halted="3 units too many"), "halted", []),
    ],
)
def test_judge_of_state_and_position_gives_the_rule_and_the_legs(
    one: Signal, view: AccountSnapshot, rule: str, planned: list[tuple[Leg, Side, float]]
) -> None:
    verdict = verdict_of(one, view)
    assert (verdict.rule, legs(verdict), verdict.breached) == (rule, planned, False)


@pytest.mark.parametrize(("choice", "rule", "planned"), [("close", "ok", [EXIT_LONG]), ("ignore", "ignored", [])])
def test_judge_of_an_opposite_signal_does_what_the_settings_say(
    choice: str, rule: str, planned: list[tuple[Leg, Side, float]]
) -> None:
    limits = RiskLimits.model_validate({"units": 1.0, "on_opposite_signal": choice})
    verdict = verdict_of(SELL, held(LONG), limits)
    assert (verdict.rule, legs(verdict)) == (rule, planned)


def test_judge_of_an_entry_writes_a_whole_order() -> None:
    (planned,) = verdict_of().planned
    assert planned.risk == 5.0
    assert planned.request == OrderRequest(
        client_order_id=client_order_id("main", "XAUUSD", "ema", OPEN_MS, Leg.ENTRY),
        symbol="XAUUSD",
        strategy="ema",
        leg=Leg.ENTRY,
        side=Side.BUY,
        units=1.0,
        reference_price=100.0,
        decided_ms=OPEN_MS + 60_000,
        stop_loss=95.0,
        take_profit=115.0,
    )


def test_judge_of_a_reversal_protects_the_entry_only() -> None:
    leaving, entering = verdict_of(SELL, held(LONG)).planned
    assert (leaving.request.stop_loss, leaving.request.take_profit, leaving.risk) == (None, None, 0.0)
    assert (entering.request.stop_loss, entering.risk) == (105.0, 5.0)
    assert leaving.request.client_order_id != entering.request.client_order_id


@pytest.mark.parametrize(
    ("limits", "one", "rule", "units"),
    [
        (FRACTION, signal(), "ok", 20.0),  # 1 % of 10,000 over a distance of 5
        (FRACTION, signal(stop_loss=93.0), "ok", 14.2),  # 14.2857 rounded down
        (FRACTION, signal(stop_loss=None), "no_stop", None),
        (FRACTION, signal(stop_loss=100.0), "no_stop", None),
        (FRACTION, signal(stop_loss=None, size_units=3.0), "ok", 3.0),
        (FRACTION.model_copy(update={"max_units": 7.55}), signal(), "ok", 7.5),
        (FRACTION.model_copy(update={"min_units": 20.1}), signal(), "below_min_units", None),
        (FRACTION.model_copy(update={"min_units": 20.0}), signal(), "ok", 20.0),
        (FRACTION.model_copy(update={"unit_step": 50.0}), signal(), "below_min_units", None),
        (RiskLimits(units=0.3, unit_step=0.1), signal(), "ok", 0.3),
        (RiskLimits(units=0.39, unit_step=0.1), signal(), "ok", 0.3),
        (RiskLimits(units=0.05, unit_step=0.1), signal(), "below_min_units", None),
        (RiskLimits(units=1.0, max_units=2.0), signal(size_units=5.0), "ok", 2.0),
        (RiskLimits(units=1.0, min_units=0.5), signal(size_units=0.4), "below_min_units", None),
    ],
)
def test_judge_of_a_size_rounds_down_and_keeps_the_bounds(
    limits: RiskLimits, one: Signal, rule: str, units: float | None
) -> None:
    verdict = verdict_of(one, limits=limits)
    assert verdict.rule == rule
    assert [plan.request.units for plan in verdict.planned] == ([] if units is None else [units])


def test_judge_of_an_empty_account_finds_no_equity() -> None:
    assert verdict_of(view=replace(VIEW, balance=-5.0), limits=FRACTION).rule == "equity"


@pytest.mark.parametrize(
    ("count", "rule"), [(0, "ok"), (1, "ok"), (2, "max_open_positions"), (3, "max_open_positions")]
)
def test_judge_of_a_new_position_needs_a_free_place(count: int, rule: str) -> None:
    verdict = verdict_of(view=replace(VIEW, open_positions=count), account=TWO_AT_MOST)
    assert (verdict.rule, verdict.breached, verdict.is_accepted) == (rule, rule != "ok", rule == "ok")


def test_judge_of_a_reversal_needs_no_further_place() -> None:
    verdict = verdict_of(SELL, replace(held(LONG), open_positions=2), account=TWO_AT_MOST)
    assert (verdict.rule, len(verdict.planned)) == ("ok", 2)


@pytest.mark.parametrize(
    ("day_realised", "open_risk", "stop_loss", "rule"),
    [
        (0.0, 0.0, 95.0, "ok"),
        (-20.0, 25.0, 95.0, "ok"),  # 20 + 25 + 5 is the limit itself
        (-20.0, 25.01, 95.0, "max_daily_loss"),
        (-45.01, 0.0, 95.0, "max_daily_loss"),
        (0.0, 0.0, None, "max_daily_loss"),  # without a stop all of the 100 may be lost
        (500.0, 45.0, 95.0, "ok"),
        (500.0, 46.0, 95.0, "max_daily_loss"),  # a profit makes no room for more risk
    ],
)
def test_judge_of_the_daily_loss_allows_the_limit_and_nothing_over(
    day_realised: float, open_risk: float, stop_loss: float | None, rule: str
) -> None:
    view = replace(VIEW, day_realised=day_realised, open_risk=open_risk)
    verdict = verdict_of(signal(stop_loss=stop_loss), view, account=LOSS_50)
    assert (verdict.rule, verdict.breached) == (rule, rule != "ok")


def test_judge_of_a_daily_loss_that_float_sums_overshoot_still_allows_the_limit() -> None:
    account = AccountLimits(name="main", starting_balance=10_000, max_daily_loss=0.3)
    view = replace(VIEW, day_realised=-0.1)
    assert -view.day_realised + 0.2 > 0.3
    assert verdict_of(signal(stop_loss=99.8), view, RiskLimits(units=1.0), account).rule == "ok"


@pytest.mark.parametrize(
    ("position", "open_risk", "rule"),
    [
        (LONG, 10.0, "ok"),
        (replace(LONG, average_price=122.6), 0.0, "max_daily_loss"),  # the exit itself loses 45.20
        (replace(LONG, average_price=122.5), 0.0, "ok"),
        (replace(LONG, stop_loss=None), 0.0, "max_daily_loss"),  # until it is closed, all of its 200 may be lost
    ],
)
def test_judge_of_a_reversal_counts_what_its_exit_loses(position: Position, open_risk: float, rule: str) -> None:
    verdict = verdict_of(SELL, held(position, open_risk=open_risk), account=LOSS_50)
    assert verdict.rule == rule
    assert legs(verdict)[0] == EXIT_LONG


@pytest.mark.parametrize(
    ("account", "limits", "one", "rule"),
    [
        (LOSS_50, RiskLimits(units=11.0), SELL, "max_daily_loss"),
        (FREE, FRACTION, signal(SignalSide.SELL, stop_loss=None), "no_stop"),
        (FREE, RiskLimits(units=1.0, unit_step=2.0), SELL, "below_min_units"),
    ],
)
def test_judge_of_a_reversal_that_may_not_enter_still_exits(
    account: AccountLimits, limits: RiskLimits, one: Signal, rule: str
) -> None:
    verdict = verdict_of(one, held(LONG), limits, account)
    assert (verdict.rule, legs(verdict), verdict.breached) == (rule, [EXIT_LONG], rule == "max_daily_loss")


def test_judge_reports_the_numbers() -> None:
    assert verdict_of().reason == "buy 1 units at 100, risk 5.00: EMA 20 crossed above EMA 50"
    refused = verdict_of(view=replace(VIEW, day_realised=-48.0, open_risk=3.0), account=LOSS_50)
    assert refused.reason == (
        "48.00 lost today, 3.00 at risk in open positions and 5.00 in this entry, the limit is 50.00"
    )


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "sizing fixed_units requires units"),
        ({"sizing": "risk_fraction", "units": 1}, "sizing risk_fraction requires risk_fraction"),
        ({"units": 0}, "greater than 0"),
        ({"sizing": "risk_fraction", "risk_fraction": 1.5}, "less than or equal to 1"),
        ({"units": 1, "min_units": 2, "max_units": 1}, "max_units is 1, below min_units 2"),
        ({"units": 1, "unit_step": 0}, "greater than 0"),
        ({"units": 1, "unit": 2}, "Extra inputs"),
        ({"units": float("inf")}, "finite number"),
    ],
)
def test_risk_limits_that_make_no_sense_are_rejected(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        RiskLimits.model_validate(settings)


@pytest.mark.parametrize("model", [RiskLimits, AccountLimits])
def test_each_limit_has_a_description(model: type[RiskLimits] | type[AccountLimits]) -> None:
    assert all(field.description for field in model.model_fields.values())
