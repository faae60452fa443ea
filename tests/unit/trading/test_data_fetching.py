"""First stage: each closed candle once, in order, and none that is corrupt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.fakes import SYMBOL, Databases, Desk, at_place, make_candles, place_of, planned, system_config
from trading.calendars import calendar_hours
from trading.candles import Candles
from trading.errors import BadCandle, Rejected, Transient
from trading.events import Event, EventType, NewCandle
from trading.feed import FeedMemory, Shown
from trading.flow import End, EndReason, Wake
from trading.lifecycle import DesiredState, ServiceState

SHOWN = 20
NO_ANSWER = Transient("exchange", "no answer")


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("desk"))


def make_desk(
    databases: Databases, *, shown: int = SHOWN, fetching: dict[str, object] | None = None, **symbol: Any
) -> Desk:
    config = system_config(planned({}), services={"data_fetching": fetching or {}}, **symbol)
    return Desk(databases, config, make_candles(120), shown=shown)


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that has decided the first `SHOWN` candles of its tape."""
    desk = make_desk(databases)
    desk.advance()
    assert desk.cursor == SHOWN - 1
    return desk


def fetch(desk: Desk, *, show: int = 0, expected_ms: int | None = None) -> NewCandle | End:
    desk.source.shown += show
    return desk.pipeline.fetch.handle(Wake(SYMBOL, expected_ms))


def fetched(desk: Desk, *, show: int = 0) -> NewCandle:
    answer = fetch(desk, show=show)
    assert isinstance(answer, NewCandle), f"the chain ended: {answer}"
    return answer


def ended(desk: Desk, *, show: int = 0, expected_ms: int | None = None) -> End:
    answer = fetch(desk, show=show, expected_ms=expected_ms)
    assert isinstance(answer, End), "a candle was handed on"
    return answer


def places(message: NewCandle) -> list[int]:
    return [place_of(open_ms) for open_ms in message.candles.open_ms.tolist()]


def failures(desk: Desk) -> list[Event]:
    return desk.events_of(EventType.DATA_FETCH_FAILED)


def test_fetch_new_candle_hands_it_on_with_what_the_next_stage_needs(desk: Desk) -> None:
    message = fetched(desk, show=1)

    assert message.candles == desk.source.tape[SHOWN : SHOWN + 1]
    assert message.after_ms == at_place(SHOWN - 1)
    assert message.as_of_ms == desk.source.as_of_ms
    assert (message.desired, message.more) == (DesiredState.RUNNING, False)


def test_fetch_without_a_new_candle_ends_and_says_so(desk: Desk) -> None:
    end = ended(desk)

    assert (end.reason, end.cursor_ms) == (EndReason.NO_NEW_CANDLE, at_place(SHOWN - 1))


def test_fetch_unfinished_bar_is_never_handed_on_while_the_tape_moves(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"nbr_bars": 5})
    for _ in range(30):
        desk.advance(show=1)

    seen = desk.store.window(SYMBOL, 1_000, until_ms=at_place(1_000))
    assert seen == desk.source.tape[: desk.source.shown][-len(seen) :]
    assert desk.cursor == desk.source.shown - 1


def test_fetch_candle_index_of_three_leaves_the_newest_closed_candle_for_later(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"candle_index": 3, "nbr_bars": 4})
    desk.advance()

    assert places(fetched(desk, show=1)) == [SHOWN - 1]


def test_fetch_candle_index_of_one_still_refuses_the_bar_that_is_forming(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"candle_index": 1, "nbr_bars": 2})
    desk.advance()

    assert places(fetched(desk, show=1)) == [SHOWN]


def test_fetch_after_an_absence_asks_for_what_was_missed(desk: Desk) -> None:
    message = fetched(desk, show=7)

    assert places(message) == list(range(SHOWN, SHOWN + 7))
    assert desk.source.asked[-2:] == ["newest", "since"]
    assert failures(desk) == []


def test_fetch_more_than_a_batch_hands_on_the_oldest_and_asks_for_another_wake_up(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({})), make_candles(700), shown=10)
    desk.advance()

    message = fetched(desk, show=600)

    assert places(message) == list(range(10, 510))
    assert message.more


