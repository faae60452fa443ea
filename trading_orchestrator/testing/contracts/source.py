"""The contract of a candle source: subclass it, and define the fixture `stage`."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from trading.market.candles import CLOSE, OPEN, Candles, timeframe_ms
from trading.ports.candle_source import Bars, CandleSource

COUNT = 12


@dataclass(frozen=True)
class Stage:
    """A source under test at a moment: its clock is stopped, or follows the cursor.

    Attributes:
        source: The source under test.
        timeframe: Timeframe of its candles, as `1m`.
        after_ms: A cursor: at least one closed candle opens after it, and at least `COUNT` open at or before it.
        truth: All whole candles; only `PlayedSourceContract` needs it.
    """

    source: CandleSource
    timeframe: str
    after_ms: int
    truth: Candles | None = None

    @property
    def bar_ms(self) -> int:
        return timeframe_ms(self.timeframe)


def closed_part(bars: Bars, bar_ms: int) -> Candles:
    """Return the bars that had closed when the source answered."""
    return bars.candles.until(bars.as_of_ms - bar_ms)


def walk(source: CandleSource, *, count: int, after_ms: int | None = None) -> Iterator[Bars]:
    """Read as the fetch service does, with the last closed candle as the next cursor, until `has_more` is false."""
    cursor_ms, more = after_ms, True
    while more:
        bars = source.newest(count, after_ms=cursor_ms)
        yield bars
        cursor_ms, more = int(bars.candles.open_ms[-2]), bars.has_more


def check_forming(bars: Bars, truth: Candles) -> None:
    """Check that the last bar shows the open of a candle that had begun, or repeats the last close."""
    open_ms, row = bars.candles.last_open_ms, bars.candles.values[-1]
    begun = truth.until(bars.as_of_ms)
    price = begun.values[-1, OPEN if begun.last_open_ms == open_ms else CLOSE]
    assert row.tolist() == [price, price, price, price, 0.0]


class SourceContract:
    """The promises of `trading.ports.candle_source.CandleSource`."""

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError("define the fixture stage in the test class")

    def test_newest_shows_closed_bars_and_then_the_forming_one(self, stage: Stage) -> None:
        bars = stage.source.newest(COUNT, after_ms=stage.after_ms)

        closes_ms = bars.candles.open_ms + stage.bar_ms
        assert len(bars.candles) == COUNT
        assert (closes_ms[:-1] <= bars.as_of_ms).all()
        assert bars.candles.last_open_ms <= bars.as_of_ms < closes_ms[-1]

    def test_newest_is_in_order_in_the_right_shape(self, stage: Stage) -> None:
        candles = stage.source.newest(COUNT, after_ms=stage.after_ms).candles

        assert (np.diff(candles.open_ms) > 0).all()
        assert candles.open_ms.dtype == np.int64
        assert candles.values.dtype == np.float64
        assert candles.values.shape == (len(candles), 5)

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_newest_with_a_smaller_count_is_the_end_of_a_larger_one(self, stage: Stage, count: int) -> None:
        many = stage.source.newest(COUNT, after_ms=stage.after_ms)
        few = stage.source.newest(count, after_ms=stage.after_ms)

        assert few.candles == many.candles[-count:]

    def test_newest_asked_twice_at_one_moment_is_the_same(self, stage: Stage) -> None:
        first = stage.source.newest(COUNT, after_ms=stage.after_ms)

        assert stage.source.newest(COUNT, after_ms=stage.after_ms) == first

    def test_newest_answer_changed_by_its_caller_leaves_the_source_unchanged(self, stage: Stage) -> None:
        before = stage.source.newest(COUNT, after_ms=stage.after_ms)
        spoilt = stage.source.newest(COUNT, after_ms=stage.after_ms).candles.values
        if spoilt.flags.writeable:
            spoilt[:] = np.nan

        assert stage.source.newest(COUNT, after_ms=stage.after_ms) == before

    def test_history_ends_with_the_cursor_and_agrees_with_newest(self, stage: Stage) -> None:
        newest = stage.source.newest(COUNT, after_ms=stage.after_ms)
        history = stage.source.history(stage.after_ms, count=COUNT)

        assert len(history) == COUNT
        assert history.last_open_ms == stage.after_ms
        known = newest.candles.until(stage.after_ms)
        assert history[COUNT - len(known) :] == known

    def test_since_shows_what_newest_shows_after_the_cursor(self, stage: Stage) -> None:
        newest = stage.source.newest(COUNT, after_ms=stage.after_ms)
        since = stage.source.since(stage.after_ms, limit=10 * COUNT)

        assert since.as_of_ms == newest.as_of_ms
        assert len(since.candles) > 1
        assert (since.candles.open_ms > stage.after_ms).all()
        overlap = min(len(since.candles), COUNT)
        assert since.candles[-overlap:] == newest.candles[-overlap:]

    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_since_with_a_smaller_limit_is_the_beginning_of_a_larger_one(self, stage: Stage, limit: int) -> None:
        many = stage.source.since(stage.after_ms, limit=10 * COUNT)
        few = stage.source.since(stage.after_ms, limit=limit)

        assert few.candles == many.candles[:limit]

    def test_since_cut_within_closed_candles_has_more(self, stage: Stage) -> None:
        everything = stage.source.since(stage.after_ms, limit=10 * COUNT)
        closed = closed_part(everything, stage.bar_ms)
        for limit in range(1, len(closed)):
            assert stage.source.since(stage.after_ms, limit=limit).has_more

    def test_source_closed_at_any_time_answers_as_before(self, stage: Stage) -> None:
        before = stage.source.newest(COUNT, after_ms=stage.after_ms)
        stage.source.close()
        stage.source.close()

        assert stage.source.newest(COUNT, after_ms=stage.after_ms) == before
        assert len(stage.source.history(stage.after_ms, count=2)) == 2


class PlayedSourceContract(SourceContract):
    """For sources that play whole candles, which `stage` names in `truth`."""

    def test_played_bars_are_whole_candles_and_the_open_of_the_next(self, stage: Stage) -> None:
        assert stage.truth is not None
        for bars in (
            stage.source.newest(COUNT, after_ms=stage.after_ms),
            stage.source.since(stage.after_ms, limit=10 * COUNT),
        ):
            closed = closed_part(bars, stage.bar_ms)
            known = stage.truth.until(bars.as_of_ms - stage.bar_ms)
            assert closed == known[len(known) - len(closed) :]
            assert len(bars.candles) == len(closed) + 1
            assert bars.is_over == (bars.as_of_ms - stage.bar_ms >= stage.truth.last_open_ms)
            check_forming(bars, stage.truth)
