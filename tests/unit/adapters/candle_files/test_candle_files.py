"""Files of candles as other programs write them: read whole, converted with every loss counted."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.candle_files import (
    NO_TIME,
    CandleFileError,
    RawCandles,
    Zone,
    convert,
    read_raw,
    write_candles,
    zone_of,
)
from adapters.sources.file import read_candles, read_unspaced
from trading.market.candles import Candles, first_fault

NOW_MS = int(pd.Timestamp("2026-06-01T00:00Z").timestamp() * 1000)
UTC = Zone("UTC")

ROWS = ((1.0, 1.3, 0.9, 1.2, 10.0), (1.2, 1.4, 1.1, 1.3, 20.0), (1.3, 1.5, 1.2, 1.4, 30.0))
AT_NINE = (1704187800000, 1704187860000, 1704187920000)  # 2 January 2024, 09:30, 09:31 and 09:32 UTC

SHAPES = (*ROWS, *ROWS, ROWS[0], (1.0, 0.9, 0.9, 1.0, 1.0), (0.0, 1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, -1.0))
"""Values of a row: more often sound than not."""

WRITTEN: dict[str, tuple[str, str | None]] = {
    "own": (
        "timestamp,open,high,low,close,volume\n"
        "2024-01-02T09:30:00Z,1,1.3,0.9,1.2,10\n2024-01-02T09:31:00Z,1.2,1.4,1.1,1.3,20\n"
        "2024-01-02T09:32:00Z,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "metatrader 5": (
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.01.02\t11:30:00\t1\t1.3\t0.9\t1.2\t10\t0\t5\n2024.01.02\t11:31:00\t1.2\t1.4\t1.1\t1.3\t20\t0\t5\n"
        "2024.01.02\t11:32:00\t1.3\t1.5\t1.2\t1.4\t30\t0\t5\n",
        "America/New_York+7h",
    ),
    "metatrader 4": (
        "2024.01.02,09:30,1,1.3,0.9,1.2,10\n2024.01.02,09:31,1.2,1.4,1.1,1.3,20\n2024.01.02,09:32,1.3,1.5,1.2,1.4,30\n",
        "UTC",
    ),
    "binance in milliseconds": (
        "1704187800000,1,1.3,0.9,1.2,10,1704187859999,0,3,0,0,0\n"
        "1704187860000,1.2,1.4,1.1,1.3,20,1704187919999,0,3,0,0,0\n"
        "1704187920000,1.3,1.5,1.2,1.4,30,1704187979999,0,3,0,0,0\n",
        None,
    ),
    "binance in microseconds from the second row on": (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n"
        "1704187800000,1,1.3,0.9,1.2,10,1704187859999,0,3,0,0,0\n"
        "1704187860000000,1.2,1.4,1.1,1.3,20,1704187919999999,0,3,0,0,0\n"
        "1704187920000000,1.3,1.5,1.2,1.4,30,1704187979999999,0,3,0,0,0\n",
        None,
    ),
    "dukascopy in GMT": (
        "Gmt time,Open,High,Low,Close,Volume\n"
        "02.01.2024 09:30:00.000,1,1.3,0.9,1.2,10\n02.01.2024 09:31:00.000,1.2,1.4,1.1,1.3,20\n"
        "02.01.2024 09:32:00.000,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "dukascopy in local time": (
        "Local time,Open,High,Low,Close,Volume\n"
        "02.01.2024 10:30:00.000 GMT+0100,1,1.3,0.9,1.2,10\n02.01.2024 10:31:00.000 GMT+0100,1.2,1.4,1.1,1.3,20\n"
        "02.01.2024 10:32:00.000 GMT+0100,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "with a line above the header, newest first": (
        "https://www.example.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
        "1704187920,2024-01-02 09:32:00,BTC/USDT,1.3,1.5,1.2,1.4,30,99\n"
        "1704187860,2024-01-02 09:31:00,BTC/USDT,1.2,1.4,1.1,1.3,20,99\n"
        "1704187800,2024-01-02 09:30:00,BTC/USDT,1,1.3,0.9,1.2,10,99\n",
        None,
    ),
    "histdata": (
        "20240102 043000;1;1.3;0.9;1.2;10\n20240102 043100;1.2;1.4;1.1;1.3;20\n20240102 043200;1.3;1.5;1.2;1.4;30\n",
        "America/New_York",
    ),
    "kraken": (
        "1704187800,1,1.3,0.9,1.2,10,4\n1704187860,1.2,1.4,1.1,1.3,20,4\n1704187920,1.3,1.5,1.2,1.4,30,4\n",
        None,
    ),
    "with decimal commas": (
        "Date;Time;Open;High;Low;Close;Volume\n"
        "02.01.2024;09:30;1,0;1,3;0,9;1,2;10\n02.01.2024;09:31;1,2;1,4;1,1;1,3;20\n02.01.2024;09:32;1,3;1,5;1,2;1,4;30\n",
        "UTC",
    ),
    "with quotes, spaces and another order": (
        '"Close", "Low", "High", "Open", "Vol", "Datetime"\n'
        '"1.2", "0.9", "1.3", "1", "10", "2024-01-02 09:30:00+00:00"\n'
        '"1.3", "1.1", "1.4", "1.2", "20", "2024-01-02 09:31:00+00:00"\n'
        '"1.4", "1.2", "1.5", "1.3", "30", "2024-01-02 09:32:00+00:00"\n',
        None,
    ),
    "with UTC behind the time": (
        "time,o,h,l,c,v\n2024-01-02 09:30:00 UTC,1,1.3,0.9,1.2,10\n2024-01-02 09:31:00 UTC,1.2,1.4,1.1,1.3,20\n"
        "2024-01-02 09:32:00 UTC,1.3,1.5,1.2,1.4,30\n",
        None,
    ),
    "packed into one number": (
        "date,open,high,low,close,volume\n20240102093000,1,1.3,0.9,1.2,10\n20240102093100,1.2,1.4,1.1,1.3,20\n"
        "20240102093200,1.3,1.5,1.2,1.4,30\n",
        "UTC",
    ),
}


def written(folder: Path, text: str, name: str = "in.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def own_rows(*lines: str) -> str:
    return "\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n"


def minutes(*opens: int, price: float = 1.0) -> list[str]:
    return [f"2024-01-02T09:{minute:02}:00Z,{price},{price},{price},{price},1" for minute in opens]


@pytest.mark.parametrize(("text", "zone"), WRITTEN.values(), ids=WRITTEN.keys())
def test_file_of_another_program_is_converted_to_the_same_candles(tmp_path: Path, text: str, zone: str | None) -> None:
    raw = read_raw(written(tmp_path, text), zone=zone_of(zone) if zone else None)
    done = convert(raw, now_ms=NOW_MS)

    assert done.candles == Candles(np.array(AT_NINE), np.array(ROWS))
    assert (done.timeframe, done.rows, done.losses) == ("1m", 3, ())
    assert done.moved == (2 if "newest" in text or "BTC/USDT" in text else 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kind", ["own", "metatrader 5", "metatrader 4"])
def test_file_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str, kind: str) -> None:
    text, zone = WRITTEN[kind]
    raw = read_raw(written(tmp_path, text.replace("\n", "\r\n"), encoding=encoding), zone=zone_of(zone or "UTC"))

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


def test_write_does_not_replace_a_file_unless_told_to(tmp_path: Path) -> None:
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
        ("duplicate: the same candle stands again later", 1, (7,)),
        ("duplicate: another candle of the same time stands later", 1, (6,)),
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


def test_times_of_the_close_are_moved_to_the_open(tmp_path: Path) -> None:
    done = convert(read_raw(written(tmp_path, WRITTEN["own"][0])), now_ms=NOW_MS, stamped_at_close=True)

    assert done.candles.open_ms.tolist() == [at - 60_000 for at in AT_NINE]


def test_times_without_an_offset_are_refused_until_a_zone_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, WRITTEN["metatrader 4"][0])

    with pytest.raises(CandleFileError, match=r"such as 2024-01-02 09:30:00, have no offset.*--timezone"):
        read_raw(path)


def test_local_times_follow_summer_time_and_those_that_do_not_exist_are_counted(tmp_path: Path) -> None:
    hours = [f"2024-03-31 {hour:02}:00:00,1,1,1,1,1" for hour in range(5)]
    raw = read_raw(written(tmp_path, own_rows(*hours)), zone=zone_of("Europe/Berlin"))
    done = convert(raw, now_ms=NOW_MS)

    assert [str(pd.Timestamp(at, unit="ms")) for at in done.candles.open_ms] == [
        "2024-03-30 23:00:00",
        "2024-03-31 00:00:00",
        "2024-03-31 01:00:00",
        "2024-03-31 02:00:00",
    ]
    assert [(loss.reason[:14], loss.first_lines) for loss in done.losses] == [("the local time", (4,))]


def test_hour_that_clocks_repeat_is_told_apart_by_its_order(tmp_path: Path) -> None:
    hours = ("01:00", "02:00", "02:00", "03:00")
    lines = [f"2024-10-27 {hour}:00,1,1,1,1,1" for hour in hours]
    raw = read_raw(written(tmp_path, own_rows(*lines)), zone=zone_of("Europe/Berlin"))

    assert np.diff(raw.open_ms).tolist() == [3_600_000] * 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("timestamp,spread\n1,2\n", "its first line is 'timestamp,spread'"),
        ("timestamp,bid,ask,bid_volume,ask_volume\n1,2,3,4,5\n", "prices are not in the order|has 5 columns"),
        (own_rows(), "no candles in it"),
        ("1704187800,1.2,1.0,1.3,0.9,10\n1704187860,1.2,1.0,1.3,0.9,10\n", "not in the order open, high, low, close"),
        (own_rows("01/02/2024 09:30,1,1,1,1,1"), "--time-format"),
        (own_rows(*minutes(1, 2)) + "2024-01-02T09:03:00Z,1,1,1,1,1,7,8\n", r"line 4.*saw 8"),
        (own_rows(*minutes(1, 2)) + "2024-01-02T09:03:00Z,1,1,1,1,1,7\n", r"line 4 has more than the 6 fields"),
        ("PK\x03\x04 and so on", "zip archive"),
    ],
)
def test_file_that_is_none_is_refused_with_what_was_found(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(CandleFileError, match=fault):
        read_raw(written(tmp_path, text), zone=UTC)


def test_gzipped_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, own_rows(*minutes(*range(60))), "in.csv.gz")
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(CandleFileError, match="cannot be read"):
        read_raw(path)


def test_time_format_of_the_user_reads_what_is_ambiguous(tmp_path: Path) -> None:
    path = written(tmp_path, own_rows("01/02/2024 09:30,1,1,1,1,1", "01/02/2024 09:31,1,1,1,1,1"))

    raw = read_raw(path, zone=UTC, time_format="%d/%m/%Y %H:%M")

    assert str(pd.Timestamp(raw.open_ms[0], unit="ms")) == "2024-02-01 09:30:00"


def test_layout_tells_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    raw = read_raw(written(tmp_path, WRITTEN["metatrader 5"][0]), zone=zone_of("America/New_York+7h"))

    assert raw.left_out == ("<VOL>", "<SPREAD>")
    assert raw.layout == "text with a header and tabs; times: ISO 8601, taken as America/New_York+7h"


def test_file_without_volume_gets_none_and_says_so(tmp_path: Path) -> None:
    raw = read_raw(written(tmp_path, "time,open,high,low,close\n1704187800,1,1,1,1\n1704187860,1,1,1,1\n"))

    assert not raw.has_volume
    assert raw.values[:, 4].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "UTC+", "../etc/passwd", "UTC+7"])
def test_zone_that_is_none_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA name"):
        zone_of(name)


US, EUROPE = "(numbers as 1,234.5)", "(numbers as 1.234,5)"


@pytest.mark.parametrize(
    ("rows", "delimiter", "values", "told"),
    [
        (['"999.5";"1,001.2";998;"1,000";"1,234"'], ",", [999.5, 1001.2, 998.0, 1000.0, 1234.0], US),
        (['"1,234,567.5";"1,234,568";1;"1,234,567";1'], ",", [1234567.5, 1234568.0, 1.0, 1234567.0, 1.0], US),
        (['"1,001";1002.5;999.5;"1,000";1'], ",", [1001.0, 1002.5, 999.5, 1000.0, 1.0], US),
        (['4386.02;4390.1;4380;4385;"1,234"'], ",", [4386.02, 4390.1, 4380.0, 4385.0, 1234.0], US),
        (["4.386,02;4.390;999,5;4.385,5;1.000"], ";", [4386.02, 4390.0, 999.5, 4385.5, 1000.0], EUROPE),
        (["151,123;151,190;151,100;151,111;1"], ";", [151.123, 151.19, 151.1, 151.111, 1.0], EUROPE),
        (['"4386,02";"4390,1";"4380,0";"4385,5";1'], ",", [4386.02, 4390.1, 4380.0, 4385.5, 1.0], EUROPE),
    ],
)
def test_numbers_with_marks_between_thousands_or_decimal_commas_are_read(
    tmp_path: Path, rows: list[str], delimiter: str, values: list[float], told: str
) -> None:
    lines = [f"{minute};{row}".replace(";", delimiter) for minute in (1704187800, 1704187860) for row in rows]
    header = "timestamp;open;high;low;close;volume".replace(";", delimiter)

    raw = read_raw(written(tmp_path, "\n".join([header, *lines]) + "\n"))

    assert raw.values.tolist() == [values, values]
    assert told in raw.layout


def test_number_whose_marks_stand_where_none_can_be_is_none(tmp_path: Path) -> None:
    good = '1704187800,"4,386.02","4,390.1","4,380.5","4,385.5",1\n'
    bad = '1704187860,"43,86.02","4,390.1","4,380,5","4,385.5",1\n'

    raw = read_raw(written(tmp_path, f"timestamp,open,high,low,close,volume\n{good}{bad}"))

    assert np.isnan(raw.values[1]).tolist() == [True, False, True, False, False]
    mixed = "1704187800;4386,1;4390,1;4380,1;4385,5;1\n1704187860;4386,1;4390,1;4380,1;4385.5;1\n"
    raw = read_raw(written(tmp_path, f"timestamp;open;high;low;close;volume\n{mixed}"))
    assert np.isnan(raw.values[1]).tolist() == [False, False, False, True, False]


def test_word_among_decimal_commas_costs_its_own_row_only(tmp_path: Path) -> None:
    rows = "1704187800;1,5;2,5;1,0;2,0;1\n1704187860;1,5;2,5;oops;2,0;1\n"

    raw = read_raw(written(tmp_path, f"timestamp;open;high;low;close;volume\n{rows}"))

    assert raw.values[0].tolist() == [1.5, 2.5, 1.0, 2.0, 1.0]
    assert np.isnan(raw.values[1]).tolist() == [False, False, True, False, False]


def test_line_longer_than_any_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError):
        read_raw(written(tmp_path, '"' + "1704187800,1,2,3;" * 20_000 + '"\n'))


def test_comma_that_may_be_decimal_or_between_thousands_is_refused(tmp_path: Path) -> None:
    rows = "".join(f'{minute},"4,386","4,390","4,380","4,385",1\n' for minute in (1704187800, 1704187860))

    with pytest.raises(CandleFileError, match=r"'4,386' may be 4386 or 4\.386"):
        read_raw(written(tmp_path, f"timestamp,open,high,low,close,volume\n{rows}"))


@pytest.mark.parametrize("steps", [[0], [0, 7], [0, 7, 14]])
def test_candles_that_are_far_apart_are_written_all_the_same(tmp_path: Path, steps: list[int]) -> None:
    candles = Candles(AT_NINE[0] + np.array(steps) * 86_400_000, np.array(ROWS)[: len(steps)])

    write_candles(tmp_path / "out.csv", candles)

    assert read_unspaced(tmp_path / "out.csv") == candles
