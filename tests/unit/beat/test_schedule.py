"""Slots: each at most once, without drift, and no burst after a long sleep."""

from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beat.schedule import Interval, Kind, ScheduledMessage, Slots, tick_interval, timetable
from configs.fetch_interval import PROMPT_S
from tests.fakes import planned, system_config
from trading_orchestrator.testing.candles import SYMBOL

NOW_S = 1_774_360_800.0
TICK = ScheduledMessage(Kind.TICK, SYMBOL)
ERRANDS = st.sampled_from(
    [ScheduledMessage(Kind.TICK, name) for name in ("XAUUSD", "BTCUSD")] + [ScheduledMessage(Kind.HEALTH)]
)
RHYTHMS = st.one_of(
    st.sampled_from([0.25, 0.5, 1.0, 2.5, 7.0, 30.0, 3_600.0]).map(Interval),
    st.builds(Interval, st.sampled_from([60.0, 300.0, 3_600.0, 86_400.0]), st.sampled_from([0.0, 2.0, 59.5])),
)
TIMETABLES = st.dictionaries(ERRANDS, RHYTHMS, min_size=1)
Sent = list[tuple[ScheduledMessage, int, Interval]]


def wake(slots: Slots, now_s: float) -> Sent:
    """Send everything that is due, as beat does."""
    due = list(slots.due(now_s))
    for message, slot, _ in due:
        slots.sent(message, slot)
    return due


def every(seconds: float) -> Slots:
    return Slots({TICK: Interval(seconds)})


@given(TIMETABLES, st.lists(st.floats(0, 5_000), max_size=40))
def test_slots_however_far_the_clock_goes_are_handed_out_at_most_once_and_only_when_they_have_come(
    planned: dict[ScheduledMessage, Interval], steps: list[float]
) -> None:
    slots, now_s, sent = Slots(planned), NOW_S, Counter[tuple[ScheduledMessage, int]]()
    for step in steps:
        now_s += step
        due = wake(slots, now_s)
        assert all(slot == interval.slot(now_s) and interval == planned[message] for message, slot, interval in due)
        sent.update((message, slot) for message, slot, _ in due)

    assert max(sent.values(), default=0) <= 1


@given(TIMETABLES, st.lists(st.floats(1e-4, 0.2), min_size=30, max_size=30))
def test_slots_woken_when_requested_to_miss_none_however_late_each_wake_up_is(
    planned: dict[ScheduledMessage, Interval], delays: list[float]
) -> None:
    """Delays below the shortest interval never add up: the n-th slot is still the n-th."""
    slots, now_s = Slots(planned), NOW_S
    first = {message: interval.slot(NOW_S) for message, interval in planned.items()}
    seen: dict[ScheduledMessage, list[int]] = {message: [] for message in planned}
    for delay in delays:
        for message, slot, _ in wake(slots, now_s):
            seen[message].append(slot)
        now_s += slots.wait_s(now_s, most=60.0) + delay

    for message, found in seen.items():
        assert found == list(range(first[message], first[message] + len(found)))
    shortest = min(planned, key=lambda message: planned[message].every_s)
    assert len(seen[shortest]) >= 2 or planned[shortest].every_s > 60.0


@given(TIMETABLES, st.floats(10, 1e6))
def test_slots_after_a_long_sleep_give_one_message_each_and_not_a_burst(
    planned: dict[ScheduledMessage, Interval], slept_s: float
) -> None:
    slots = Slots(planned)
    wake(slots, NOW_S)

    due = [*wake(slots, NOW_S + slept_s), *wake(slots, NOW_S + slept_s)]

    assert Counter(message for message, _, _ in due) == Counter(
        message for message, interval in planned.items() if interval.slot(NOW_S + slept_s) > interval.slot(NOW_S)
    )


@given(st.sampled_from([60, 300, 900, 3_600, 14_400, 86_400]), st.sampled_from([0.0, 2.0, 7.5]), st.floats(0, 1e6))
def test_slots_with_an_offset_begin_so_long_after_each_boundary_of_utc(
    length_s: int, offset_s: float, later_s: float
) -> None:
    interval, now_s = Interval(float(length_s), offset_s), NOW_S + later_s

    slot = interval.slot(now_s)

    assert interval.begins_s(slot) <= now_s < interval.begins_s(slot + 1)
    assert (interval.begins_s(slot) - offset_s) % length_s == 0
    assert Slots({TICK: interval}).wait_s(now_s, most=1.0) == 0.0


def test_slots_that_could_not_be_sent_are_due_again() -> None:
    slots = every(1.0)

    assert list(slots.due(NOW_S)) == list(slots.due(NOW_S)) == [(TICK, int(NOW_S), Interval(1.0))]


def test_slots_of_two_beats_with_one_clock_have_the_same_names() -> None:
    (first,), (second,) = every(2.5).due(NOW_S), every(2.5).due(NOW_S + 0.4)

    assert first[0].message_id(first[1]) == second[0].message_id(second[1]) == f"tick:{SYMBOL}:{int(NOW_S / 2.5)}"


def test_slot_of_the_whole_system_names_no_symbol() -> None:
    assert ScheduledMessage(Kind.HEALTH).message_id(7) == "health:7"


@pytest.mark.parametrize("back_s", [5.0, 3_600.0, 86_400.0])
def test_slots_when_the_clock_is_put_back_continue_at_once_with_one_tick_each(back_s: float) -> None:
    slots, back = every(1.0), int(NOW_S - back_s)
    wake(slots, NOW_S)

    again = [[slot for _, slot, _ in wake(slots, back + later_s)] for later_s in (0.0, 0.5, 1.0, 1.5)]

    assert again == [[back], [], [back + 1], []]
    assert 0.0 < slots.wait_s(back + 1.5, most=3.0) <= 0.5