def test_fetch_source_down_for_a_moment_tries_again_with_growing_waits(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 3

    assert places(fetched(desk, show=1)) == [SHOWN]
    assert desk.slept_s == pytest.approx([0.2, 0.4, 0.8])
    assert failures(desk) == []


def test_fetch_source_down_for_long_is_transient_and_told_and_loses_nothing(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 4

    with pytest.raises(Transient):
        fetch(desk, show=1)
    [event] = failures(desk)
    assert "no answer (after 4 tries)" in event.reason
    assert desk.source.failures == []

    assert places(fetched(desk)) == [SHOWN]


def test_fetch_source_down_again_after_it_healed_is_told_again(desk: Desk) -> None:
    for _ in range(2):
        desk.source.failures = [NO_ANSWER] * 4
        with pytest.raises(Transient):
            fetch(desk)
        ended(desk)

    assert len(failures(desk)) == 2


def test_fetch_without_retries_asks_once(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"retry_attempts": 0})
    desk.advance()
    desk.source.failures = [NO_ANSWER]

    with pytest.raises(Transient):
        fetch(desk, show=1)
    assert desk.slept_s == []


@pytest.mark.parametrize(
    "wrong",
    [{"close": np.nan}, {"high": np.inf}, {"open": -1.0}, {"low": 0.0}, {"high": 1.0}, {"low": 1e6}, {"volume": -1.0}],
    ids=str,
)
def test_fetch_bad_candle_is_refused_and_told_and_taken_once_when_the_source_heals(
    desk: Desk, wrong: dict[str, float]
) -> None:
    good = desk.source.tape
    desk.source.spoil(SHOWN, **wrong)

    for _ in range(2):
        with pytest.raises(BadCandle):
            fetch(desk, show=1 if desk.source.shown == SHOWN else 0)
    assert desk.cursor == SHOWN - 1
    assert [event.market_ms for event in failures(desk)] == [at_place(SHOWN)]

    desk.source.tape = good
    desk.advance()
    assert desk.advance().reason is EndReason.NO_NEW_CANDLE
    assert list(desk.journal) == [SHOWN - 1, SHOWN]


def test_fetch_bad_candle_in_a_batch_lets_the_good_ones_before_it_through(desk: Desk) -> None:
    good = desk.source.tape
    desk.source.spoil(SHOWN + 3, close=np.nan)

    assert places(fetched(desk, show=6)) == [SHOWN, SHOWN + 1, SHOWN + 2]
    desk.advance()
    with pytest.raises(BadCandle):
        desk.advance()
    desk.source.tape = good
    desk.advance()

    assert list(desk.journal) == list(range(SHOWN - 1, SHOWN + 6))


@pytest.mark.parametrize(
    ("order", "good"),
    [([0, 1, 1, 2], [0]), ([0, 2, 1, 3], [0]), ([2, 1, 0], []), ([1, 3, 2, 0], [])],
    ids=["double", "swapped", "backwards", "mixed"],
)
def test_fetch_answer_out_of_order_gives_only_what_certainly_comes_first(
    desk: Desk, order: list[int], good: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = desk.source.tape[SHOWN : SHOWN + 4]
    mixed = Candles(answer.open_ms[order], answer.values[order])
    desk.source.shown += 6
    monkeypatch.setattr(desk.source, "_bars", lambda: mixed)

    if good:
        assert places(fetched(desk)) == [SHOWN + place for place in good]
    else:
        with pytest.raises(BadCandle):
            fetch(desk)


def test_fetch_gap_in_session_is_flagged_and_the_symbol_goes_on(desk: Desk) -> None:
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
    desk.source.tape, desk.source.shown = Candles(starts, days.values), 11
    desk.store.seed(
        SYMBOL, desk.source.tape[:4], timeframe="1d", cursor_ms=int(starts[3]), desired=DesiredState.RUNNING
    )
    desk.source.now_ms = int(starts[11]) + 1_000

    assert len(fetched(desk).candles) == 7
    assert failures(desk) == []


def test_fetch_first_start_with_history_decides_the_newest_candle_alone(databases: Databases) -> None:
    desk = make_desk(databases)

    message = fetched(desk)

    assert places(message) == [SHOWN - 1]
    assert message.after_ms == at_place(SHOWN - 2)
    stored = desk.store.window(SYMBOL, 100, until_ms=at_place(SHOWN))
    assert stored == desk.source.tape[:SHOWN].until(message.after_ms)[-len(stored) :]
    assert len(stored) == desk.pipeline.indicators.history_count


def test_fetch_first_start_without_history_begins_with_the_first_candle(databases: Databases) -> None:
    desk = make_desk(databases, shown=1)

    desk.advance()
    desk.play(6)

    assert list(desk.journal) == [0, 1, 2, 3, 4, 5]


def test_fetch_first_start_before_any_candle_has_closed_waits_for_it(databases: Databases) -> None:
    desk = make_desk(databases, shown=1)
    desk.source.now_ms = at_place(0) + 1_000

    assert ended(desk).reason is EndReason.NO_NEW_CANDLE
    desk.source.now_ms = at_place(1) + 1_000
    assert places(fetched(desk)) == [0]


def test_fetch_first_start_with_a_bad_candle_in_history_tells_it_and_begins_after_it(databases: Databases) -> None:
    desk = make_desk(databases)
    desk.source.spoil(SHOWN - 4, close=np.nan)

    assert places(fetched(desk)) == [SHOWN - 1]
    stored = desk.store.window(SYMBOL, 100, until_ms=at_place(SHOWN))
    assert [place_of(at) for at in stored.open_ms.tolist()] == [SHOWN - 3, SHOWN - 2]
    assert [event.market_ms for event in failures(desk)] == [at_place(SHOWN - 4)]


def test_fetch_first_start_with_a_bad_newest_candle_decides_nothing(databases: Databases) -> None:
    desk = make_desk(databases)
    desk.source.spoil(SHOWN - 1, close=np.nan)

    with pytest.raises(BadCandle):
        fetch(desk)
    assert desk.journal == {}


def test_fetch_first_start_with_a_source_that_does_not_answer_is_transient_and_seeds_nothing(
    databases: Databases,
) -> None:
    desk = make_desk(databases)
    desk.source.failures = [NO_ANSWER] * 4

    with pytest.raises(Transient):
        fetch(desk)
    assert desk.cursor is None
    assert places(fetched(desk)) == [SHOWN - 1]


def test_fetch_store_emptied_begins_again_after_the_last_candle_that_the_ledger_decided(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({SHOWN: "buy"})), make_candles(60), shown=SHOWN)
    desk.play(SHOWN + 5)
    desk.store.forget()

    message = fetched(desk, show=2)

    assert message.after_ms == at_place(SHOWN)
    assert places(message) == list(range(SHOWN + 1, SHOWN + 7))


def test_fetch_store_emptied_keeps_what_the_ledger_says_is_wanted(desk: Desk) -> None:
    desk.want(DesiredState.PAUSED)
    desk.store.forget()

    assert fetched(desk, show=1).desired is DesiredState.PAUSED


def test_fetch_store_that_lost_a_pause_or_an_exposure_is_corrected_by_the_ledger(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({SHOWN: "buy"})), make_candles(60), shown=SHOWN)
    desk.play(SHOWN + 2)
    desk.ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="the store was down")
    desk.store.lose_exposure(SYMBOL)
    desk.restart()

    message = fetched(desk, show=1)

    assert (message.desired, message.has_exposure) == (DesiredState.PAUSED, True)
    memory = desk.store.load(SYMBOL)
    assert (memory.desired, memory.has_exposure) == (DesiredState.PAUSED, True)


