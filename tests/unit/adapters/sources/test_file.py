"""The file source: what it shows at full speed and by the clock, and when a recording is over."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ledger.memory import MemoryLedger
from adapters.sources.file import FileSource, InMemoryCandles, read_candles
from adapters.sources.playback import PlayedSource
from adapters.sources.playback_clock import MemoryAnchorStore, Speed
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from tests.fakes import system_config
from tests.fixtures.apps.system import recorded
from tests.fixtures.candle_files import write_candles
from tests.unit.adapters.sources.played_candles import BAR_MS, CANDLES, START_MS, make_candles
from trading.errors import BadCandle
from trading.market.candles import CLOSE, OPEN, Candles
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.testing.candles import SYMBOL
from trading_orchestrator.testing.contracts.source import check_forming, closed_part, walk
from trading_orchestrator.testing.manual_clock import ManualClock

slots = st.lists(st.integers(1, 4), min_size=2, max_size=60).map(lambda steps: np.cumsum(steps).tolist())


def played(candles: Candles, *, speed: Speed = "max", step: int = 1, wall: ManualClock | None = None) -> PlayedSource:
    wall = ManualClock() if wall is None else wall
    return PlayedSource(InMemoryCandles(candles), timeframe="1m", speed=speed, step=step, now_ms=wall, anchors=None)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "step"),
    [("XAUUSD_1m.csv.gz", 3), ("BTCUSDT_1m.csv.gz", 5), ("BTCUSDT_1m_gappy.csv.gz", 1)],
)
def test_recorded_file_walked_at_full_speed_gives_each_candle_once_and_no_look_ahead(name: str, step: int) -> None:
    source = FileSource(recorded(name), "X", "1m", step=step)
    truth = read_candles(recorded(name), timeframe="1m")
    seen: list[Candles] = []
    forming: list[list[float]] = []
    as_of_ms: list[int] = []
    for bars in walk(source, count=step + 1):
        fresh = bars.candles[:-1] if not as_of_ms else bars.candles[:-1].after(as_of_ms[-1] - BAR_MS)
        seen.append(fresh)
        forming.append([bars.candles.last_open_ms, *bars.candles.values[-1]])
        as_of_ms.append(bars.as_of_ms)

    assert np.array_equal(np.concatenate([part.open_ms for part in seen]), truth.open_ms)
    assert np.array_equal(np.concatenate([part.values for part in seen]), truth.values)
    last = np.append(np.arange(step - 1, len(truth) - 1, step), len(truth) - 1)
    assert as_of_ms == (truth.open_ms[last] + BAR_MS).tolist()
    following = np.minimum(last + 1, len(truth) - 1)
    begun = truth.open_ms[following] == np.array(as_of_ms)
    price = np.where(begun, truth.values[following, OPEN], truth.values[last, CLOSE])
    assert np.array_equal(np.array(forming), np.column_stack((as_of_ms, *[price] * 4, np.zeros(len(price)))))


@pytest.mark.data
@pytest.mark.parametrize("name", ["XAUUSD_1m.csv.gz", "BTCUSDT_1m_gappy.csv.gz"])
def test_recorded_file_read_by_the_clock_gives_each_candle_once_and_no_look_ahead(name: str) -> None:
    wall = ManualClock()
    source = FileSource(recorded(name), "X", "1m", 600.0, now_ms=wall)
    truth = read_candles(recorded(name), timeframe="1m")
    cursor_ms = int(truth.open_ms[0]) - 1
    seen = Candles.empty()
    source.newest(1, after_ms=None)
    while len(seen) < len(truth):
        wall.now_ms += 7_777
        bars = source.since(cursor_ms, limit=500)
        closed = closed_part(bars, BAR_MS)
        check_forming(bars, truth)
        assert not bars.has_more
        assert bars.candles.last_open_ms > bars.as_of_ms - BAR_MS
        if len(closed):
            seen, cursor_ms = seen.then(closed), closed.last_open_ms

    assert seen == truth


def test_walk_from_nothing_begins_with_the_first_candle_closed_and_the_second_forming() -> None:
    bars = played(CANDLES).newest(100, after_ms=None)

    assert bars.candles.open_ms.tolist() == CANDLES.open_ms[:2].tolist()
    assert bars.candles.values[0].tolist() == CANDLES.values[0].tolist()
    assert bars.as_of_ms == CANDLES.open_ms[1]
    assert bars.has_more


def test_newest_at_the_end_of_the_file_repeats_it_and_has_no_more() -> None:
    last_ms = CANDLES.last_open_ms
    for cursor_ms in (int(CANDLES.open_ms[-2]), last_ms, last_ms + 10 * BAR_MS):
        bars = played(CANDLES).newest(3, after_ms=cursor_ms)

        assert bars.candles[:-1] == CANDLES[-2:]
        assert bars.candles.last_open_ms == bars.as_of_ms == last_ms + BAR_MS
        assert bars.candles.values[-1].tolist() == [CANDLES.values[-1, CLOSE]] * 4 + [0.0]
        assert not bars.has_more


def test_recording_is_over_with_its_last_candle_and_not_before() -> None:
    source = played(CANDLES)
    last_ms, before_ms = CANDLES.last_open_ms, int(CANDLES.open_ms[-2])

    assert not source.newest(3, after_ms=int(CANDLES.open_ms[-3])).is_over
    assert source.newest(3, after_ms=before_ms).is_over
    assert source.since(before_ms, limit=5).is_over
    assert source.since(last_ms, limit=5).is_over


def test_recording_with_a_clock_is_over_while_market_time_continues() -> None:
    wall = ManualClock()
    source = played(CANDLES, speed=1.0, wall=wall)
    source.newest(1, after_ms=None)
    wall.now_ms += CANDLES.last_open_ms - START_MS + BAR_MS - 1
    forming = source.newest(2, after_ms=None)
    wall.now_ms += 1
    closed = source.newest(2, after_ms=None)
    wall.now_ms += 1_000 * BAR_MS
    later = source.newest(2, after_ms=None)

    assert [bars.is_over for bars in (forming, closed, later)] == [False, True, True]
    assert later.as_of_ms == CANDLES.last_open_ms + 1_001 * BAR_MS, "what was decided last grows old"
    assert later.candles[:-1] == closed.candles[:-1] == CANDLES[-1:]


def test_recording_cut_by_the_limit_is_over_where_the_market_is() -> None:
    wall = ManualClock()
    source = played(CANDLES, speed=1.0, wall=wall)
    source.newest(1, after_ms=None)
    wall.now_ms += CANDLES.last_open_ms - START_MS + BAR_MS

    bars = source.since(START_MS, limit=3)

    assert (len(bars.candles), bars.has_more, bars.is_over) == (3, True, True)


def test_newest_within_a_break_shows_a_flat_bar_in_the_current_slot() -> None:
    wall = ManualClock()
    source = played(CANDLES, speed=1.0, wall=wall)
    source.newest(1, after_ms=None)
    wall.now_ms += 42 * BAR_MS + 30_000  # slots 40 to 44 are empty
    bars = source.newest(2, after_ms=None)

    assert bars.candles.open_ms.tolist() == [START_MS + 39 * BAR_MS, START_MS + 42 * BAR_MS]
    assert bars.candles.values[-1].tolist() == [CANDLES.values[39, CLOSE]] * 4 + [0.0]


def test_newest_after_a_restart_of_a_cleared_market_continues_after_the_cursor() -> None:
    cursor_ms = int(CANDLES.open_ms[10])
    bars = played(CANDLES, speed=60).newest(3, after_ms=cursor_ms)

    assert bars.as_of_ms == cursor_ms + BAR_MS
    assert closed_part(bars, BAR_MS).last_open_ms == cursor_ms


def test_newest_before_the_first_open_is_empty() -> None:
    wall = ManualClock()
    anchors = MemoryAnchorStore()
    anchors.set_if_absent((START_MS - BAR_MS, wall.now_ms))
    source = PlayedSource(InMemoryCandles(CANDLES), timeframe="1m", speed=1.0, step=1, now_ms=wall, anchors=anchors)

    assert len(source.newest(5, after_ms=None).candles) == 0
    assert len(source.since(0, limit=5).candles) == 0


def test_since_at_full_speed_releases_no_more_than_newest() -> None:
    source = played(CANDLES, step=4)
    for cursor_ms in CANDLES.open_ms[:-1].tolist():
        since = source.since(cursor_ms, limit=1_000)

        assert since.as_of_ms == source.newest(2, after_ms=cursor_ms).as_of_ms
        assert 1 <= len(closed_part(since, BAR_MS)) <= 4


def test_history_at_full_speed_ends_with_the_candle_that_was_named() -> None:
    source = played(CANDLES)

    assert source.history(int(CANDLES.open_ms[50]), count=20) == CANDLES[31:51]
    assert source.history(int(CANDLES.open_ms[5]), count=20) == CANDLES[:6]
    assert len(source.history(START_MS - 1, count=20)) == 0


def test_history_with_a_clock_ends_with_the_last_closed_candle() -> None:
    wall = ManualClock()
    source = played(CANDLES, speed=1.0, wall=wall)
    source.newest(1, after_ms=None)
    wall.now_ms += int(30.5 * BAR_MS)

    assert source.history(CANDLES.last_open_ms, count=20) == CANDLES[10:30]


@given(slots, st.lists(st.integers(0, 400_000), min_size=1, max_size=15), st.integers(1, 12), st.integers(-2, 70))
def test_source_with_a_clock_shows_what_had_closed_and_what_had_begun(
    taken: list[int], waits_ms: list[int], count: int, cursor_slot: int
) -> None:
    wall, candles = ManualClock(), make_candles(taken)
    source = played(candles, speed=1.0, wall=wall)
    source.newest(1, after_ms=None)
    cursor_ms = START_MS + cursor_slot * BAR_MS
    for wait_ms in waits_ms:
        wall.now_ms += wait_ms
        newest, since = source.newest(count, after_ms=cursor_ms), source.since(cursor_ms, limit=count)
        shut = [at for at in candles.open_ms.tolist() if at + BAR_MS <= newest.as_of_ms]

        check_forming(newest, candles)
        assert newest.candles.open_ms.tolist()[:-1] == shut[len(shut) - len(newest.candles) + 1 :]
        assert len(newest.candles) == min(count, len(shut) + 1)
        expected = [at for at in [*shut, newest.candles.last_open_ms] if at > cursor_ms]
        assert since.candles.open_ms.tolist() == expected[:count]
        assert since.has_more == (sum(at > cursor_ms for at in shut) > count)


@given(slots, st.integers(1, 7), st.integers(2, 12))
def test_source_at_full_speed_walked_gives_each_candle_once_in_order(taken: list[int], step: int, count: int) -> None:
    candles = make_candles(taken)
    seen = Candles.empty()
    for bars in walk(played(candles, step=step), count=max(count, step + 1)):
        check_forming(bars, candles)
        closed = bars.candles[:-1]
        seen = seen.then(closed.after(seen.last_open_ms) if len(seen) else closed)

    assert seen == candles


@pytest.mark.parametrize("step", [0, -1])
def test_step_below_one_is_rejected(step: int) -> None:
    with pytest.raises(ValueError, match=f"step {step}: expected 1 or more"):
        played(CANDLES, step=step)


def test_file_with_bad_prices_hands_them_on(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "timestamp,open,high,low,close,volume\n"
        "2025-01-01T00:00:00Z,1,2,0.5,1.5,10\n"
        "2025-01-01T00:01:00Z,,NaN,-3,n/a,oops\n"
        "2025-01-01T00:02:00Z,1,2,0.5,1.5,10\n"
    )
    bars = FileSource(path, "X", "1m", step=2).newest(9, after_ms=None)

    expected = [[1, 2, 0.5, 1.5, 10], [np.nan, np.nan, -3, np.nan, np.nan], [1, 1, 1, 1, 0]]
    np.testing.assert_array_equal(bars.candles.values, expected)


def test_bad_candle_of_a_file_that_is_played_live_is_reported_with_its_line(tmp_path: Path) -> None:
    candles = make_candles([*range(60)])
    candles.values[57, 1] = 1.0
    path, system = write_candles(tmp_path / "x.csv", candles), system_config({"name": "ema_cross", "params": {}})
    store, terms = MemoryStore(), system.symbols[SYMBOL].venue.backtest_fills(SYMBOL)
    pipeline = build_pipeline(
        pipeline_spec(system, SYMBOL),
        source=FileSource(path, SYMBOL, "1m", step=56),
        store=store,
        ledger=MemoryLedger("test", 1_000.0),
        venue=MemoryVenue({SYMBOL: terms}),
    )
    pipeline.advance(AdvanceSymbol(SYMBOL))
    with pytest.raises(BadCandle) as raised:
        pipeline.advance(AdvanceSymbol(SYMBOL))

    message = str(raised.value)
    assert message.startswith(f"{SYMBOL} candle of 2025-06-15 16:04 UTC: high is below another price (open ")
    assert f"; candle file '{path}', line 59 is '2025-06-15T16:04:00Z," in message
    assert message.endswith(f"check it: celery -A tasks trading candles check {path}")
