"""`trading candles` as a user types it: what it prints, what it writes, and how it ends."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from adapters.sources.file import read_candles, read_unspaced
from configs.loading import load_system
from tests.fixtures.apps.system import ROOT, recorded
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.market.candles import Candles
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.candles.gaps import missing_in, missing_text
from trading_orchestrator.cli.exit_codes import ExitCode

COUNT = 600
GOLD_DATA = "XAUUSD_1m.csv.gz"


def run(*arguments: str | Path) -> Result:
    environ = {"TRADING__CONFIG_DIR": str(ROOT / "configs")}
    return CliRunner().invoke(trading, ["candles", *map(str, arguments)], env=environ)


def answer(*arguments: str | Path, exit_code: int = ExitCode.OK) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def counts(*arguments: str | Path, exit_code: int = ExitCode.OK) -> dict[str, int]:
    report = answer("check", *arguments, exit_code=exit_code)
    return {one["check"]: one["count"] for one in report["checks"] if one["count"]}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return write_candles(tmp_path / "gold.csv.gz", generated_candles("XAUUSD", COUNT))


@pytest.fixture
def spoiled(gold: Path) -> Path:
    """A file with a line twice, two lines in the wrong order, a hole, a crossed candle and a word for a price."""
    lines = gzip.decompress(gold.read_bytes()).decode().splitlines()
    crossed = lines[300].split(",")
    crossed[2] = "1.0"
    word = lines[400].split(",")
    word[4] = "n/a"
    changed = [*lines[:300], ",".join(crossed), *lines[301:400], ",".join(word), *lines[401:]]
    changed[100], changed[101] = changed[101], changed[100]
    del changed[200:203]
    path = gold.with_name("spoiled.csv")
    path.write_text("\n".join([*changed[:50], changed[49], *changed[50:]]) + "\n")
    return path


def test_check_of_a_sound_file_ends_with_zero_and_reports_it(gold: Path) -> None:
    result = run("check", gold)

    assert result.exit_code == ExitCode.OK
    assert f"{COUNT} rows of 1m" in result.stdout
    assert "\nno errors\n" in result.stdout
    assert result.stdout.endswith("the system can play this file\n")
    assert answer("check", gold)["refusal"] is None


def test_check_of_a_spoiled_file_ends_with_one_and_names_each_line(spoiled: Path) -> None:
    report = answer("check", spoiled, exit_code=ExitCode.NO)
    lines = {one["check"]: [place["line"] for place in one["first"]] for one in report["checks"] if one["count"]}

    assert not report["ok"]
    assert lines == {
        "not a number": [399],
        "crossed": [299],
        "duplicate": [50],
        "unsorted": [103],
        "gap": [None],
    }
    assert "line 51" in report["refusal"]
    shown = run("check", spoiled)
    assert shown.exit_code == ExitCode.NO
    assert "wrong: not a number, crossed, duplicate, unsorted, gap" in shown.stdout
    assert "3 missing" in shown.stdout


def test_check_with_a_symbol_knows_its_hours(tmp_path: Path) -> None:
    day = write_candles(tmp_path / "day.csv", generated_candles("XAUUSD", 1_440))

    assert counts(day) == counts(day, "--symbol", "BTCUSD") == {}
    assert counts(day, "--symbol", "XAUUSD", exit_code=ExitCode.NO) == {"outside hours": 60}  # its daily break


def test_check_of_an_unknown_symbol_or_file_is_wrong_usage(gold: Path) -> None:
    assert run("check", gold, "--symbol", "NOPE").exit_code == ExitCode.USAGE
    assert run("check", gold.with_name("none.csv")).exit_code == ExitCode.USAGE
    assert "IANA name" in run("check", gold, "--timezone", "Mars").stderr
    assert "'5m'" in run("check", gold, "--timeframe", "5x").stderr


def test_check_of_a_file_without_candles_reports_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "spread.csv"
    path.write_text("timestamp,spread\n1,2\n")

    result = run("check", path)

    assert (result.exit_code, result.stdout) == (ExitCode.NO, "")
    assert "its first line is 'timestamp,spread'" in result.stderr


def test_convert_of_a_spoiled_file_counts_what_it_drops_and_writes_what_is_played(spoiled: Path) -> None:
    out = spoiled.with_name("mended.csv.gz")

    report = answer("convert", spoiled, out)

    assert {loss["reason"].split(":")[0]: (loss["count"], loss["first_lines"]) for loss in report["dropped"]} == {
        "not a number": (1, [399]),
        "crossed": (1, [299]),
        "duplicate": (1, [50]),
    }
    assert (report["rows"], report["candles"], report["moved"]) == (COUNT - 2, COUNT - 5, 1)
    assert len(read_candles(out, timeframe="1m")) == COUNT - 5
    assert counts(out, exit_code=ExitCode.NO) == {"gap": 3}
    shown = run("convert", spoiled, out, "--force")
    assert f"{COUNT - 2} rows in, {COUNT - 5} candles of 1m out, 3 dropped" in shown.stdout
    assert "they followed a later one: 1\n" in shown.stdout


def test_convert_of_a_metatrader_file_needs_its_zone(tmp_path: Path) -> None:
    path, out = tmp_path / "gold.csv", tmp_path / "out.csv"
    rows = [f"2024.01.02,11:{minute},1,1.3,0.9,1.2,10" for minute in (30, 31, 32)]
    path.write_text("\n".join(rows))

    refused = run("convert", path, out)
    report = answer("convert", path, out, "--timezone", "America/New_York+7h")

    assert refused.exit_code == ExitCode.NO
    assert "--timezone UTC" in refused.stderr
    assert report["first_ms"] == 1704187800000


@pytest.mark.parametrize("verb", [("convert",), ("resample", "--timeframe", "5m")])
def test_output_that_would_harm_or_cannot_be_is_rejected_before_the_work(gold: Path, verb: tuple[str, ...]) -> None:
    taken = gold.with_name("taken.csv")
    taken.write_text("something dear")

    for out, fault in [
        (gold, "is the input file"),
        (taken, "--force"),
        (gold.with_name("out.txt"), ".csv, .csv.gz, .parquet"),
        (gold.parent / "nowhere" / "out.csv", "nowhere does not exist"),
    ]:
        result = run(verb[0], gold, out, *verb[1:])
        assert result.exit_code == ExitCode.USAGE
        assert fault in result.stderr
    assert taken.read_text() == "something dear"


def test_resample_leaves_out_what_is_not_whole_and_reports_it(gold: Path) -> None:
    candles = read_candles(gold, timeframe="1m")
    part = write_candles(gold.with_name("part.csv"), Candles(candles.open_ms[3:], candles.values[3:]))
    out = gold.with_name("out.parquet")

    report = answer("resample", part, out, "--timeframe", "5m")
    partial = answer("resample", part, out, "--timeframe", "5m", "--partial", "--force")

    assert (report["rows"], report["candles"], report["left_out"], report["unused"]) == (COUNT - 3, 119, 1, 2)
    assert report["first_left_out_ms"] == [int(candles.open_ms[0])]
    assert (partial["candles"], partial["partial"], partial["left_out"]) == (120, 1, 0)
    assert read_candles(out, timeframe="5m").open_ms[0] == candles.open_ms[0]


def test_resample_of_a_spoiled_file_is_rejected_and_points_to_the_check(spoiled: Path) -> None:
    result = run("resample", spoiled, spoiled.with_name("out.csv"), "--timeframe", "5m")

    assert result.exit_code == ExitCode.NO
    assert f"candles check {spoiled}" in result.stderr
    assert not spoiled.with_name("out.csv").exists()


def test_resample_to_a_timeframe_that_is_no_multiple_is_wrong_usage(gold: Path) -> None:
    result = run("resample", gold, gold.with_name("out.csv"), "--timeframe", "1m")

    assert result.exit_code == ExitCode.USAGE
    assert "whole multiple of '1m'" in result.stderr


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT_1m_gappy.csv.gz", {"gap": 42}),
        ("BNBUSDT_1m.csv.gz", {"no volume": 600, "flat": 2_993}),
        (GOLD_DATA, {"gap": 2, "daily break": 36, "weekend": 8}),
        ("XAUUSD_1h.csv.gz", {"gap": 75, "daily break": 1_465, "weekend": 362}),
    ],
)
def test_check_of_recorded_candles_finds_what_is_known_of_them(name: str, expected: dict[str, int]) -> None:
    assert counts(recorded(name), exit_code=ExitCode.NO if "gap" in expected else ExitCode.OK) == expected


@pytest.mark.data
def test_recorded_candles_in_a_servers_time_are_doubted_and_converted_back_to_the_same_bits(tmp_path: Path) -> None:
    candles = read_candles(recorded(GOLD_DATA), timeframe="1m")
    server = candles.frame().tz_convert("America/New_York").tz_localize(None)
    server.index += pd.Timedelta("7h")
    path, out = tmp_path / "export.csv", tmp_path / "out.csv.gz"
    rows = server.assign(spread=12).reset_index()
    rows.insert(0, "<DATE>", rows["timestamp"].dt.strftime("%Y.%m.%d"))
    rows["timestamp"] = rows["timestamp"].dt.strftime("%H:%M:%S")
    rows.columns = ["<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<TICKVOL>", "<SPREAD>"]
    rows.to_csv(path, sep="\t", index=False)

    doubted = counts(path, "--timezone", "UTC", exit_code=ExitCode.NO)
    report = answer("convert", path, out, "--timezone", "America/New_York+7h")

    assert doubted["time zone"] == 8
    assert (report["rows"], report["candles"], report["dropped"]) == (len(candles), len(candles), [])
    assert read_candles(out, timeframe="1m") == candles


@pytest.fixture
def gold_week(tmp_path: Path) -> Path:
    """Gold from Wednesday to Friday, without the three minutes before each break and with a hole of ten on Thursday."""
    session = load_system(ROOT / "configs", {}).symbols["XAUUSD"].session
    slots = pd.date_range("2026-01-14", "2026-01-17", freq="1min", inclusive="left", tz="UTC").as_unit("ms").asi8
    is_edge = ~session.are_open(slots + 3 * 60_000)
    hole = pd.Timestamp("2026-01-15T12:00", tz="UTC").value // 10**6
    kept = slots[session.are_open(slots) & ~is_edge & ~((slots >= hole) & (slots < hole + 600_000))]
    return write_candles(tmp_path / "week.csv", Candles(kept, np.tile([2.0, 2.5, 1.5, 2.0, 1.0], (len(kept), 1))))


def test_resample_of_sessions_reports_what_counts_as_whole_and_what_does_not(gold_week: Path) -> None:
    out = gold_week.with_name("out.csv")

    report = answer("resample", gold_week, out, "--timeframe", "1d", "--symbol", "XAUUSD")
    shown = run("resample", gold_week, out, "--timeframe", "1h", "--symbol", "XAUUSD", "--force").stdout

    assert (report["candles"], report["left_out"], report["at_edges"]["count"]) == (1, 2, 1)
    assert {name: lack["count"] for name, lack in report["lacking"].items()} == {"start": 0, "hole": 1, "end": 1}
    assert "2 lack only a few candles next to a break and count as complete: 2026-01-14 21:00" in shown
    assert "2 of 1h omitted as incomplete, with 107 candles (--partial includes them)\n" in shown
    assert "  1 x candles are missing while the market was open: 2026-01-15 12:00 UTC\n" in shown
    assert "  1 x the file ends within it: 2026-01-16 21:00 UTC\n" in shown


def test_candles_missing_in_a_replay_are_those_that_check_calls_a_gap(gold_week: Path) -> None:
    session = load_system(ROOT / "configs", {}).symbols["XAUUSD"].session
    missing = missing_in(read_candles(gold_week, timeframe="1m"), "1m", session)

    assert counts(gold_week, "--symbol", "XAUUSD", exit_code=ExitCode.NO)["session edge"] == 2
    assert (missing.candles, missing.holes) == (10, 1)
    assert missing_text(missing).endswith(
        "10 candles are missing during its trading hours, in 1 gap after 2026-01-15 11:59 UTC"
    )


def test_resample_to_candles_that_are_far_apart_writes_them_and_reports_that_they_are_not_played(
    tmp_path: Path,
) -> None:
    day = generated_candles("BTCUSD", 1_440)
    weeks = [Candles(day.open_ms + week * 7 * 86_400_000, day.values) for week in range(3)]
    path = write_candles(tmp_path / "sundays.csv", weeks[0].then(weeks[1]).then(weeks[2]))
    out = tmp_path / "out.csv"

    result = run("resample", path, out, "--timeframe", "1d")

    assert result.exit_code == ExitCode.OK, result.output
    assert "most candles are 1w apart; a file source cannot play them as candles of 1d" in result.stdout
    assert read_unspaced(out).open_ms.tolist() == [int(one.open_ms[0]) for one in weeks]


def test_resample_of_which_nothing_is_whole_reports_why(gold: Path) -> None:
    out = gold.with_name("out.csv")

    result = run("resample", gold, out, "--timeframe", "1d")

    assert (result.exit_code, out.exists()) == (ExitCode.NO, False)
    assert "no candle of 1d is complete\n1 of 1d omitted" in result.stderr
    assert "the file ends within it: 2026-03-02 00:00 UTC" in result.stderr


def test_file_of_one_candle_is_answered_by_each_verb(tmp_path: Path) -> None:
    path, out = write_candles(tmp_path / "one.csv", generated_candles("XAUUSD", 1)), tmp_path / "out.csv"

    for verb in (("check", path), ("convert", path, out), ("resample", path, out, "--timeframe", "5m")):
        result = run(*verb)
        assert result.exit_code == ExitCode.NO
        assert f"{path}: 1 times can be read; the timeframe needs at least two" in result.stderr
    assert answer("check", path, "--timeframe", "1m")["ok"]
    assert answer("convert", path, out, "--timeframe", "1m")["candles"] == 1


def test_check_of_a_file_without_a_readable_time_reports_it(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("timestamp,open,high,low,close,volume\n" + "-90000000000000,1,1,1,1,1\n" * 3)

    result = run("check", path, "--timeframe", "1m")

    assert (result.exit_code, "none of the times in its 3 rows can be read" in result.stderr) == (ExitCode.NO, True)


def test_convert_to_a_timeframe_that_the_candles_do_not_have_is_rejected(gold: Path) -> None:
    out = gold.with_name("out.csv")

    result = run("convert", gold, out, "--timeframe", "5m")

    assert (result.exit_code, out.exists()) == (ExitCode.NO, False)
    assert "most candles are 1m apart; a file source cannot play them as candles of 5m" in result.stderr


def test_marks_between_thousands_are_converted_and_played_alike(gold: Path) -> None:
    candles = read_candles(gold, timeframe="1m")
    path, out = gold.with_name("thousands.csv"), gold.with_name("out.csv")
    candles.frame().assign(close=[f"{close:,.2f}" for close in candles.values[:, 3]]).to_csv(path)

    report = answer("convert", path, out)

    assert answer("check", path)["refusal"] is None
    assert read_candles(path, timeframe="1m") == read_candles(out, timeframe="1m")
    assert report["dropped"] == []
    assert read_candles(out, timeframe="1m").values[:, 3] == pytest.approx(candles.values[:, 3], abs=0.006)