def test_fetch_of_a_symbol_whose_timeframe_was_changed_begins_anew(desk: Desk) -> None:
    hours = make_candles(12)
    open_ms = hours.open_ms[0] + np.arange(12, dtype=np.int64) * 3_600_000
    desk.store.seed(
        SYMBOL,
        Candles(open_ms, hours.values),
        timeframe="1h",
        cursor_ms=int(open_ms[-1]),
        desired=DesiredState.RUNNING,
    )

    assert places(fetched(desk)) == [SHOWN - 1]
    assert desk.store.load(SYMBOL).timeframe == "1m"


def test_fetch_of_a_stopped_symbol_ends_without_asking_the_source(desk: Desk) -> None:
    desk.want(DesiredState.STOPPED)
    asked = len(desk.source.asked)

    assert ended(desk, show=1).reason is EndReason.STOPPED
    assert len(desk.source.asked) == asked


def test_fetch_of_a_paused_symbol_goes_on(desk: Desk) -> None:
    desk.want(DesiredState.PAUSED)

    assert fetched(desk, show=1).desired is DesiredState.PAUSED


def test_fetch_when_another_chain_was_faster_is_superseded(desk: Desk) -> None:
    assert ended(desk, show=1, expected_ms=at_place(SHOWN - 2)).reason is EndReason.SUPERSEDED
    assert isinstance(fetch(desk, expected_ms=at_place(SHOWN - 1)), NewCandle)


