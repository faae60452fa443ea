"""Layouts of files of other programs: columns, numbers and faults."""

from pathlib import Path

import numpy as np
import pytest

from adapters.candle_files import CandleFileError, read_raw, write_candles
from adapters.sources.file import read_unspaced
from configs.plugins.candle_files import CandleFileOptions
from tests.unit.adapters.candle_files.converted import AT_NINE, ROWS, WRITTEN, minutes, own_rows, written
from trading.market.candles import Candles


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("timestamp,spread\n1,2\n", "its first line is 'timestamp,spread'"),
        ("timestamp,bid,ask,bid_volume,ask_volume\n1,2,3,4,5\n", "missing: open, high, low, close; name .*open=NAME"),
        (own_rows(), "no candles in it"),
        ("1704187800,1.2,1.0,1.3,0.9,10\n1704187860,1.2,1.0,1.3,0.9,10\n", "not in the order open, high, low, close"),
        (own_rows("01/02/2024 09:30,1,1,1,1,1"), "--time-format"),
        (own_rows(*minutes(1, 2)) + "2024-01-02T09:03:00Z,1,1,1,1,1,7,8\n", r"line 4.*saw 8"),
        (own_rows(*minutes(1, 2)) + "2024-01-02T09:03:00Z,1,1,1,1,1,7\n", r"line 4 has more than the 6 fields"),
        ("PK\x03\x04 and so on", "zip archive"),
    ],
)
def test_file_that_is_none_is_rejected_with_what_was_found(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(CandleFileError, match=fault):
        read_raw(written(tmp_path, text), CandleFileOptions(timezone="UTC"))


def test_gzipped_file_that_is_cut_off_is_rejected(tmp_path: Path) -> None:
    path = written(tmp_path, own_rows(*minutes(*range(60))), "in.csv.gz")
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(CandleFileError, match="cannot be read"):
        read_raw(path)


def test_layout_reports_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    raw = read_raw(written(tmp_path, WRITTEN["metatrader 5"][0]), CandleFileOptions(timezone="America/New_York+7h"))

    assert raw.left_out == ("<VOL>", "<SPREAD>")
    assert raw.layout == "text with a header and tabs; times: ISO 8601, taken as America/New_York+7h"


def test_file_without_volume_gets_none_and_reports_it(tmp_path: Path) -> None:
    raw = read_raw(written(tmp_path, "time,open,high,low,close\n1704187800,1,1,1,1\n1704187860,1,1,1,1\n"))

    assert not raw.has_volume
    assert raw.values[:, 4].tolist() == [0.0, 0.0]


US, EUROPE = "(numbers as 1,234.5)", "(numbers as 1.234,5)"


@pytest.mark.parametrize(
    ("rows", "delimiter", "values", "message"),
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
    tmp_path: Path, rows: list[str], delimiter: str, values: list[float], message: str
) -> None:
    lines = [f"{minute};{row}".replace(";", delimiter) for minute in (1704187800, 1704187860) for row in rows]
    header = "timestamp;open;high;low;close;volume".replace(";", delimiter)

    raw = read_raw(written(tmp_path, "\n".join([header, *lines]) + "\n"))

    assert raw.values.tolist() == [values, values]
    assert message in raw.layout


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


def test_line_longer_than_any_field_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError):
        read_raw(written(tmp_path, '"' + "1704187800,1,2,3;" * 20_000 + '"\n'))


def test_comma_that_may_be_decimal_or_between_thousands_is_rejected(tmp_path: Path) -> None:
    rows = "".join(f'{minute},"4,386","4,390","4,380","4,385",1\n' for minute in (1704187800, 1704187860))

    with pytest.raises(CandleFileError, match=r"'4,386' may be 4386 or 4\.386"):
        read_raw(written(tmp_path, f"timestamp,open,high,low,close,volume\n{rows}"))


@pytest.mark.parametrize("steps", [[0], [0, 7], [0, 7, 14]])
def test_candles_that_are_far_apart_are_written_all_the_same(tmp_path: Path, steps: list[int]) -> None:
    candles = Candles(AT_NINE[0] + np.array(steps) * 86_400_000, np.array(ROWS)[: len(steps)])

    write_candles(tmp_path / "out.csv", candles)

    assert read_unspaced(tmp_path / "out.csv") == candles
