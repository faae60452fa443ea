"""First stage: what it notes of its source, and how it fails and heals."""

import numpy as np
import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.fetching import NO_ANSWER, SHOWN, begun_desk, ended, fetch, fetched, places
from trading.errors import BadCandle, Transient
from trading.events.event import EventType
from trading.lifecycle import ServiceState
from trading.market.candles import Candles
from trading.market.feed_health import FeedHistory, FeedSnapshot
from trading.services.chain import ChainOutcome
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles


@pytest.fixture
def desk(databases: Databases) -> Desk:
    return begun_desk(databases)


def memory_of(desk: Desk) -> FeedHistory:
    history = desk.store.feed(SYMBOL)
    assert history is not None, "no answer was noted"
    return history


def test_fetch_without_a_new_candle_notes_market_time_and_newest_candle(desk: Desk) -> None:
    desk.source.now_ms = at_place(SHOWN) + 44_000
    ended(desk)

    assert memory_of(desk).snapshot == FeedSnapshot(at_place(SHOWN) + 44_000, at_place(SHOWN - 1))


def test_fetch_that_is_decided_notes_market_time_and_newest_candle(desk: Desk) -> None:
    desk.advance(show=1)

    assert memory_of(desk).snapshot == FeedSnapshot(desk.source.as_of_ms, at_place(SHOWN))
    assert memory_of(desk).cursor_ms == at_place(SHOWN)


def test_fetch_that_catches_up_notes_the_newest_candle_of_the_source_not_of_its_batch(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({})), make_candles(700), shown=10)
    desk.advance()

    desk.advance(show=600)

    assert desk.cursor == 509
    assert memory_of(desk).snapshot.newest_ms == at_place(609)


def test_fetch_of_a_source_that_shows_nothing_notes_that(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.source, "_bars", Candles.empty)
    desk.source.now_ms = at_place(SHOWN + 10)

    assert ended(desk).reason is ChainOutcome.NO_NEW_CANDLE
    assert memory_of(desk).snapshot == FeedSnapshot(at_place(SHOWN + 10), 0)


@pytest.mark.parametrize("show", [0, 1])
def test_fetch_of_a_recording_at_its_end_notes_that_it_is_over(
    desk: Desk, show: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = desk.source.newest
    monkeypatch.setattr(desk.source, "newest", lambda *args, **kw: replace(newest(*args, **kw), is_over=True))

    desk.advance(show=show)

    assert memory_of(desk).snapshot.is_over


def test_fetch_that_fails_notes_nothing(desk: Desk) -> None:
    ended(desk)
    before = memory_of(desk)
    desk.source.failures = [NO_ANSWER] * 4
    desk.source.now_ms = at_place(SHOWN + 9)

    with pytest.raises(Transient):
        fetch(desk)
    assert memory_of(desk) == before


def test_fetch_every_tick_notes_each_answer(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = Desk(databases, system_config(planned({}), services=services), make_candles(60), shown=SHOWN)
    desk.advance()
    desk.source.now_ms = at_place(SHOWN) + 50_000
    desk.advance()

    assert memory_of(desk).snapshot == FeedSnapshot(at_place(SHOWN) + 50_000, at_place(SHOWN - 1))


def test_fetch_after_an_error_has_the_source_open_its_connections_anew(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 4
    with pytest.raises(Transient):
        fetch(desk)
    call_count = len(desk.source.calls)

    ended(desk)

    assert desk.source.calls[call_count:] == ["close", "newest"]
    assert desk.source.calls.count("close") == 1


def test_fetch_that_is_stopped_gives_back_the_connections_of_its_source(desk: Desk) -> None:
    desk.pipeline.fetch.stop()

    assert desk.source.calls[-1] == "close"


def test_fetch_whose_source_cannot_even_be_closed_continues_failing_and_recovers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.source.failures = [NO_ANSWER] * 4
    with pytest.raises(Transient):
        fetch(desk)
    with monkeypatch.context() as patch:
        patch.setattr(desk.source, "close", lambda: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                fetch(desk)
    assert desk.pipeline.fetch.get_status()["state"] == "error"

    assert places(fetched(desk, show=1)) == [SHOWN]


def test_fetch_status_reports_whether_waiting_recovers_and_how_long_it_has_failed(desk: Desk) -> None:
    service = desk.pipeline.fetch

    def status() -> tuple[bool, int, int]:
        found = service.get_status()
        return found["is_transient"], found["consecutive_errors"], found["error_count"]

    assert status() == (False, 0, 0)
    for failed in (1, 2):
        desk.source.failures = [NO_ANSWER] * 4
        with pytest.raises(Transient):
            fetch(desk)
        assert status() == (True, failed, failed)
    good = desk.source.candles
    desk.source.spoil(SHOWN, close=np.nan)
    with pytest.raises(BadCandle):
        fetch(desk, show=1)
    assert status() == (False, 3, 3)
    desk.source.candles = good
    fetched(desk)
    assert status() == (False, 0, 3)


def test_fetch_error_then_success_goes_through_recovering_to_running_and_counts(desk: Desk) -> None:
    service = desk.pipeline.fetch
    states = []
    desk.pipeline.bus.subscribe(lambda _: states.append(service.state), EventType.SERVICE_ERROR)
    for failed in (1, 2):
        desk.source.failures = [NO_ANSWER] * 4
        with pytest.raises(Transient):
            fetch(desk, show=1 if failed == 1 else 0)
        status = service.get_status()
        assert (status["state"], status["is_healthy"], status["error_count"]) == ("error", False, failed)
        assert status["recovery_attempts"] == failed - 1
        assert status["last_error"] == "Transient: exchange: no answer"

    processed = service.get_status()["processed_count"]
    fetched(desk)

    status = service.get_status()
    assert states == [ServiceState.ERROR], "the same error again is no news"
    assert (status["state"], status["is_healthy"], status["error_count"]) == ("running", True, 2)
    assert (status["processed_count"], status["recovery_attempts"]) == (processed + 1, 0)
    [recovered] = [event for event in desk.events_of(EventType.SERVICE_STARTED) if "recovered" in event.reason]
    assert recovered.reason == "recovered at attempt 2"