def test_fetch_after_a_restart_was_asked_for_ends_until_the_services_are_new(desk: Desk) -> None:
    desk.store.renew(SYMBOL)

    assert ended(desk, show=1).reason is EndReason.RESTARTED
    desk.restart()
    assert places(fetched(desk)) == [SHOWN]


def test_fetch_that_is_not_enabled_ends_and_asks_nothing(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"enabled": False})

    assert ended(desk).reason is EndReason.DISABLED
    assert desk.source.asked == []


def test_fetch_every_tick_hands_on_the_last_candle_again(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = Desk(databases, system_config(planned({}), services=services), make_candles(60), shown=SHOWN)
    desk.advance()

    assert places(fetched(desk)) == [SHOWN - 1]


def test_fetch_every_tick_refuses_a_last_candle_that_has_gone_bad(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = Desk(databases, system_config(planned({}), services=services), make_candles(60), shown=SHOWN)
    desk.advance()
    desk.source.spoil(SHOWN - 1, high=1.0)

    with pytest.raises(BadCandle):
        fetch(desk)


def memory_of(desk: Desk) -> FeedMemory:
    memory = desk.store.feed(SYMBOL)
    assert memory is not None, "no answer was noted"
    return memory


def test_fetch_without_a_new_candle_notes_market_time_and_newest_candle(desk: Desk) -> None:
    desk.source.now_ms = at_place(SHOWN) + 44_000
    ended(desk)

    assert memory_of(desk).shown == Shown(at_place(SHOWN) + 44_000, at_place(SHOWN - 1))


def test_fetch_that_is_decided_notes_market_time_and_newest_candle(desk: Desk) -> None:
    desk.advance(show=1)

    assert memory_of(desk).shown == Shown(desk.source.as_of_ms, at_place(SHOWN))
    assert memory_of(desk).cursor_ms == at_place(SHOWN)


def test_fetch_that_catches_up_notes_the_newest_candle_of_the_source_not_of_its_batch(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({})), make_candles(700), shown=10)
    desk.advance()

    desk.advance(show=600)

    assert desk.cursor == 509
    assert memory_of(desk).shown.newest_ms == at_place(609)


def test_fetch_of_a_source_that_shows_nothing_notes_that(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.source, "_bars", Candles.empty)
    desk.source.now_ms = at_place(SHOWN + 10)

    assert ended(desk).reason is EndReason.NO_NEW_CANDLE
    assert memory_of(desk).shown == Shown(at_place(SHOWN + 10), 0)


@pytest.mark.parametrize("show", [0, 1])
def test_fetch_of_a_recording_at_its_end_notes_that_it_is_over(
    desk: Desk, show: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = desk.source.newest
    monkeypatch.setattr(desk.source, "newest", lambda *args, **kw: replace(newest(*args, **kw), is_over=True))

    desk.advance(show=show)

    assert memory_of(desk).shown.is_over


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

    assert memory_of(desk).shown == Shown(at_place(SHOWN) + 50_000, at_place(SHOWN - 1))


def test_fetch_gap_beyond_the_end_of_a_calendar_is_flagged_and_the_symbol_goes_on(
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


def test_fetch_after_an_error_has_the_source_open_its_connections_anew(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 4
    with pytest.raises(Transient):
        fetch(desk)
    asked = len(desk.source.asked)

    ended(desk)

    assert desk.source.asked[asked:] == ["close", "newest"]
    assert desk.source.asked.count("close") == 1


def test_fetch_that_is_stopped_gives_back_the_connections_of_its_source(desk: Desk) -> None:
    desk.pipeline.fetch.stop()

    assert desk.source.asked[-1] == "close"


def test_fetch_whose_source_cannot_even_be_closed_goes_on_failing_and_heals(
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


def test_fetch_status_says_whether_waiting_heals_and_how_long_it_has_failed(desk: Desk) -> None:
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
    good = desk.source.tape
    desk.source.spoil(SHOWN, close=np.nan)
    with pytest.raises(BadCandle):
        fetch(desk, show=1)
    assert status() == (False, 3, 3)
    desk.source.tape = good
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
