"""One rule of what can be played, for check, convert and backtest; and a remedy for each finding."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trading_orchestrator as to
from adapters.candle_files import CandleFileError, RawCandles, convert, read_raw
from adapters.candle_files.adjust import opens_of_closes
from adapters.candle_files.play import fits_timeframe, read_candles, read_recording
from adapters.sources.file import FileSource
from configs.plugins.candle_files import CandleFileOptions
from trading.errors import BadCandle
from trading.market.candles import Candles, first_fault
from trading.market.quality import filled_closed_hours, row_faults
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe
from trading_orchestrator.cli.candles.files import refusal_of
from trading_orchestrator.cli.candles.remedies import REMEDIES

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOUR = Timeframe.parse("1h")
NOW_MS = 1_790_000_000_000
HEAD = "timestamp,open,high,low,close,volume"
OIL = (
    ("2020-04-14", 21.95, 22.19, 19.95, 20.11),
    ("2020-04-15", 20.12, 20.55, 19.2, 19.87),
    ("2020-04-16", 19.88, 20.52, 19.51, 19.87),
    ("2020-04-17", 19.87, 20.22, 17.31, 18.27),
    ("2020-04-20", 17.73, 17.85, -40.32, -37.63),
    ("2020-04-21", -14.0, 13.86, -16.74, 10.01),
    ("2020-04-22", 11.57, 16.18, 10.26, 13.78),
    ("2020-04-23", 13.81, 18.26, 13.69, 16.5),
)
"""Daily prices of the May 2020 crude oil future, which ended two days below zero."""


class AtTimes(to.Strategy):
    """Buys and closes at given open times."""

    buys: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()

    def indicators(self) -> dict[str, to.Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> to.SignalBuilder:
        at = rows.index.to_numpy()
        buys, closes = (np.isin(at, [_ms(day) for day in days]) for days in (self.buys, self.closes))
        return to.SignalBuilder(len(rows)).buy(buys, reason="asked").close(closes, reason="asked")


def _ms(day: str) -> int:
    return int(pd.Timestamp(day, tz="UTC").timestamp() * 1000)


def oil(folder: Path) -> Path:
    path = folder / "oil.csv"
    rows = [f"{day}T00:00:00Z,{','.join(map(str, prices))},1" for day, *prices in OIL]
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def written(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "candles.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


ANY_PRICE = st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2.0, float("nan"), float("inf")])


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(ANY_PRICE, ANY_PRICE, ANY_PRICE, ANY_PRICE, ANY_PRICE), min_size=1, max_size=4),
    begin_ms=st.sampled_from([-HOUR_MS * 2, 0, HOUR_MS, HOUR_MS + 60_000, HOUR_MS + 1_000]),
    phase_ms=st.sampled_from([0, 60_000, 1_800_000]),
    is_allowed=st.booleans(),
)
def test_row_has_no_fault_exactly_where_its_candle_is_played(
    rows: list[tuple[float, ...]], begin_ms: int, phase_ms: int, is_allowed: bool
) -> None:
    open_ms, values = begin_ms + np.arange(len(rows)) * HOUR_MS, np.array(rows)
    faults = row_faults(open_ms, values, timeframe=HOUR, phase_ms=phase_ms, allow_non_positive=is_allowed)

    is_faulty = np.logical_or.reduce(list(faults.values()))
    candles = Candles(open_ms, values)
    fault = first_fault(candles, timeframe="1h", phase_ms=phase_ms, allow_non_positive=is_allowed)

    assert (fault is None) == (not is_faulty.any())
    assert fault is None or fault.open_ms == open_ms[is_faulty.argmax()]


def test_file_before_1970_is_rejected_by_all_with_the_same_reason_and_no_way_round(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"1962-01-{day:02}T00:00:00Z,1,2,1,2,5" for day in range(2, 12)))

    with pytest.raises(CandleFileError, match=r"all of its candles are before 1970.*use a file with later candles$"):
        read_candles(path, timeframe="1d")
    with pytest.raises(CandleFileError, match="10 x before 1970"):
        convert(read_raw(path), now_ms=NOW_MS)


def test_file_that_begins_before_1970_is_converted_to_what_is_played(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"{at:%Y-%m-%d}T00:00:00Z,1,2,1,2,5" for at in pd.date_range("1969-12-20", periods=30)))

    done = convert(read_raw(path), now_ms=NOW_MS)

    assert [(loss.reason.split(":")[0], loss.count) for loss in done.losses] == [("before 1970", 12)]
    assert first_fault(done.candles, timeframe="1d") is None


def test_each_finding_that_is_no_note_has_a_remedy() -> None:
    from trading.market.quality import Market, Severity, examine

    values = np.array([[1.0, 1.0, 1.0, 1.0, 1.0]])
    market = Market(HOUR, Session().are_open, now_ms=NOW_MS, written_ms=NOW_MS)
    findings = [one.check for one in examine(np.array([0]), values, market) if one.severity is not Severity.NOTE]

    assert set(findings) <= set(REMEDIES)


def test_prices_below_zero_are_rejected_unless_the_symbol_allows_them(tmp_path: Path) -> None:
    with pytest.raises(BadCandle, match="a price is not positive"):
        to.backtest(AtTimes(), oil(tmp_path))

    assert len(to.backtest(AtTimes(), oil(tmp_path), allow_non_positive_prices=True).candles["SYMBOL"]) == len(OIL)


def test_position_is_held_and_closed_at_prices_below_zero(tmp_path: Path) -> None:
    result = to.backtest(
        AtTimes(buys=("2020-04-16",), closes=("2020-04-20",)),
        oil(tmp_path),
        allow_non_positive_prices=True,
        risk=to.RiskLimits(sizing="fixed_units", units=10),
        costs=to.Costs(commission_bps=10),
    )

    assert [fill.price for fill in result.fills] == [19.87, -14.0]
    assert result.trades[0].profit == pytest.approx(10 * (-14 - 19.87) - 10 * (19.87 + 14) / 1000)
    assert result.equity.equity.tolist()[4] == pytest.approx(100_000 - 0.1987 + 10 * (-37.63 - 19.87))
    assert result.statistics.trade_count == 1
    assert "Market change" in result.to_html()


@pytest.mark.parametrize("sizing", ["fixed_units", "fixed_notional"])
def test_entry_at_a_price_below_zero_is_rejected_because_no_limit_can_value_it(tmp_path: Path, sizing: str) -> None:
    terms = {"fixed_units": {"units": 10}, "fixed_notional": {"notional": 1000}}[sizing]
    result = to.backtest(
        AtTimes(buys=("2020-04-20",)),
        oil(tmp_path),
        allow_non_positive_prices=True,
        risk=to.RiskLimits(sizing=sizing, **terms),
    )

    assert (result.fills, [one.rule for one in result.decisions]) == ([], ["price_not_positive"])


def filled_weeks() -> Candles:
    """Return two weeks of hours whose closed hours are filled with flat candles without volume."""
    times = pd.date_range("2024-03-04", "2024-03-19", freq="h", tz="UTC", inclusive="left")
    is_closed = (
        ((times.day_of_week == 4) & (times.hour >= 22))
        | (times.day_of_week == 5)
        | ((times.day_of_week == 6) & (times.hour < 21))
    )
    steps = np.where(is_closed, 0, 1).cumsum() * 0.25 + 100
    opens = np.where(is_closed, steps, steps - 0.25)
    volume = np.where(is_closed, 0.0, 50.0)
    values = np.column_stack((opens, steps, opens, steps, volume))
    return Candles(times.as_unit("ms").asi8.copy(), values)


@pytest.mark.parametrize(
    "session",
    [None, Session(), Session(kind="weekly", timezone="UTC", opens="sun 21:00", closes="fri 22:00")],
    ids=["unknown", "always", "weekly"],
)
def test_closed_hours_filled_with_flat_candles_are_left_out_of_play(tmp_path: Path, session: Session | None) -> None:
    candles = filled_weeks()
    path = tmp_path / "filled.csv"
    candles.frame().to_csv(path)

    recording = read_recording(path, timeframe="1h", session=session)

    assert len(recording.closed_ms) == int((candles.values[:, 4] == 0).sum()) == 94
    assert (recording.candles.values[:, 4] > 0).all()


def test_flat_candles_of_a_market_that_trades_on_saturdays_are_played() -> None:
    candles = filled_weeks()
    is_saturday = pd.to_datetime(candles.open_ms, unit="ms").day_of_week == 5
    candles.values[is_saturday, 1] += 1
    candles.values[:50, 1:4] = candles.values[:50, :1]

    flags = filled_closed_hours(candles.open_ms, candles.values, timeframe=HOUR)

    assert not flags.any()


def test_no_order_is_filled_in_filled_closed_hours(tmp_path: Path) -> None:
    path = tmp_path / "filled.csv"
    filled_weeks().frame().to_csv(path)

    result = to.backtest(AtTimes(buys=("2024-03-08 21:00",), closes=("2024-03-12",)), path)

    assert [str(pd.Timestamp(fill.market_ms, unit="ms")) for fill in result.fills] == [
        "2024-03-10 21:00:00",
        "2024-03-12 01:00:00",
    ]


def test_prices_that_rounding_made_cross_are_clipped_where_the_user_requests_it(tmp_path: Path) -> None:
    path = written(tmp_path, "2024-01-02T00:00:00Z,1,2,0.5,2.0000001,5", "2024-01-03T00:00:00Z,1,2,1.0000001,2,5")

    assert first_fault(read_candles(path, timeframe="1d"), timeframe="1d") is not None
    clipped = read_candles(path, timeframe="1d", options=CandleFileOptions(clip=True))
    assert clipped.values.tolist() == [[1, 2.0000001, 0.5, 2.0000001, 5], [1, 2, 1, 2, 5]]
    done = convert(read_raw(path), now_ms=NOW_MS, clip=True)
    assert (done.candles, done.clipped, done.losses) == (clipped, 2, ())


@pytest.mark.parametrize("late_ms", [0, -1, -1_000])
def test_stamp_in_the_last_second_of_a_candle_is_its_close(late_ms: int) -> None:
    close_ms = np.array([HOUR_MS, 2 * HOUR_MS]) + late_ms

    assert opens_of_closes(close_ms, HOUR).tolist() == [0, HOUR_MS]


@pytest.mark.parametrize("late_ms", [0, -1, -1_000])
def test_stamp_in_the_last_second_of_a_month_or_of_an_hour_from_half_past_is_its_close(late_ms: int) -> None:
    april, may, june = (_ms(day) for day in ("2024-04-01", "2024-05-01", "2024-06-01"))
    half_past = np.array([HOUR_MS, 2 * HOUR_MS]) + HOUR_MS // 2

    months = opens_of_closes(np.array([may, june]) + late_ms, Timeframe.parse("1M"))

    assert months.tolist() == [april, may]
    assert opens_of_closes(half_past + late_ms, HOUR).tolist() == (half_past - HOUR_MS).tolist()


def test_hours_from_half_past_are_played_checked_and_converted_alike(tmp_path: Path) -> None:
    rows = [f"{at:%Y-%m-%dT%H:%M:%SZ},1,2,1,2,5" for at in pd.date_range("2024-03-04 09:30", periods=30, freq="1h")]
    path = written(tmp_path, *rows)

    candles = read_candles(path, timeframe="1h")
    done = convert(read_raw(path), now_ms=NOW_MS)

    assert (done.candles, done.losses, done.timeframe) == (candles, (), "1h")
    assert FileSource(path, "XAUUSD", "1h").phase_ms == HOUR_MS // 2
    assert refusal_of(path, "1h") is None


def test_months_of_which_a_file_leaves_some_out_are_played_as_months(tmp_path: Path) -> None:
    times = pd.date_range("2023-01-01", periods=24, freq="MS").delete([3, 9, 10])
    path = written(tmp_path, *(f"{at:%Y-%m-%d}T00:00:00Z,1,2,1,2,5" for at in times))

    assert len(read_candles(path, timeframe="1M")) == 21
    with pytest.raises(CandleFileError, match="but timeframe '1d' is 86400 s"):
        read_candles(path, timeframe="1d")


def test_hour_that_a_clock_shows_once_though_it_has_it_twice_follows_its_neighbour(tmp_path: Path) -> None:
    times = pd.date_range("2024-11-02", "2024-11-04 20:00", freq="4h")
    rows = [f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t1\t2\t1\t2\t5\t0\t5" for at in times]
    path = written(tmp_path, *rows, head="<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>")
    options = CandleFileOptions(timezone="America/New_York+7h")

    candles = read_candles(path, timeframe="4h", options=options)

    assert len(candles) == len(times)
    assert sorted((np.diff(candles.open_ms) // HOUR_MS).tolist())[-2:] == [4, 5]
    assert pd.Timestamp("2024-11-03T05:00Z").timestamp() * 1000 in candles.open_ms


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize("minutes", [15, 60, 120])
def test_times_that_occur_twice_are_decided_by_their_neighbours(
    tmp_path: Path, minutes: int, is_newest_first: bool
) -> None:
    times = pd.date_range("2024-10-26T22:00Z", "2024-10-27T06:00Z", freq=f"{minutes}min")
    rows = [f"{at:%Y-%m-%d %H:%M:%S},1,2,1,2,5" for at in times.tz_convert("Europe/Berlin")]
    path = written(tmp_path, *(rows[::-1] if is_newest_first else rows))

    candles = read_candles(path, timeframe=f"{minutes}m", options=CandleFileOptions(timezone="Europe/Berlin"))

    assert candles.open_ms.tolist() == times.as_unit("ms").asi8.tolist()


def test_converted_rows_add_up_with_every_option(tmp_path: Path) -> None:
    candles = filled_weeks()
    raw = RawCandles(
        candles.open_ms, candles.open_ms > 0, candles.values, np.arange(len(candles)) + 2, "", (), has_volume=True
    )

    done = convert(raw, now_ms=NOW_MS, drop_closed=True, clip=True)

    assert [loss.count for loss in done.losses] == [94]
    assert len(done.candles) + 94 == done.rows


def test_pandas_table_with_fewer_times_than_candles_is_rejected(tmp_path: Path) -> None:
    rows = [[1.0, 2.0, 0.5, 1.5, 1.0]] * 3
    content = {"columns": HEAD.split(",")[1:], "index": [0, HOUR_MS], "data": rows}
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))

    with pytest.raises(CandleFileError, match="cannot be read as JSON"):
        read_raw(path)


def test_error_of_a_json_file_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[[0, 1, 2, 0.5, 1.5, 1], [3600000, 1, 2]]")

    with pytest.raises(CandleFileError, match=r"^\S+: its candles have different numbers of values; [^;]+$"):
        read_raw(path)


def test_milliseconds_of_the_first_years_are_no_seconds(tmp_path: Path) -> None:
    path = tmp_path / "since-1970.csv"
    rows = [f"{day * DAY_MS},1,2,0.5,1.5,1" for day in range(1, 2_000)]
    path.write_text("\n".join([HEAD, *rows]) + "\n")

    assert read_candles(path, timeframe="1d").open_ms.tolist() == [day * DAY_MS for day in range(1, 2_000)]


def test_sparse_file_that_is_played_is_also_said_to_be_playable() -> None:
    places = [at for at in range(200) if at % 10 in (0, 1)]
    sparse = Candles(np.array(places) * HOUR_MS, np.tile([1.0, 2.0, 0.5, 1.5, 1.0], (len(places), 1)))

    assert fits_timeframe(sparse, "1h")
    assert not fits_timeframe(sparse, "1d")
