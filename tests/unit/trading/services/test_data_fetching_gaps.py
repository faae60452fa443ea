"""First stage: candles that are missing, and hours at which there are none."""

import numpy as np
import pytest

from tests.fakes import Databases, Desk
from tests.fixtures.fetching import SHOWN, begun_desk, failures, fetched, make_desk, places
from trading.errors import Rejected
from trading.lifecycle import DesiredState
from trading.market.calendars import calendar_hours
from trading.market.candles import Candles
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles, place_of


@pytest.fixture
def desk(databases: Databases) -> Desk:
    return begun_desk(databases)


def test_fetch_gap_in_session_is_flagged_and_the_symbol_continues(desk: Desk) -> None:
    desk.source.drop(SHOWN, SHOWN + 1)

    message = fetched(desk, show=3)

    assert places(message) == [SHOWN + 2, SHOWN + 3, SHOWN + 4]
    [event] = failures(desk)
    assert event.details == {"missing": 2}
    assert event.market_ms == at_place(SHOWN + 2)


def test_fetch_gap_inside_a_batch_is_flagged_like_one_before_it(desk: Desk) -> None:
    desk.source.drop(SHOWN + 2, SHOWN + 5, SHOWN + 6)

    fetched(desk, show=7)

    assert [(place_of(event.market_ms), event.details["missing"]) for event in failures(desk)] == [
        (SHOWN + 3, 1),
        (SHOWN + 7, 2),
    ]


def test_fetch_gaps_of_the_same_length_are_each_flagged(desk: Desk) -> None:
    desk.source.drop(SHOWN + 1, SHOWN + 3)
    desk.play(SHOWN + 4)
    desk.source.drop(SHOWN + 4)
    desk.play(SHOWN + 6)

    assert [event.details for event in failures(desk)] == [{"missing": 1}] * 3


def test_fetch_gap_while_the_market_was_closed_is_none(databases: Databases) -> None:
    closed = {"kind": "weekly", "timezone": "UTC", "opens": "sun 18:00", "closes": "fri 17:00"}
    desk = make_desk(databases, session={**closed, "daily_break": "00:20-00:25"})
    desk.advance()
    desk.source.drop(*range(20, 25))
    desk.source.drop(26)

    message = fetched(desk, show=4)

    assert places(message)[0] == 25
    assert [(place_of(event.market_ms), event.details) for event in failures(desk)] == []


def test_fetch_gap_partly_in_session_counts_only_the_minutes_that_were_open(databases: Databases) -> None:
    closed = {"kind": "weekly", "timezone": "UTC", "opens": "sun 18:00", "closes": "fri 17:00"}
    desk = make_desk(databases, session={**closed, "daily_break": "00:20-00:25"})
    desk.advance()
    desk.source.drop(*range(20, 28))

    fetched(desk, show=1)

    assert [event.details["missing"] for event in failures(desk)] == [3]


@pytest.mark.parametrize("hours", [23, 25])
def test_fetch_day_on_which_clocks_change_is_no_gap(databases: Databases, hours: int) -> None:
    desk = make_desk(databases, timeframe="1d")
    days = make_candles(12)
    starts = at_place(0) + np.arange(12, dtype=np.int64) * 86_400_000
    starts[6:] += (hours - 24) * 3_600_000
    desk.source.candles, desk.source.shown = Candles(starts, days.values), 11
    desk.store.seed(
        SYMBOL, desk.source.candles[:4], timeframe="1d", cursor_ms=int(starts[3]), desired=DesiredState.RUNNING
    )
    desk.source.now_ms = int(starts[11]) + 1_000

    assert len(fetched(desk).candles) == 7
    assert failures(desk) == []


def test_fetch_gap_beyond_the_end_of_a_calendar_is_flagged_and_the_symbol_continues(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_known(ms: int) -> bool:
        raise Rejected("session", f"{ms} is beyond the end")

    desk = make_desk(databases, session={"kind": "calendar", "calendar": "24/7"})
    desk.advance()
    monkeypatch.setattr(calendar_hours("24/7"), "is_open", not_known)
    desk.source.drop(SHOWN, SHOWN + 1)

    assert places(fetched(desk, show=1)) == [SHOWN + 2]
    assert [event.details for event in failures(desk)] == [{"missing": 2}]
