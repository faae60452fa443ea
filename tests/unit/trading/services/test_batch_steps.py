"""Segmentation of a batch: every candle comes once, in order, and each signal at its own candle."""

from hypothesis import given
from hypothesis import strategies as st

from trading.services.batch_steps import batch_steps
from trading.strategies.signal import Signal, SignalSide
from trading_orchestrator.testing.candles import at_place, make_candles

COUNT = 8
PLACES = st.lists(st.integers(0, COUNT - 1), max_size=COUNT).map(sorted)


def signal(place: int) -> Signal:
    return Signal(strategy="s", open_ms=at_place(place), side=SignalSide.BUY, price=1.0, reason="by the test")


def test_batch_without_signals_or_watched_candles_is_one_step() -> None:
    [step] = batch_steps(make_candles(COUNT), [], lambda _: False)

    assert (len(step.candles), step.signals, step.end, step.is_watched) == (COUNT, (), COUNT, False)


def test_batch_is_cut_after_each_candle_with_signals() -> None:
    steps = list(batch_steps(make_candles(COUNT), [signal(2), signal(2), signal(5)], lambda _: False))

    assert [(step.end, len(step.signals)) for step in steps] == [(3, 2), (6, 1), (8, 0)]


def test_batch_that_becomes_watched_in_the_middle_is_taken_candle_by_candle_from_there_on() -> None:
    ends: list[int] = []
    for step in batch_steps(make_candles(COUNT), [signal(4)], lambda _: bool(ends)):
        ends.append(step.end)

    assert ends == [5, 6, 7, 8]


@given(places=PLACES, watched=st.sets(st.integers(0, COUNT - 1)))
def test_steps_of_any_batch_cover_each_candle_and_signal_once(places: list[int], watched: set[int]) -> None:
    candles, signals = make_candles(COUNT), [signal(place) for place in places]
    steps = list(batch_steps(candles, signals, lambda open_ms: open_ms in {at_place(one) for one in watched}))

    assert [int(ms) for step in steps for ms in step.candles.open_ms] == candles.open_ms.tolist()
    assert [one for step in steps for one in step.signals] == signals
    for step in steps:
        assert step.end == candles.open_ms.tolist().index(step.candles.last_open_ms) + 1
        assert {one.open_ms for one in step.signals} <= {step.candles.last_open_ms}
        assert not step.is_watched or len(step.candles) == 1