@given(TIMETABLES, TIMETABLES, st.floats(0, 100))
def test_slots_of_another_timetable_keep_the_place_of_what_keeps_its_rhythm(
    before: dict[ScheduledMessage, Interval], after: dict[ScheduledMessage, Interval], later_s: float
) -> None:
    slots, undisturbed = Slots(before), Slots(before)
    wake(slots, NOW_S)
    wake(undisturbed, NOW_S)

    slots.adopt(after)

    due = {message: slot for message, slot, _ in wake(slots, NOW_S + later_s)}
    kept = {message for message, interval in after.items() if before.get(message) == interval}
    expected = {message: slot for message, slot, _ in wake(undisturbed, NOW_S + later_s) if message in kept}
    assert {message: slot for message, slot in due.items() if message in kept} == expected
    assert due.keys() - kept == after.keys() - kept, "what is new or changed is due at once"


@given(TIMETABLES, st.floats(0, 5_000), st.floats(0.1, 10))
def test_wait_is_never_negative_nor_longer_than_allowed_nor_past_the_next_slot(
    planned: dict[ScheduledMessage, Interval], later_s: float, most: float
) -> None:
    slots = Slots(planned)
    wake(slots, NOW_S)
    wait_s = slots.wait_s(NOW_S + later_s, most=most)

    assert 0.0 <= wait_s <= most
    nearest = min(interval.begins_s(interval.slot(NOW_S) + 1) for interval in planned.values())
    assert NOW_S + later_s + wait_s <= max(nearest, NOW_S + later_s) + 1e-6


def test_wait_before_the_first_tick_is_none() -> None:
    assert every(30.0).wait_s(NOW_S, most=1.0) == 0.0


def source(speed: float | str) -> dict[str, object]:
    return {"kind": "simulated", "seed": 1, "start_price": 1.0, "start": "2026-01-05T00:00:00Z", "speed": speed}


@pytest.mark.parametrize("alignment", ["interval", "candle_close"])
@pytest.mark.parametrize(("speed", "expected"), [(60.0, 0.5), (0.5, 60.0), ("max", PROMPT_S)])
def test_ticks_of_a_played_market_follow_its_speed_whatever_the_alignment(
    speed: float | str, expected: float, alignment: str
) -> None:
    system = system_config(planned({}), source=source(speed), services={"data_fetching": {"tick_alignment": alignment}})

    assert tick_interval(system, SYMBOL) == Interval(expected)
    assert ScheduledMessage(Kind.AGAIN, SYMBOL) not in timetable(system)


@pytest.mark.parametrize(("timeframe", "length_s"), [("1m", 60), ("5m", 300), ("1h", 3_600), ("1d", 86_400)])
def test_ticks_aligned_to_the_close_come_at_each_boundary_and_its_offset_alone(timeframe: str, length_s: int) -> None:
    fetching = {"tick_alignment": "candle_close", "tick_offset": 1.5, "fetch_interval": 20.0}
    system = system_config(planned({}), source=source(1.0), timeframe=timeframe, services={"data_fetching": fetching})
    found = timetable(system)

    assert found[TICK] == Interval(float(length_s), 1.5, life_s=20.0)
    assert found[ScheduledMessage(Kind.AGAIN, SYMBOL)] == Interval(20.0)


def test_ticks_by_the_document_come_each_interval() -> None:
    system = system_config(planned({}), source=source(1.0))

    assert timetable(system)[TICK] == Interval(30.0)


def test_timetable_begins_with_the_ticks_and_has_health_and_status_at_their_intervals() -> None:
    found = timetable(system_config(planned({})))

    assert list(found) == [
        TICK,
        ScheduledMessage(Kind.RECONCILE, SYMBOL),
        ScheduledMessage(Kind.HEALTH),
        ScheduledMessage(Kind.STATUS),
    ]
    assert [interval.every_s for interval in found.values()] == [30.0, 60.0, 60.0, 10.0]


@pytest.mark.parametrize(
    ("timeframe", "closes"),
    [
        ("1w", ["2024-01-08T00:00", "2024-01-15T00:00"]),
        ("1M", ["2024-02-01T00:00", "2024-03-01T00:00", "2024-04-01T00:00"]),
        ("1d@America/New_York,17:00", ["2024-03-09T22:00", "2024-03-10T21:00", "2024-03-11T21:00"]),
    ],
)
def test_ticks_aligned_to_the_close_of_calendar_candles_follow_the_calendar(timeframe: str, closes: list[str]) -> None:
    fetching = {"data_fetching": {"tick_alignment": "candle_close", "tick_offset": 2}}
    system = system_config(planned({}), services=fetching, timeframe=timeframe, source=source(1))
    interval = tick_interval(system, SYMBOL)
    times_s = [datetime.fromisoformat(f"{text}+00:00").timestamp() for text in closes]

    assert [interval.begins_s(interval.slot(at_s + 2)) for at_s in times_s] == [at_s + 2 for at_s in times_s]
    assert [interval.slot(at_s + 1.9) + 1 for at_s in times_s] == [interval.slot(at_s + 2) for at_s in times_s]
    slots = Slots({TICK: interval})
    wake(slots, times_s[0] + 2)
    assert slots.wait_s(times_s[0] + 2, most=1e9) == times_s[1] - times_s[0]
