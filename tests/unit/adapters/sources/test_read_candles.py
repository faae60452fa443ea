"""Files of candles: each form gives the same candles, and a fault is reported with its place."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.candle_files import CandleFileError
from adapters.sources.file import FileSource, place_of, read_candles
from tests.fixtures.apps.system import recorded
from tests.fixtures.candle_files import write_candles
from tests.unit.adapters.sources.played_candles import CANDLES
from trading.market.candles import Candles


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


HEAD = "timestamp,open,high,low,close,volume\n"
ROW = ",1,2,0.5,1.5,10\n"
STAMPS = ["2025-01-01T00:00:00Z", "2025-01-01T00:01:00Z", "2025-01-01T00:02:00Z"]


def lines(*stamps: str) -> str:
    return HEAD + "".join(stamp + ROW for stamp in stamps)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (lines(STAMPS[0], STAMPS[2], STAMPS[1]), r"line 4 is .*: timestamp 2025-01-01 00:01:00\+00:00 is earlier"),
        (lines(STAMPS[0], STAMPS[1], STAMPS[1]), r"line 4 is .*: timestamp 2025-01-01 00:01:00\+00:00 repeats"),
        (lines(STAMPS[0], "yesterday"), "line 3 is 'yesterday,.*the time cannot be read"),
        (lines(STAMPS[0], ""), "line 3 is ',1,2.*the time cannot be read"),
        (lines("1735689600", ""), "line 3 is ',1,2.*the time cannot be read"),
        (
            lines("2025-01-01T00:00:00", "2025-01-01T00:01:00"),
            "have no offset; set --timezone UTC",
        ),
        (lines(STAMPS[0], "2025-01-01T00:01:00"), "have no offset; set --timezone UTC"),
        (
            "timestamp,open,high,Close,volume\n",
            "found the columns timestamp, open, high, Close, volume;.*missing: low; name them: --column low=NAME",
        ),
        (HEAD, "no candles in it"),
        ("", "is empty"),
        (lines("2025-01-01T00:00:00"), "set --timezone UTC"),
        ("\n" + lines(STAMPS[0], "yesterday").replace("yes", "\nyes"), "line 5 is 'yesterday"),
        (lines(STAMPS[0], "2025-01-01T00:05:00Z", "2025-01-01T00:10:00Z"), "300 s apart, but timeframe '1m' is 60 s"),
    ],
)
def test_file_with_a_fault_is_rejected_with_its_place(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)

    with pytest.raises(ValueError, match=f"x.csv.*{fault}"):
        read_candles(path, timeframe="1m")


def test_file_of_shorter_candles_than_the_timeframe_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 s apart, but timeframe '5m' is 300 s"):
        read_candles(write_candles(tmp_path / "x.csv", CANDLES), timeframe="5m")


def test_file_cut_short_is_rejected(tmp_path: Path) -> None:
    whole = gzip.compress(lines(*STAMPS).encode())
    (tmp_path / "x.csv.gz").write_bytes(whole[:-12])

    with pytest.raises(ValueError, match=r"x\.csv\.gz.*cannot be read"):
        read_candles(tmp_path / "x.csv.gz", timeframe="1m")


def test_parquet_out_of_order_is_rejected_with_its_row(tmp_path: Path) -> None:
    frame = CANDLES.frame().reset_index().iloc[[0, 1, 3, 2]]
    frame.to_parquet(tmp_path / "x.parquet", index=False)

    with pytest.raises(ValueError, match=r"row 4: timestamp .* is earlier"):
        read_candles(tmp_path / "x.parquet", timeframe="1m")


def test_parquet_with_naive_times_is_rejected(tmp_path: Path) -> None:
    CANDLES.frame().tz_localize(None).to_parquet(tmp_path / "x.parquet")

    with pytest.raises(ValueError, match="have no offset; set --timezone UTC"):
        read_candles(tmp_path / "x.parquet", timeframe="1m")


@pytest.mark.parametrize(
    ("name", "fault"),
    [("none.csv", "does not exist"), ("x.txt", "does not exist")],
)
def test_file_that_is_not_there_or_of_another_kind_is_rejected(name: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=fault):
        FileSource(tmp_path / name, "X", "1m")


def test_file_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "x.csv.gz", CANDLES).rename(tmp_path / "x y.txt")

    assert read_candles(path, timeframe="1m") == CANDLES


def test_file_out_of_order_names_the_command_that_sorts_it(tmp_path: Path) -> None:
    path = tmp_path / "x y.csv"
    path.write_text(lines(STAMPS[0], STAMPS[2], STAMPS[1]))

    with pytest.raises(CandleFileError, match=r"candles convert '.*x y.csv' OUT.csv \(in symbols.yaml"):
        FileSource(path, "X", "1m")


def test_file_that_is_newest_first_is_read_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(lines(*reversed(STAMPS)))
    candles = read_candles(path, timeframe="1m")

    assert candles.open_ms.tolist() == sorted(candles.open_ms.tolist())
    assert "line 4 is '2025-01-01T00:00:00Z" in place_of(path, int(candles.open_ms[0]), timeframe="1m")


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
