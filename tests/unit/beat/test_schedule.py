"""Slots: each at most once, without drift, and no burst after a long sleep."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beat.schedule import PROMPT_S, Slots, tick_intervals
from tests.fakes import SYMBOL, planned, system_config

NOW_S = 1_774_360_800.0
INTERVALS = st.dictionaries(
    st.sampled_from(["XAUUSD", "BTCUSD", "EURUSD"]),
    st.sampled_from([0.25, 0.5, 1.0, 2.5, 7.0, 30.0, 3_600.0]),
    min_size=1,
)
Sent = list[tuple[str, int, float]]


def wake(slots: Slots, now_s: float) -> Sent:
    """Send everything that is due, as beat does."""
    due = list(slots.due(now_s))
    for symbol, slot, _ in due:
        slots.sent(symbol, slot)
    return due


@given(INTERVALS, st.lists(st.floats(0, 5_000), max_size=40))
def test_slots_however_far_the_clock_goes_are_handed_out_at_most_once_and_only_when_they_have_come(
    intervals: dict[str, float], steps: list[float]
) -> None:
    slots, now_s, sent = Slots(intervals), NOW_S, Counter[tuple[str, int]]()
    for step in steps:
        now_s += step
        due = wake(slots, now_s)
        assert all(slot == math.floor(now_s / intervals[symbol]) for symbol, slot, _ in due)
        assert all(interval_s == intervals[symbol] for symbol, _, interval_s in due)
        sent.update((symbol, slot) for symbol, slot, _ in due)

    assert max(sent.values(), default=0) <= 1


@given(INTERVALS, st.lists(st.floats(1e-4, 0.2), min_size=30, max_size=30))
def test_slots_woken_when_asked_to_miss_none_however_late_each_wake_up_is(
    intervals: dict[str, float], delays: list[float]
) -> None:
    """Delays below the shortest interval never add up: the n-th slot is still the n-th."""
    slots, now_s = Slots(intervals), NOW_S
    first = {symbol: math.floor(NOW_S / interval_s) for symbol, interval_s in intervals.items()}
    seen: dict[str, list[int]] = {symbol: [] for symbol in intervals}
    for delay in delays:
        for symbol, slot, _ in wake(slots, now_s):
            seen[symbol].append(slot)
        now_s += slots.wait_s(now_s, most=60.0) + delay

    for symbol, found in seen.items():
        assert found == list(range(first[symbol], first[symbol] + len(found)))
    shortest = min(intervals, key=lambda symbol: intervals[symbol])
    assert len(seen[shortest]) >= 2 or intervals[shortest] > 60.0


@given(INTERVALS, st.floats(10, 1e6))
def test_slots_after_a_long_sleep_give_one_tick_and_not_a_burst(intervals: dict[str, float], slept_s: float) -> None:
    slots = Slots(intervals)
    wake(slots, NOW_S)

    due = [*wake(slots, NOW_S + slept_s), *wake(slots, NOW_S + slept_s)]

    assert Counter(symbol for symbol, _, _ in due) == Counter(
        symbol for symbol, every_s in intervals.items() if math.floor((NOW_S + slept_s) / every_s) > NOW_S // every_s
    )


def test_slots_that_could_not_be_sent_are_due_again() -> None:
    slots = Slots({SYMBOL: 1.0})

    assert list(slots.due(NOW_S)) == list(slots.due(NOW_S)) == [(SYMBOL, int(NOW_S), 1.0)]


def test_slots_of_two_beats_with_one_clock_have_the_same_names() -> None:
    assert list(Slots({SYMBOL: 2.5}).due(NOW_S)) == list(Slots({SYMBOL: 2.5}).due(NOW_S + 0.4))


@pytest.mark.parametrize("back_s", [5.0, 3_600.0, 86_400.0])
def test_slots_when_the_clock_is_put_back_go_on_at_once_with_one_tick_each(back_s: float) -> None:
    slots, back = Slots({SYMBOL: 1.0}), int(NOW_S - back_s)
    wake(slots, NOW_S)

    again = [[slot for _, slot, _ in wake(slots, back + later_s)] for later_s in (0.0, 0.5, 1.0, 1.5)]

    assert again == [[back], [], [back + 1], []]
    assert 0.0 < slots.wait_s(back + 1.5, most=3.0) <= 0.5


@given(INTERVALS, st.floats(0, 5_000), st.floats(0.1, 10))
def test_wait_is_never_negative_nor_longer_than_allowed_nor_past_the_next_slot(
    intervals: dict[str, float], later_s: float, most: float
) -> None:
    slots = Slots(intervals)
    wake(slots, NOW_S)
    wait_s = slots.wait_s(NOW_S + later_s, most=most)

    assert 0.0 <= wait_s <= most
    nearest = min((math.floor(NOW_S / every_s) + 1) * every_s for every_s in intervals.values())
    assert NOW_S + later_s + wait_s <= max(nearest, NOW_S + later_s) + 1e-6


def test_wait_before_the_first_tick_is_none() -> None:
    assert Slots({SYMBOL: 30.0}).wait_s(NOW_S, most=1.0) == 0.0


@pytest.mark.parametrize(("speed", "expected"), [(1.0, 30.0), (60.0, 0.5), (0.5, 60.0), ("max", PROMPT_S)])
def test_tick_intervals_follow_the_speed_of_the_market(speed: float | str, expected: float) -> None:
    source = {"kind": "simulated", "seed": 1, "start_price": 1.0, "start": "2026-01-05T00:00:00Z", "speed": speed}

    assert tick_intervals(system_config(planned({}), source=source)) == {SYMBOL: expected}
