"""Recorded candles, played: what a file may look like, and what is shown of it when."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ledger.memory import MemoryLedger
from adapters.sources.file import FileSource, FileTape, read_candles
from adapters.sources.playback import PlayedSource
from adapters.sources.playback_clock import MemoryAnchorStore, Speed
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from tests.fakes import system_config
from tests.fixtures.apps.system import recorded
from tests.fixtures.candle_files import write_candles
from trading.errors import BadCandle
from trading.market.candles import CLOSE, OPEN, Candles
from trading.services.chain import AdvanceSymbol
from trading_orchestrator.testing.candles import SYMBOL
from trading_orchestrator.testing.contracts.source import PlayedSourceContract, Stage, check_forming, closed_part, walk
from trading_orchestrator.testing.manual_clock import ManualClock

START_MS = 1_750_000_020_000
BAR_MS = 60_000


def make_candles(slots: list[int]) -> Candles:
    """Return candles of one minute that all differ, in the given slots after the start."""
    noise = np.random.default_rng(7)
    edges = 100.0 + noise.integers(-50, 50, (len(slots), 2)) / 10
    wicks = noise.integers(1, 20, (len(slots), 2)) / 10
    high, low = edges.max(axis=1) + wicks[:, 0], edges.min(axis=1) - wicks[:, 1]
    volume = noise.integers(1, 1_000, len(slots)) / 10
    values = np.column_stack((edges[:, 0], high, low, edges[:, 1], volume))
    return Candles(START_MS + np.array(slots, np.int64) * BAR_MS, values)


def played(candles: Candles, *, speed: Speed = "max", step: int = 1, wall: ManualClock | None = None) -> PlayedSource:
    wall = ManualClock() if wall is None else wall
    return PlayedSource(FileTape(candles), timeframe="1m", speed=speed, step=step, now_ms=wall, anchors=None)


CANDLES = make_candles([*range(40), *range(45, 70), 71, 72, *range(80, 120)])


class TestFileSourceAtFullSpeed(PlayedSourceContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        source = FileSource(write_candles(tmp_path / "x.csv", CANDLES), "XAUUSD", "1m")
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[30]), truth=CANDLES)


class TestFileSourceBeforeABreak(PlayedSourceContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        source = FileSource(write_candles(tmp_path / "x.csv.gz", CANDLES), "XAUUSD", "1m", step=10)
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[29]), truth=CANDLES)


class TestFileSourceWithAClock(PlayedSourceContract):
    @pytest.fixture(params=[20.5, 40.5, 43.0, 71.99, 130.0])
    def stage(self, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
        wall = ManualClock()
        path = write_candles(tmp_path / "x.csv", CANDLES)
        source = FileSource(path, "XAUUSD", "1m", 60, now_ms=wall, anchors=MemoryAnchorStore())
        source.newest(1, after_ms=None)
        wall.now_ms += int(request.param * 1_000)
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[15]), truth=CANDLES)


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


def test_recording_with_a_clock_is_over_while_market_time_goes_on() -> None:
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


def test_newest_after_a_restart_of_a_cleared_market_goes_on_after_the_cursor() -> None:
    cursor_ms = int(CANDLES.open_ms[10])
    bars = played(CANDLES, speed=60).newest(3, after_ms=cursor_ms)

    assert bars.as_of_ms == cursor_ms + BAR_MS
    assert closed_part(bars, BAR_MS).last_open_ms == cursor_ms


def test_newest_before_the_first_open_is_empty() -> None:
    wall = ManualClock()
    anchors = MemoryAnchorStore()
    anchors.set_if_absent((START_MS - BAR_MS, wall.now_ms))
    source = PlayedSource(FileTape(CANDLES), timeframe="1m", speed=1.0, step=1, now_ms=wall, anchors=anchors)

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


slots = st.lists(st.integers(1, 4), min_size=2, max_size=60).map(lambda steps: np.cumsum(steps).tolist())


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
def test_step_below_one_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=f"step {step}: expected 1 or more"):
        played(CANDLES, step=step)


def epoch(unit_ms: int) -> Callable[[Path, Candles], Path]:
    def write(folder: Path, candles: Candles) -> Path:
        frame = candles.frame().reset_index()
        frame["timestamp"] = candles.open_ms // unit_ms
        frame.to_csv(folder / "x.csv", index=False)
        return folder / "x.csv"

    return write


def offsets(folder: Path, candles: Candles) -> Path:
    frame = candles.frame().reset_index()
    zones = ["UTC" if row % 2 else "Asia/Tokyo" for row in range(len(frame))]
    stamps = [at.tz_convert(zone).isoformat() for at, zone in zip(frame["timestamp"], zones, strict=True)]
    frame.assign(timestamp=stamps, note="x").to_csv(folder / "x.csv", index=False)
    return folder / "x.csv"


def parquet(folder: Path, candles: Candles) -> Path:
    candles.frame().reset_index().to_parquet(folder / "x.parquet", index=False)
    return folder / "x.parquet"


def parquet_by_index(folder: Path, candles: Candles) -> Path:
    candles.frame().tz_convert("America/New_York").to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


WRITERS: dict[str, Callable[[Path, Candles], Path]] = {
    "csv": lambda folder, candles: write_candles(folder / "x.csv", candles),
    "csv.gz": lambda folder, candles: write_candles(folder / "x.csv.gz", candles),
    "seconds": epoch(1_000),
    "milliseconds": epoch(1),
    "offsets": offsets,
    "parquet": parquet,
    "parquet by index": parquet_by_index,
}


@pytest.mark.parametrize("form", WRITERS)
def test_file_in_each_form_gives_the_same_candles(form: str, tmp_path: Path) -> None:
    assert read_candles(WRITERS[form](tmp_path, CANDLES), timeframe="1m") == CANDLES


@pytest.mark.data
def test_recorded_file_as_parquet_gives_the_same_candles(tmp_path: Path) -> None:
    candles = read_candles(recorded("XAUUSD_1m.csv.gz"), timeframe="1m")

    assert read_candles(parquet(tmp_path, candles), timeframe="1m") == candles


def test_file_read_twice_is_loaded_once(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "x.csv", CANDLES)

    assert read_candles(path, timeframe="1m") is read_candles(str(path), timeframe="1m")


def test_file_that_changed_is_loaded_anew(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "x.csv", CANDLES)
    read_candles(path, timeframe="1m")
    write_candles(path, CANDLES[:20])

    assert read_candles(path, timeframe="1m") == CANDLES[:20]


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


HEAD = "timestamp,open,high,low,close,volume\n"
ROW = ",1,2,0.5,1.5,10\n"
STAMPS = ["2025-01-01T00:00:00Z", "2025-01-01T00:01:00Z", "2025-01-01T00:02:00Z"]


def lines(*stamps: str) -> str:
    return HEAD + "".join(stamp + ROW for stamp in stamps)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (lines(STAMPS[0], STAMPS[2], STAMPS[1]), r"line 4: timestamp 2025-01-01 00:01:00\+00:00 is earlier"),
        (lines(STAMPS[0], STAMPS[1], STAMPS[1]), r"line 4: timestamp 2025-01-01 00:01:00\+00:00 repeats"),
        (lines(STAMPS[0], "yesterday"), "line 3: timestamp 'yesterday' cannot be read"),
        (lines(STAMPS[0], ""), "line 3: no timestamp"),
        (lines("1735689600", ""), "line 3: no timestamp"),
        (
            lines("2025-01-01T00:00:00", "2025-01-01T00:01:00"),
            "line 2: .* has no time zone; expected UTC with a",
        ),
        (lines(STAMPS[0], "2025-01-01T00:01:00"), "line 3: .* has no time zone"),
        ("timestamp,open,high,Close,volume\n", "no column low, close; found timestamp, open, high, Close, volume;"),
        (lines("1735689600000000", "1735689660000000"), "line 2: .* neither seconds nor .* candles convert"),
        (HEAD, "holds no candles"),
        ("", "is empty"),
        (lines(STAMPS[0]).replace(",", ";"), "candles convert .*x.csv OUT.csv"),
        (lines("2025-01-01T00:00:00"), "candles convert .*x.csv OUT.csv --timezone ZONE"),
        ("\n" + lines(STAMPS[0], "yesterday").replace("yes", "\nyes"), "line 5: timestamp 'yesterday'"),
        (lines(STAMPS[0], "2025-01-01T00:05:00Z", "2025-01-01T00:10:00Z"), "300 s apart, but timeframe '1m' is 60 s"),
    ],
)
def test_file_with_a_fault_is_refused_with_its_place(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)

    with pytest.raises(ValueError, match=f"x.csv.*{fault}"):
        read_candles(path, timeframe="1m")


def test_file_of_shorter_candles_than_the_timeframe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 s apart, but timeframe '5m' is 300 s"):
        read_candles(write_candles(tmp_path / "x.csv", CANDLES), timeframe="5m")


def test_file_cut_short_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(lines(*STAMPS).encode())
    (tmp_path / "x.csv.gz").write_bytes(whole[:-12])

    with pytest.raises(ValueError, match=r"x\.csv\.gz.*cannot be read"):
        read_candles(tmp_path / "x.csv.gz", timeframe="1m")


def test_parquet_out_of_order_is_refused_with_its_row(tmp_path: Path) -> None:
    frame = CANDLES.frame().reset_index().iloc[[0, 1, 3, 2]]
    frame.to_parquet(tmp_path / "x.parquet", index=False)

    with pytest.raises(ValueError, match=r"row 4: timestamp .* is earlier"):
        read_candles(tmp_path / "x.parquet", timeframe="1m")


def test_parquet_with_naive_times_is_refused(tmp_path: Path) -> None:
    CANDLES.frame().tz_localize(None).to_parquet(tmp_path / "x.parquet")

    with pytest.raises(ValueError, match=r"row 1: .* has no time zone"):
        read_candles(tmp_path / "x.parquet", timeframe="1m")


@pytest.mark.parametrize(
    ("name", "fault"),
    [("none.csv", "does not exist; allowed endings are .csv, .csv.gz, .parquet"), ("x.txt", "does not exist")],
)
def test_file_that_is_not_there_or_of_another_kind_is_refused(name: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=fault):
        FileSource(tmp_path / name, "X", "1m")


def test_file_of_another_kind_is_refused_with_the_way_to_mend_it(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "x.csv", CANDLES).rename(tmp_path / "x y.txt")

    with pytest.raises(ValueError, match=r"ends in '.txt'; allowed endings.*candles convert '.*x y.txt' OUT.csv"):
        FileSource(path, "X", "1m")


@pytest.mark.parametrize(("suffix", "place"), [(".csv", "line 9 is '2025"), (".csv.gz", "line 9 is '2025")])
def test_place_of_a_candle_is_its_line_blank_ones_counted(suffix: str, place: str, tmp_path: Path) -> None:
    path = write_candles(tmp_path / f"x{suffix}", CANDLES)
    packed = suffix.endswith(".gz")
    text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text()
    spaced = text.replace("\n", "\n\n", 2)
    path.write_bytes(gzip.compress(spaced.encode()) if packed else spaced.encode())
    source = FileSource(path, "X", "1m")

    assert place in source.place_of(int(CANDLES.open_ms[5]))
    assert source.place_of(int(CANDLES.open_ms[5])).endswith(f"candles check {path}")
    assert "line" not in source.place_of(7)


def test_place_of_a_candle_of_a_parquet_file_is_its_row(tmp_path: Path) -> None:
    source = FileSource(parquet(tmp_path, CANDLES), "X", "1m")

    assert "x.parquet', row 6;" in source.place_of(int(CANDLES.open_ms[5]))


def test_bad_candle_of_a_file_that_is_played_live_is_told_with_its_line(tmp_path: Path) -> None:
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

    said = str(raised.value)
    assert said.startswith(f"{SYMBOL} candle of 2025-06-15 16:04 UTC: high is below another price (open ")
    assert f"; candle file '{path}', line 59 is '2025-06-15T16:04:00Z," in said
    assert said.endswith(f"check it: celery -A tasks trading candles check {path}")
