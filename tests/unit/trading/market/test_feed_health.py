"""Issues of a feed, diagnosed without polling it: by missing candles, and only while the market is open."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market.feed_health import (
    SILENT_CANDLES,
    FeedHistory,
    FeedIssue,
    FeedSnapshot,
    FeedTerms,
    FeedTroubleKind,
    feed_issue,
    market_now_ms,
)
from trading.market.sessions import Session
from trading.structs import replace

MINUTE_MS = 60_000
MONDAY_MS = int(datetime.fromisoformat("2026-03-02T12:00+00:00").timestamp() * 1000)
WALL_MS = 1_800_000_000_000
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)
ALWAYS = FeedTerms("1m", MINUTE_MS, 1.0, Session())


def ms(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


def answered(
    *, after_minutes: float, newest_ms: int = MONDAY_MS, shows: bool = True, is_over: bool = False
) -> FeedHistory:
    """Return the memory of an answer so long after the newest candle opened; `shows` says whether it has that one."""
    snapshot = FeedSnapshot(newest_ms + int(after_minutes * MINUTE_MS), newest_ms if shows else 0, is_over)
    return FeedHistory(snapshot, WALL_MS, WALL_MS, newest_ms)


def trouble(
    history: FeedHistory | None, terms: FeedTerms = ALWAYS, *, fetch: Mapping[str, Any] | None = None
) -> FeedIssue | None:
    return feed_issue(history, terms, now_ms=WALL_MS, fetch=fetch)


def kind(history: FeedHistory | None, terms: FeedTerms = ALWAYS) -> str | None:
    found = trouble(history, terms)
    return None if found is None else found.kind


# The candle of 12:00 closes at 12:01; one that closes at 12:05 is the fourth after it.
@pytest.mark.parametrize(
    ("after_minutes", "expected"),
    [(1.0, None), (2.5, None), (4.99, None), (5.0, "repeating"), (600.0, "repeating")],
)
def test_feed_that_shows_the_same_candle_is_repeating_from_the_fourth_missing_one(
    after_minutes: float, expected: str | None
) -> None:
    assert kind(answered(after_minutes=after_minutes)) == expected


def test_feed_that_shows_no_candle_is_silent_and_reports_how_many_are_missing_since_when() -> None:
    found = trouble(answered(after_minutes=11, shows=False))

    assert found is not None
    assert (found.kind, found.missing, found.is_transient) == (FeedTroubleKind.SILENT, 10, True)
    assert str(found) == (
        "silent: the source answers and shows no candle: "
        "10 candles of 1m are missing since the one of 2026-03-02 12:00 UTC, and the market is open"
    )


def test_feed_before_its_first_answer_or_its_first_candle_is_not_unhealthy() -> None:
    nothing = FeedHistory(FeedSnapshot(MONDAY_MS, 0), WALL_MS, WALL_MS, 0)

    assert trouble(None) is None
    assert trouble(replace(nothing, answered_ms=WALL_MS + 10**9)) is None


@pytest.mark.parametrize(
    ("newest", "market", "missing"),
    [
        ("2026-03-06T21:59", "2026-03-08T21:59", 0),  # from Friday's close to a minute before Sunday's opening
        ("2026-03-06T21:59", "2026-03-08T22:03", 0),  # three candles of Sunday: not yet too many
        ("2026-03-06T21:59", "2026-03-08T22:04", 4),
        ("2026-03-06T21:54", "2026-03-06T21:59", 4),  # it falls silent before the close
        ("2026-03-06T21:54", "2026-03-07T12:00", 0),  # while the market is closed that is nobody's trouble
        ("2026-03-06T21:54", "2026-03-08T22:00", 5),  # and when it opens again it is
        ("2026-03-03T21:59", "2026-03-03T22:59", 0),  # the daily break
    ],
)
def test_feed_is_unhealthy_by_the_candles_of_open_hours_alone(newest: str, market: str, missing: int) -> None:
    terms = replace(ALWAYS, session=GOLD)
    history = FeedHistory(FeedSnapshot(ms(market), ms(newest)), WALL_MS, WALL_MS, ms(newest))

    found = trouble(history, terms)

    assert (found.missing if found else 0) == missing


def test_feed_of_a_holiday_is_healthy_by_a_calendar_and_unhealthy_by_the_week() -> None:
    by_calendar = Session(kind="calendar", calendar="XNYS")
    by_week = Session(
        kind="weekly", timezone="America/New_York", opens="mon 09:30", closes="fri 16:00", daily_break="16:00-09:30"
    )
    thanksgiving = FeedHistory(FeedSnapshot(ms("2025-11-27T18:00"), ms("2025-11-26T20:59")), WALL_MS, WALL_MS, 0)

    assert kind(thanksgiving, replace(ALWAYS, session=by_calendar)) is None
    assert kind(thanksgiving, replace(ALWAYS, session=by_week)) == "repeating"


def test_feed_of_a_recording_at_its_end_is_not_unhealthy_however_long_it_lasts() -> None:
    assert kind(answered(after_minutes=10_000, is_over=True)) is None


def test_feed_is_judged_by_the_newest_candle_that_was_ever_seen() -> None:
    behind = FeedHistory(FeedSnapshot(MONDAY_MS + 10 * MINUTE_MS, 0), WALL_MS, WALL_MS, MONDAY_MS + 8 * MINUTE_MS)

    assert trouble(behind) is None


def test_feed_whose_reader_catches_up_is_judged_by_what_the_source_shows() -> None:
    newest_ms = MONDAY_MS + 599 * MINUTE_MS
    behind = FeedHistory(FeedSnapshot(newest_ms + MINUTE_MS, newest_ms), WALL_MS, WALL_MS, MONDAY_MS)

    assert trouble(behind) is None


def test_feed_that_repeats_a_whole_answer_with_its_market_time_is_found_by_the_clock() -> None:
    stuck = answered(after_minutes=1)
    seen_after_s = [60, 180, 239, 240, 600]

    kinds = [kind(replace(stuck, answered_ms=WALL_MS + after_s * 1000)) for after_s in seen_after_s]

    assert kinds == [None, None, None, "repeating", "repeating"]


def test_feed_that_nobody_queries_any_more_is_not_called_silent() -> None:
    assert feed_issue(answered(after_minutes=1), ALWAYS, now_ms=WALL_MS + 10**9) is None


def test_feed_of_a_market_that_waits_for_its_reader_does_not_grow_old() -> None:
    waiting = replace(ALWAYS, speed=None)

    assert kind(replace(answered(after_minutes=1), answered_ms=WALL_MS + 10**9), waiting) is None


@pytest.mark.parametrize(("speed", "needed"), [(1.0, 4), (60.0, 5), (600.0, 50), (None, 4)])
def test_feed_of_a_fast_market_is_unhealthy_after_seconds_of_real_time(speed: float | None, needed: int) -> None:
    terms = replace(ALWAYS, speed=speed)

    assert kind(answered(after_minutes=needed), terms) is None
    assert kind(answered(after_minutes=needed + 1), terms) == "repeating"


def test_feed_of_the_worlds_own_market_is_judged_by_the_wall_clock() -> None:
    terms = replace(ALWAYS, is_realtime=True)
    late = FeedHistory(FeedSnapshot(WALL_MS - 600_000, WALL_MS - 660_000), WALL_MS, WALL_MS, 0)

    assert kind(late, terms) == "repeating"
    assert kind(replace(late, snapshot=FeedSnapshot(WALL_MS, WALL_MS - 90_000)), terms) is None


@pytest.mark.parametrize("is_transient", [True, False])
def test_feed_whose_service_fails_is_in_error_and_reports_whether_waiting_recovers_it(is_transient: bool) -> None:
    fetch = {"state": "error", "last_error": "Transient: exchange: no answer", "is_transient": is_transient}
    history = answered(after_minutes=1)

    found = feed_issue(history, ALWAYS, now_ms=WALL_MS + 10 * MINUTE_MS, fetch=fetch)

    assert found == FeedIssue(FeedTroubleKind.ERROR, "Transient: exchange: no answer", 10, is_transient)
    assert trouble(None, fetch=fetch) is not None
    assert trouble(history, fetch={**fetch, "state": "running"}) is None


def test_market_time_continues_at_its_speed_from_the_answer_that_showed_it_first() -> None:
    history = replace(answered(after_minutes=1), answered_ms=WALL_MS + 9_000)
    at_ms = history.snapshot.market_ms

    assert market_now_ms(history, replace(ALWAYS, speed=60.0), now_ms=WALL_MS + 10_000) == at_ms + 600_000
    assert market_now_ms(history, ALWAYS, now_ms=WALL_MS - 5_000) == at_ms, "another host's clock is behind"
    assert market_now_ms(history, replace(ALWAYS, speed=None), now_ms=WALL_MS + 10_000) == at_ms
    assert market_now_ms(history, replace(ALWAYS, is_realtime=True), now_ms=WALL_MS + 10_000) == WALL_MS + 10_000
    over = replace(history, snapshot=replace(history.snapshot, is_over=True))
    assert market_now_ms(over, ALWAYS, now_ms=WALL_MS + 10_000) == at_ms


@given(st.integers(0, 20_000), st.integers(0, 59_999), st.integers(0, 7 * 1440))
def test_feed_that_shows_each_candle_as_it_closes_is_never_unhealthy(minute: int, late_ms: int, begun: int) -> None:
    market_ms = MONDAY_MS + (begun + minute) * MINUTE_MS + late_ms
    newest_ms = next(
        at_ms for at_ms in range(market_ms - market_ms % MINUTE_MS - MINUTE_MS, 0, -MINUTE_MS) if GOLD.is_open(at_ms)
    )
    history = FeedHistory(FeedSnapshot(market_ms, newest_ms), WALL_MS, WALL_MS, 0)

    assert trouble(history, replace(ALWAYS, session=GOLD)) is None


@given(st.integers(1, 3 * 1440))
def test_feed_is_unhealthy_exactly_when_too_many_candles_of_open_hours_are_missing(minutes: int) -> None:
    newest_ms = ms("2026-03-06T12:00")
    snapshot = FeedSnapshot(newest_ms + (minutes + 1) * MINUTE_MS, newest_ms)
    missing = sum(GOLD.is_open(newest_ms + (at + 1) * MINUTE_MS) for at in range(minutes))

    found = trouble(FeedHistory(snapshot, WALL_MS, WALL_MS, 0), replace(ALWAYS, session=GOLD))

    assert (found is not None) == (missing > SILENT_CANDLES and GOLD.is_open(snapshot.market_ms))
    assert found is None or found.missing == missing


@pytest.mark.parametrize(
    ("timeframe", "newest", "now", "missing"),
    [
        ("1M", "2024-01-01T00:00", "2024-05-31T00:00", 3),
        ("1M", "2024-01-01T00:00", "2024-06-01T00:00", 4),
        ("1w", "2024-01-01T00:00", "2024-02-05T00:00", 4),
        ("1d@America/New_York,17:00", "2024-03-08T22:00", "2024-03-13T21:00", 4),  # 23 hours are a candle
        ("1d@America/New_York,17:00", "2024-03-08T22:00", "2024-03-13T20:59", 3),
    ],
)
def test_feed_of_calendar_candles_is_silent_by_their_calendar(
    timeframe: str, newest: str, now: str, missing: int
) -> None:
    terms = FeedTerms(timeframe, 86_400_000, None, Session())
    history = FeedHistory(FeedSnapshot(ms(now), ms(newest)), WALL_MS, WALL_MS, ms(newest))

    found = trouble(history, terms)

    assert (found.missing if found else missing) == missing
    assert (found is not None) is (missing > SILENT_CANDLES)
