"""Health of a price feed, judged from its last answers. Pure: every observation is an argument.

A source that fails raises an error. A source that keeps answering without a new candle does not: it is detected by the
candles that the open market should have produced since the newest one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from trading.formatting import format_time
from trading.lifecycle import ServiceState
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe

SILENT_CANDLES = 3
"""Number of candles that may be missing. Exchanges publish a candle seconds late, and a thin market skips a minute now
and then; from the fourth on, no entry would be fresh enough."""

SILENT_AT_LEAST_S = 5.0
"""Minimum real duration of a silence, in seconds. A fast replay makes three candles within milliseconds: nobody could
react to so short a silence, and the machine itself may have been busy for as long."""

_MOST_SLOTS = 10_000
"""One week of minutes: a feed with an older newest candle is judged by the last week alone."""


class FeedSnapshot(Struct, frozen=True):
    """The market as one answer of a source showed it. Times are in milliseconds since the epoch, UTC.

    Attributes:
        market_ms: Market time of the answer.
        newest_ms: Open time of the newest closed candle in it; 0 if there was none.
        is_over: No candle will follow: a recording has ended.
    """

    market_ms: int
    newest_ms: int
    is_over: bool = False


class FeedHistory(Struct, frozen=True):
    """The stored history of a source's answers. Times are in milliseconds since the epoch, UTC.

    Attributes:
        snapshot: Snapshot of the last answer.
        answered_ms: Wall clock at the last answer.
        moved_ms: Wall clock at the first answer with this market time: a source that repeats an old answer also repeats
            its market time.
        cursor_ms: Open time of the last decided candle; 0 before the first.
    """

    snapshot: FeedSnapshot
    answered_ms: int
    moved_ms: int
    cursor_ms: int


class FeedTerms(Struct, frozen=True):
    """Properties of a feed.

    Attributes:
        timeframe: Timeframe of its candles, for messages.
        speed: Seconds of market time per real second; None for a market that waits for its reader.
        session: The hours in which the market trades.
        is_realtime: The market runs in real time: its time is the wall clock.
    """

    timeframe: str
    timeframe_ms: int
    speed: float | None
    session: Session
    is_realtime: bool = False


class FeedTroubleKind(StrEnum):
    """Kinds of feed problems."""

    ERROR = "error"
    SILENT = "silent"
    REPEATING = "repeating"


class FeedIssue(Struct, frozen=True):
    """One problem of a feed.

    Attributes:
        reason: Description of the observation, with its values.
        missing: Closed candles that the market should have shown since the newest one; 0 while it is closed.
        is_transient: Waiting resolves it. False for an internal error.
    """

    kind: FeedTroubleKind
    reason: str
    missing: int
    is_transient: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def feed_issue(
    history: FeedHistory | None, terms: FeedTerms, *, now_ms: int, fetch: Mapping[str, Any] | None = None
) -> FeedIssue | None:
    """Return the problem of a feed, or None if it is healthy.

    Silence is no problem while the market is closed, before the first candle, or after the last one of a recording. It
    is judged at the time of the last answer: nothing is known of a source that is not polled.

    Args:
        history: None before the first answer.
        now_ms: The wall clock.
        fetch: Status of the service that polls the source, as `Service.get_status` returns it.
    """
    if fetch is not None and fetch.get("state") == ServiceState.ERROR:
        missing = 0 if history is None else _missing(history, terms, now_ms)
        error = str(fetch.get("last_error") or "no reason given")
        return FeedIssue(FeedTroubleKind.ERROR, error, missing, is_transient=bool(fetch.get("is_transient")))
    if history is None:
        return None
    missing = _missing(history, terms, history.answered_ms)
    if missing <= SILENT_CANDLES or not _is_long(missing, terms):
        return None
    newest = format_time(_newest_ms(history))
    since = f"{missing} candles of {terms.timeframe} are missing since the one of {newest}, and the market is open"
    if history.snapshot.newest_ms:
        return FeedIssue(FeedTroubleKind.REPEATING, f"the source shows the same candle again: {since}", missing)
    return FeedIssue(FeedTroubleKind.SILENT, f"the source answers and shows no candle: {since}", missing)


def market_now_ms(history: FeedHistory, terms: FeedTerms, *, now_ms: int) -> int:
    """Return the present market time without polling the source, in milliseconds since the epoch, UTC.

    Args:
        now_ms: The wall clock.
    """
    if terms.is_realtime:
        return now_ms
    if terms.speed is None or history.snapshot.is_over:
        return history.snapshot.market_ms
    return history.snapshot.market_ms + int(max(0, now_ms - history.moved_ms) * terms.speed)


def _missing(history: FeedHistory, terms: FeedTerms, now_ms: int) -> int:
    """Count the candles that should have closed since the newest one, at wall-clock time `now_ms`."""
    newest_ms = _newest_ms(history)
    market_ms = market_now_ms(history, terms, now_ms=now_ms)
    if history.snapshot.is_over or not newest_ms or not terms.session.may_be_open(market_ms):
        return 0
    grid = Timeframe.parse(terms.timeframe)
    slots = grid.expected(newest_ms, market_ms + 1, most=_MOST_SLOTS + 2).tolist()
    closed = [open_ms for open_ms in slots if grid.close_of(open_ms) <= market_ms]
    return sum(map(terms.session.may_be_open, closed[-_MOST_SLOTS:]))


def _newest_ms(history: FeedHistory) -> int:
    """Return the open time of the newest candle seen so far; 0 for none."""
    return max(history.snapshot.newest_ms, history.cursor_ms)


def _is_long(missing: int, terms: FeedTerms) -> bool:
    speed = 1.0 if terms.is_realtime else terms.speed
    return speed is None or missing * terms.timeframe_ms / 1000 / speed >= SILENT_AT_LEAST_S
