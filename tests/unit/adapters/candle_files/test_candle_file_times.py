"""Times in files of other programs: zones, summer time, and the end of a candle."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.candle_files import CandleFileError, convert, read_raw, zone_of
from configs.plugins.candle_files import CandleFileOptions
from tests.unit.adapters.candle_files.converted import AT_NINE, NOW_MS, WRITTEN, own_rows, written


def test_times_of_the_close_are_moved_to_the_open(tmp_path: Path) -> None:
    done = convert(read_raw(written(tmp_path, WRITTEN["own"][0])), now_ms=NOW_MS, stamped_at_close=True)

    assert done.candles.open_ms.tolist() == [at - 60_000 for at in AT_NINE]


def test_times_without_an_offset_are_rejected_until_a_zone_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, WRITTEN["metatrader 4"][0])

    with pytest.raises(CandleFileError, match=r"such as 2024-01-02 09:30:00, have no offset.*--timezone"):
        read_raw(path)


def test_local_times_follow_summer_time_and_those_that_do_not_exist_are_counted(tmp_path: Path) -> None:
    hours = [f"2024-03-31 {hour:02}:00:00,1,1,1,1,1" for hour in range(5)]
    raw = read_raw(written(tmp_path, own_rows(*hours)), CandleFileOptions(timezone="Europe/Berlin"))
    done = convert(raw, now_ms=NOW_MS)

    assert [str(pd.Timestamp(at, unit="ms")) for at in done.candles.open_ms] == [
        "2024-03-30 23:00:00",
        "2024-03-31 00:00:00",
        "2024-03-31 01:00:00",
        "2024-03-31 02:00:00",
    ]
    assert [(loss.reason[:14], loss.first_lines) for loss in done.losses] == [("the local time", (4,))]


def test_hour_that_clocks_repeat_is_distinguished_by_its_order(tmp_path: Path) -> None:
    hours = ("01:00", "02:00", "02:00", "03:00")
    lines = [f"2024-10-27 {hour}:00,1,1,1,1,1" for hour in hours]
    raw = read_raw(written(tmp_path, own_rows(*lines)), CandleFileOptions(timezone="Europe/Berlin"))

    assert np.diff(raw.open_ms).tolist() == [3_600_000] * 3


def test_time_format_of_the_user_reads_what_is_ambiguous(tmp_path: Path) -> None:
    path = written(tmp_path, own_rows("01/02/2024 09:30,1,1,1,1,1", "01/02/2024 09:31,1,1,1,1,1"))

    raw = read_raw(path, CandleFileOptions(timezone="UTC", time_format="%d/%m/%Y %H:%M"))

    assert str(pd.Timestamp(raw.open_ms[0], unit="ms")) == "2024-02-01 09:30:00"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "UTC+", "../etc/passwd", "UTC+7"])
def test_zone_that_is_none_is_rejected_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="expected an IANA name"):
        zone_of(name)
