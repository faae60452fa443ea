"""Files of other programs: the same candles come out, and each row that is lost is counted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.candle_files import NO_TIME, CandleFileError, RawCandles, convert, read_raw, write_candles
from adapters.sources.file import read_candles
from configs.plugins.candle_files import CandleFileOptions
from tests.unit.adapters.candle_files.converted import AT_NINE, NOW_MS, ROWS, WRITTEN, minutes, own_rows, written
from trading.market.candles import Candles, first_fault

SHAPES = (*ROWS, *ROWS, ROWS[0], (1.0, 0.9, 0.9, 1.0, 1.0), (0.0, 1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, -1.0))
"""Values of a row: more often sound than not."""


@pytest.mark.parametrize(("text", "zone"), WRITTEN.values(), ids=WRITTEN.keys())
def test_file_of_another_program_is_converted_to_the_same_candles(tmp_path: Path, text: str, zone: str | None) -> None:
    raw = read_raw(written(tmp_path, text), CandleFileOptions(timezone=zone))
    done = convert(raw, now_ms=NOW_MS)

    assert done.candles == Candles(np.array(AT_NINE), np.array(ROWS))
    assert (done.timeframe, done.rows, done.losses) == ("1m", 3, ())
    assert done.moved == (2 if "newest" in text or "BTC/USDT" in text else 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kind", ["own", "metatrader 5", "metatrader 4"])
def test_file_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str, kind: str) -> None:
    text, zone = WRITTEN[kind]
    path = written(tmp_path, text.replace("\n", "\r\n"), encoding=encoding)
    raw = read_raw(path, CandleFileOptions(timezone=zone or "UTC"))

    assert raw.open_ms.tolist() == list(AT_NINE)


def test_gzipped_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, WRITTEN["own"][0], "in.csv.gz").rename(tmp_path / "in.txt")

    assert len(read_raw(path)) == 3


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_written_file_is_read_by_a_file_source_and_converts_to_itself(tmp_path: Path, suffix: str) -> None:
    candles = Candles(np.array(AT_NINE), np.array(ROWS))
    path = tmp_path / f"out{suffix}"

    write_candles(path, candles)

    assert read_candles(path, timeframe="1m") == candles
    assert convert(read_raw(path), now_ms=NOW_MS).candles == candles
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_write_does_not_replace_a_file_unless_requested(tmp_path: Path) -> None:
    path = written(tmp_path, "something dear", "out.csv")
    candles = Candles(np.array(AT_NINE), np.array(ROWS))

    with pytest.raises(CandleFileError, match="exists already"):
        write_candles(path, candles)
    assert path.read_text() == "something dear"
    write_candles(path, candles, overwrite=True)
    assert read_candles(path, timeframe="1m") == candles


def test_every_row_that_cannot_be_used_is_counted_with_its_reason_and_line(tmp_path: Path) -> None:
    text = own_rows(
        *minutes(30, 31, 32, 33, 34, 35),
        "2024-01-02T09:36:00Z,1,nan,1,1,1",
        "2024-01-02T09:37:00Z,1,word,1,1,1",
        "2024-01-02T09:38:00Z,0,1,0,1,1",
        "2024-01-02T09:39:00Z,1,0.5,1,1,1",
        "2024-01-02T09:40:00Z,1,1,1,1,-1",
        "yesterday,1,1,1,1,1",
        "2024-01-02T09:42:30Z,1,1,1,1,1",
        "2024-01-02T09:35:00Z,1,1,1,1,1",
        "2024-01-02T09:34:00Z,2,2,2,2,2",
        "",
        "2026-06-01T00:00:00Z,1,1,1,1,1",
    )
    done = convert(read_raw(written(tmp_path, text)), now_ms=NOW_MS)

    losses = {loss.reason.split(":")[0]: (loss.count, loss.first_lines) for loss in done.losses[:-2]}
    assert losses == {
        "the time cannot be read": (1, (13,)),
        "not a number": (2, (8, 9)),
        "not positive": (1, (10,)),
        "crossed": (1, (11,)),
        "negative volume": (1, (12,)),
        "off the grid": (1, (14,)),
        "not closed yet": (1, (18,)),
    }
    assert [(loss.reason, loss.count, loss.first_lines) for loss in done.losses[-2:]] == [
        ("duplicate: the same candle is repeated later", 1, (7,)),
        ("duplicate: a different candle of the same time comes later", 1, (6,)),
    ]
    assert done.candles.values[4].tolist() == [2.0] * 5
    assert len(done.candles) + sum(loss.count for loss in done.losses) == done.rows == 16


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(-2, 40), st.sampled_from([0, 0, 0, 7_000]), st.sampled_from(SHAPES)),
        min_size=3,
        max_size=40,
    )
)
def test_candles_and_losses_always_add_up_and_what_is_left_is_sound(
    rows: list[tuple[int, int, tuple[float, ...]]],
) -> None:
    times = np.array([AT_NINE[0] + row[0] * 60_000 + row[1] if row[0] >= -1 else NO_TIME for row in rows], np.int64)
    values = np.array([shape for _, _, shape in rows])
    raw = RawCandles(times, times != NO_TIME, values, np.arange(len(rows)) + 2, "", (), True)
    is_usable = (times != NO_TIME) & (times % 60_000 == 0) & (values[:, :4] > 0).all(axis=1) & (values[:, 4] >= 0)
    is_crossed = (values[:, 1] < values[:, :4].max(axis=1)) | (values[:, 2] > values[:, :4].min(axis=1))
    if not (is_usable & ~is_crossed).any():
        with pytest.raises(CandleFileError, match="none of the"):
            convert(raw, now_ms=NOW_MS, timeframe="1m")
        return
    done = convert(raw, now_ms=NOW_MS, timeframe="1m")
    assert len(done.candles) + sum(loss.count for loss in done.losses) == len(rows)
    assert first_fault(done.candles, timeframe="1m") is None
    left = {(at, *row) for at, row in zip(times.tolist(), values.tolist(), strict=True)}
    assert {tuple(row) for row in done.candles.rows()} <= left
