"""The loss of a day is that of the decision's day, which begins as the account sets it; in SQL and in memory alike."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.engine import Engine

from adapters.ledger.ledger import SqlLedger
from adapters.ledger.memory import MemoryLedger
from tests.fixtures.losses import lose
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.rules import evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Signal, SignalSide

pytest_plugins = ("tests.fixtures.servers.databases",)

NEW_YORK = TradingDay(starts="17:00", timezone="America/New_York")
BALANCE = 100_000.0
DAY_MS = 86_400_000
AnyLedger = SqlLedger | MemoryLedger
MakeLedger = Callable[[TradingDay], AnyLedger]


@pytest.fixture(params=["sql", "memory"])
def make_ledger(request: pytest.FixtureRequest, engine: Engine) -> MakeLedger:
    if request.param == "memory":
        return lambda day: MemoryLedger("main", BALANCE, day)
    return lambda day: SqlLedger(engine, "main", BALANCE, day)


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def enter(ledger: AnyLedger, risk: float, *, open_ms: int, at_ms: int) -> RiskDecision:
    """Request an entry on a candle of a day that risks this much, decided at a time."""
    signal = Signal(
        strategy="turn", open_ms=open_ms, side=SignalSide.BUY, price=3_000.0, stop_loss=3_000.0 - risk, reason="test"
    )
    account = AccountLimits(name="main", starting_balance=BALANCE, max_daily_loss=2_000.0)

    def by_the_rules(view: AccountSnapshot) -> RiskDecision:
        limits = RiskLimits(units=1.0)
        return evaluate_signal(view, signal, symbol="EURUSD", timeframe="1d", account=account, limits=limits)

    decided = ledger.decide("EURUSD", "turn", open_ms, by_the_rules, correlation_id="e", at_ms=at_ms)
    assert decided.verdict is not None
    return decided.verdict


@pytest.mark.parametrize("late_hours", [0, 10])
def test_entry_on_a_candle_of_the_day_before_counts_the_loss_of_today(make_ledger: MakeLedger, late_hours: int) -> None:
    ledger, today_ms = make_ledger(UTC_DAY), at("2024-01-05")
    lose(ledger, 1_949.0, today_ms)

    verdict = enter(ledger, 1_950.0, open_ms=today_ms - DAY_MS, at_ms=today_ms + late_hours * 3_600_000)

    assert (verdict.is_accepted, verdict.rule) == (False, "max_daily_loss")


def test_entry_of_the_next_day_has_the_whole_limit(make_ledger: MakeLedger) -> None:
    ledger, today_ms = make_ledger(UTC_DAY), at("2024-01-05")
    lose(ledger, 1_949.0, today_ms)

    assert enter(ledger, 1_950.0, open_ms=today_ms, at_ms=today_ms + DAY_MS).is_accepted


@pytest.mark.parametrize(
    ("lost", "decided", "is_same_day"),
    [
        ("2024-01-04T16:59", "2024-01-04T17:00", False),
        ("2024-01-04T17:00", "2024-01-05T16:59", True),
        ("2024-01-04T23:00", "2024-01-05T01:00", True),  # midnight in New York, and before it in UTC, change nothing
        ("2024-03-09T17:00", "2024-03-10T16:59", True),  # 23 hours
        ("2024-03-09T17:00", "2024-03-10T17:00", False),
        ("2024-11-02T17:00", "2024-11-03T16:59", True),  # 25 hours
        ("2024-11-03T16:59", "2024-11-03T17:00", False),
    ],
)
def test_day_from_17_00_in_new_york_begins_there_in_winter_and_summer(
    make_ledger: MakeLedger, lost: str, decided: str, is_same_day: bool
) -> None:
    ledger, at_ms = make_ledger(NEW_YORK), at(decided, "America/New_York")
    lose(ledger, 1_949.0, at(lost, "America/New_York"))

    verdict = enter(ledger, 1_950.0, open_ms=at_ms - DAY_MS, at_ms=at_ms)

    assert verdict.is_accepted is not is_same_day


def test_losses_of_a_day_add_up_over_midnight_utc(make_ledger: MakeLedger) -> None:
    ledger = make_ledger(NEW_YORK)
    lose(ledger, 900.0, at("2024-01-04T23:00"), 1)
    lose(ledger, 900.0, at("2024-01-05T01:00"), 2)

    at_ms = at("2024-01-05T12:00")
    assert not enter(ledger, 201.0, open_ms=at_ms - DAY_MS, at_ms=at_ms).is_accepted
    assert enter(ledger, 200.0, open_ms=at_ms, at_ms=at_ms + 1).is_accepted
