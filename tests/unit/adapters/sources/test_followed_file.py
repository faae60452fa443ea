"""A file that grows while it is played, is half written, truncated or replaced."""

import gzip
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from weakref import ref

import pytest

from adapters.sources.file import FileSource
from adapters.sources.followed_file import SETTLED_S
from configs.plugins.candle_files import CandleFileOptions
from trading.errors import Transient

HEADER = "timestamp,open,high,low,close,volume\n"
OLD_S = 2 * SETTLED_S
FAR_MS = 2_000_000_000_000


def line(minute: int, price: float = 100.0) -> str:
    return f"2026-03-02T00:{minute:02}:00Z,{price},{price},{price},{price},1\n"


def filled_hour(hour: int) -> str:
    """Return the line of an hour since Monday; at weekends and at 22:00 a flat candle without volume."""
    at = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hour)
    if at.weekday() >= 5 or at.hour == 22:
        return f"{at:%Y-%m-%dT%H:%M:%SZ},100,100,100,100,0\n"
    return f"{at:%Y-%m-%dT%H:%M:%SZ},100,{101 + hour % 3},99,100,5\n"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "growing.csv"
    path.write_text(HEADER + line(0) + line(1))
    return path


def closes(source: FileSource) -> list[float]:
    """Play the source to its end, and return the closes of its closed candles."""
    cursor_ms, found = 0, list[float]()
    while True:
        bars = source.since(cursor_ms, limit=10)
        closed = bars.candles.until(bars.as_of_ms - 60_000)
        if not len(closed):
            assert bars.is_over
            return found
        found += closed.values[:, 3].tolist()
        cursor_ms = closed.last_open_ms


def test_rows_appended_after_the_end_are_played(path: Path) -> None:
    source = FileSource(path, "X", "1m")
    assert closes(source) == [100.0, 100.0]

    append(path, line(2, 102.0) + line(3, 103.0))

    assert closes(source) == [100.0, 100.0, 102.0, 103.0]


def test_last_line_half_written_waits_until_it_is_complete(path: Path) -> None:
    source = FileSource(path, "X", "1m")
    whole = line(2, 102.5)
    for at in range(1, len(whole) - 1, 7):
        path.write_text(HEADER + line(0) + line(1) + whole[:at])
        assert closes(source) == [100.0, 100.0]

    path.write_text(HEADER + line(0) + line(1) + whole)

    assert closes(source) == [100.0, 100.0, 102.5]


def test_last_line_without_its_end_is_read_once_the_file_rests(path: Path) -> None:
    append(path, line(2, 102.0).rstrip())
    source = FileSource(path, "X", "1m")
    assert closes(source) == [100.0, 100.0]

    at_s = time.time() - OLD_S
    os.utime(path, (at_s, at_s))

    assert closes(source) == [100.0, 100.0, 102.0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (HEADER + line(0), "was truncated: it had 2 candles and has 1"),
        (HEADER + line(0) + line(1, 99.0) + line(2), "was replaced: its candle of 2026-03-02 00:01 UTC is another one"),
        (HEADER, "cannot be read any more"),
        (None, "cannot be read any more"),
    ],
)
def test_file_changed_otherwise_is_an_error_that_says_so_until_it_is_restored(
    path: Path, content: str | None, fault: str
) -> None:
    source, before = FileSource(path, "X", "1m"), path.read_text()
    path.unlink()
    if content is not None:
        path.write_text(content)

    for _ in range(2):
        with pytest.raises(Transient, match=fault):
            source.newest(2, after_ms=None)
    if content not in (None, HEADER):
        with pytest.raises(Transient, match=fault):  # services that are rebuilt open it anew
            FileSource(path, "X", "1m")

    path.write_text(before + line(2, 102.0))
    assert closes(source) == [100.0, 100.0, 102.0]


def test_file_written_whole_by_another_program_is_played_as_it_grows(tmp_path: Path) -> None:
    path, rows = tmp_path / "growing.csv.gz", HEADER + line(0) + line(1)
    path.write_bytes(gzip.compress(rows.encode()))
    source = FileSource(path, "X", "1m")
    assert closes(source) == [100.0, 100.0]

    path.write_bytes(gzip.compress((rows + line(2, 102.0)).encode()))

    assert closes(source) == [100.0, 100.0, 102.0]


def test_other_options_of_the_same_file_are_no_replaced_file(path: Path) -> None:
    path.write_text((HEADER + line(0) + line(1)).replace("Z", ""))
    FileSource(path, "X", "1m", options=CandleFileOptions(timezone="UTC"))

    FileSource(path, "X", "1m", options=CandleFileOptions(timezone="Europe/Berlin"))


def test_filled_closed_hours_that_more_rows_reveal_are_no_replaced_file(tmp_path: Path) -> None:
    path, hours = tmp_path / "filled.csv", [filled_hour(hour) for hour in range(12 * 24)]
    path.write_text(HEADER + "".join(hours[: 5 * 24]))  # from Monday to Friday, each 22:00 is filled
    source = FileSource(path, "X", "1h")
    assert len(source.history(FAR_MS, count=1_000)) == 5 * 24

    append(path, "".join(hours[5 * 24 :]))

    assert len(source.history(FAR_MS, count=1_000)) == 2 * 5 * 23


def test_file_that_grew_is_kept_once(path: Path) -> None:
    source = FileSource(path, "X", "1m")
    first = ref(source._shown.candles.values)
    append(path, line(2))

    source.newest(2, after_ms=None)

    assert first() is None
