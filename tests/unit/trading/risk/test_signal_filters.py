"""Entry validation: one table of the rejections and their reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.indicators.regime import Regime
from trading.market.sessions import EntryHours, Session
from trading.risk.signal_filters import ENTRY_RULES, EntryRules, checks, refusal
from trading.strategies.signal import Signal, SignalSide

GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)
RULES = EntryRules(max_signal_age_s=90)
STRICT = EntryRules(max_signal_age_s=90, session=GOLD, allowed_regimes=frozenset({Regime.RANGING, Regime.VOLATILE}))
OPEN_MS = 1_774_360_800_000  # Tuesday 24 March 2026, 14:00 UTC
SATURDAY_MS = OPEN_MS + 4 * 86_400_000
CLOSED_MS = OPEN_MS + 60_000


def signal(
    side: SignalSide = SignalSide.BUY,
    *,
    open_ms: int = OPEN_MS,
    stop_loss: float | None = None,
    take_profit: float | None = None,
) -> Signal:
    return Signal(
        strategy="s", open_ms=open_ms, side=side, price=100, stop_loss=stop_loss, take_profit=take_profit, reason="r"
    )


def rule_of(one: Signal, rules: EntryRules = RULES, *, age_s: float = 0, regime: Regime = Regime.RANGING) -> str | None:
    found = refusal(one, rules, timeframe="1m", as_of_ms=one.open_ms + 60_000 + round(age_s * 1000), regime=regime)
    return found.rule if found else None


@pytest.mark.parametrize(
    ("side", "stop", "target", "rule"),
    [
        (SignalSide.BUY, None, None, None),
        (SignalSide.BUY, 99, 101, None),
        (SignalSide.BUY, 101, None, "stop_side"),
        (SignalSide.BUY, 100, None, "stop_distance"),
        (SignalSide.BUY, 99, 99.5, "target_side"),
        (SignalSide.BUY, 99, 100, "target_side"),
        (SignalSide.SELL, 101, 99, None),
        (SignalSide.SELL, 99, None, "stop_side"),
        (SignalSide.SELL, 100, None, "stop_distance"),
        (SignalSide.SELL, 101, 101, "target_side"),
        (SignalSide.SELL, None, 100, "target_side"),
    ],
)
def test_entry_with_prices_on_the_wrong_side_is_rejected(
    side: SignalSide, stop: float | None, target: float | None, rule: str | None
) -> None:
    assert rule_of(signal(side, stop_loss=stop, take_profit=target)) == rule


@pytest.mark.parametrize(
    ("age_s", "rule"), [(0, None), (90, None), (90.001, "max_signal_age"), (7200, "max_signal_age")]
)
def test_entry_older_than_allowed_is_rejected(age_s: float, rule: str | None) -> None:
    assert rule_of(signal(), age_s=age_s) == rule


def test_entry_while_the_market_is_closed_is_rejected() -> None:
    assert rule_of(signal(), STRICT) is None
    assert rule_of(signal(open_ms=SATURDAY_MS), STRICT) == "session"


def test_entry_on_the_candle_that_ends_with_the_session_is_rejected() -> None:
    friday_17_new_york_ms = 1_774_645_200_000
    assert rule_of(signal(open_ms=friday_17_new_york_ms - 60_000), STRICT) == "session"
    assert rule_of(signal(open_ms=friday_17_new_york_ms - 120_000), STRICT) is None


@pytest.mark.parametrize(
    ("regime", "rule"), [(Regime.VOLATILE, None), (Regime.TRENDING_UP, "regime"), (Regime.UNKNOWN, "regime")]
)
def test_entry_in_a_regime_that_is_not_allowed_is_rejected(regime: Regime, rule: str | None) -> None:
    assert rule_of(signal(), STRICT, regime=regime) == rule


def test_close_signal_is_never_rejected() -> None:
    late = signal(SignalSide.CLOSE, open_ms=SATURDAY_MS)
    assert rule_of(late, STRICT, age_s=86_400, regime=Regime.TRENDING_UP) is None


def test_refusal_reports_the_numbers() -> None:
    old = refusal(signal(), RULES, timeframe="1m", as_of_ms=CLOSED_MS + 120_500)
    crossed = refusal(signal(stop_loss=101.5), RULES, timeframe="1m", as_of_ms=CLOSED_MS)
    assert str(old) == "max_signal_age: the candle closed 120.5 s ago, the limit is 90 s"
    assert str(crossed) == "stop_side: the stop 101.5 of a buy is above the price 100"


HOURS = EntryHours(timezone="UTC", hours=("13:00-15:00",))


@pytest.mark.parametrize(
    ("hours", "is_met"), [(None, True), (HOURS, True), (EntryHours(hours=("07:00-11:00",)), False)]
)
def test_checks_of_an_entry_name_every_rule_of_the_list(hours: EntryHours | None, *, is_met: bool) -> None:
    rules = RULES.model_copy(update={"entry_hours": hours})

    found = checks(signal(), rules, timeframe="1m", as_of_ms=CLOSED_MS, regime=Regime.RANGING)

    assert [one.rule for one in found] == [rule.name for rule in ENTRY_RULES]
    assert {one.rule: one.is_met for one in found} == {rule.name: True for rule in ENTRY_RULES} | {
        "entry_hours": is_met
    }
    assert rule_of(signal(), rules) == (None if is_met else "entry_hours")


@given(
    side=st.sampled_from(SignalSide),
    stop=st.sampled_from([None, 99.0, 100.0, 101.0]),
    target=st.sampled_from([None, 99.0, 101.0]),
    age_s=st.sampled_from([0, 90, 91]),
    day=st.integers(0, 6),
    regime=st.sampled_from(Regime),
    hours=st.sampled_from([None, HOURS]),
)
def test_checks_of_any_signal_refuse_first_what_the_refusal_names(
    side: SignalSide,
    stop: float | None,
    target: float | None,
    age_s: int,
    day: int,
    regime: Regime,
    hours: EntryHours | None,
) -> None:
    one = signal(side, open_ms=OPEN_MS + day * 90_000_000, stop_loss=stop, take_profit=target)
    rules = STRICT.model_copy(update={"entry_hours": hours})
    as_of_ms = one.open_ms + 60_000 + age_s * 1000

    refused = refusal(one, rules, timeframe="1m", as_of_ms=as_of_ms, regime=regime)
    checked = checks(one, rules, timeframe="1m", as_of_ms=as_of_ms, regime=regime)

    first = next(((check.rule, check.reason) for check in checked if not check.is_met), None)
    assert first == (refused and (refused.rule, refused.reason))
