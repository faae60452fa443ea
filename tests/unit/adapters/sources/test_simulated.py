"""The invented market: sane for ever, the same for everybody, and worth trading."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.sources import MemoryAnchorStore, SimulatedSource
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, VOLUME, Candles, first_fault
from trading.market.sessions import Session
from trading_orchestrator.testing.contracts.source import PlayedSourceContract, Stage, closed_part, walk

START_MS = 1_750_000_020_000
BAR_MS = 60_000
DAY_MS = 86_400_000
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)


def simulated(symbol: str = "BTCUSD", **changes: Any) -> SimulatedSource:
    chosen: dict[str, Any] = {"seed": 1, "start_ms": START_MS, "start_price": 100_000.0, "tick_size": 0.1, **changes}
    return SimulatedSource(symbol, chosen.pop("timeframe", "1m"), **chosen)


def candles_at(source: SimulatedSource, last_open_ms: int, count: int) -> Candles:
    """Return the `count` closed candles up to the one after `last_open_ms`."""
    return source.newest(count + 1, after_ms=last_open_ms).candles[:-1]


def ema(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    averages, weight = [float(values[0])], 2 / (length + 1)
    for value in values[1:].tolist():
        averages.append(averages[-1] + weight * (value - averages[-1]))
    return np.array(averages)


TRUTH = candles_at(simulated(), START_MS + 500 * BAR_MS, 1_000)


def test_simulation_is_never_over_while_its_market_will_open_again() -> None:
    friday_ms = int(datetime.fromisoformat("2025-01-10T21:59+00:00").timestamp() * 1000)

    assert not simulated(is_open=GOLD.is_open).newest(2, after_ms=friday_ms).is_over


class TestSimulatedSourceAtFullSpeed(PlayedSourceContract):
    @pytest.fixture(params=[1, 8])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        return Stage(simulated(step=request.param), "1m", after_ms=START_MS + 99 * BAR_MS, truth=TRUTH)


class TestSimulatedSourceWithAClock(PlayedSourceContract):
    @pytest.fixture
    def stage(self) -> Stage:
        anchors = MemoryAnchorStore()
        anchors.set_if_absent((START_MS, 0))
        source = simulated(speed=60, now_ms=lambda: 100_500, anchors=anchors)
        return Stage(source, "1m", after_ms=START_MS + 80 * BAR_MS, truth=TRUTH)


class TestSimulatedSourceInABreak(PlayedSourceContract):
    @pytest.fixture
    def stage(self) -> Stage:
        endless = simulated(is_open=GOLD.is_open)
        friday_ms = 1_750_000_020_000 // DAY_MS * DAY_MS + 5 * DAY_MS + 20 * 3_600_000  # 20 June 2025, 20:00 UTC
        anchors = MemoryAnchorStore()
        anchors.set_if_absent((friday_ms + DAY_MS + 30_000, 0))
        source = simulated(is_open=GOLD.is_open, speed=1.0, now_ms=lambda: 0, anchors=anchors)
        return Stage(source, "1m", after_ms=friday_ms, truth=candles_at(endless, friday_ms + 2 * DAY_MS, 2_000))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    start_price=st.sampled_from([0.5, 1.1, 30.0, 4_000.0, 100_000.0]),
    tick_size=st.sampled_from([0.00001, 0.01, 0.25, 0.1, 1.0]),
    timeframe=st.sampled_from(["1m", "5m", "1h", "1d"]),
    annual_volatility=st.floats(0.01, 3.0),
    days=st.integers(-2_000, 20_000),
)
def test_simulated_candles_anywhere_have_no_fault(days: int, timeframe: str, **arguments: Any) -> None:
    source = simulated(timeframe=timeframe, **arguments)
    candles = candles_at(source, START_MS + days * DAY_MS, 2_000)

    assert len(candles) == 2_000
    assert first_fault(candles, timeframe=timeframe) is None
    assert (candles.values[:, VOLUME] > 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=8))
def test_simulated_candle_requested_in_any_order_is_the_same(seed: int, slots: list[int]) -> None:
    used = simulated(seed=seed)
    for slot in slots:
        cursor_ms = START_MS + slot * BAR_MS

        assert candles_at(used, cursor_ms, 30) == candles_at(simulated(seed=seed), cursor_ms, 30)


def test_simulated_candles_of_another_process_are_the_same() -> None:
    code = (
        "from adapters.sources import SimulatedSource\n"
        f"source = SimulatedSource('BTCUSD', '1m', seed=1, start_ms={START_MS}, start_price=100000.0, tick_size=0.1)\n"
        f"print(source.newest(5, after_ms={START_MS + 3_000 * BAR_MS}).candles.rows())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    here = simulated().newest(5, after_ms=START_MS + 3_000 * BAR_MS).candles.rows()
    assert answer.stdout.strip() == repr(here)


@pytest.mark.parametrize("other", [{"seed": 2}, {"symbol": "ETHUSD"}])
def test_simulated_candles_of_another_seed_or_symbol_are_others(other: dict[str, Any]) -> None:
    mine, theirs = candles_at(simulated(), START_MS, 50), candles_at(simulated(**other), START_MS, 50)

    assert not np.array_equal(mine.values[:, CLOSE], theirs.values[:, CLOSE])


def test_simulated_first_tick_has_history_and_begins_at_the_start_price() -> None:
    bars = simulated().newest(300, after_ms=None)

    assert len(bars.candles) == 300
    assert bars.candles.open_ms[-2] == START_MS
    assert bars.candles.values[-2, OPEN] == 100_000.0
    assert bars.has_more


def test_simulated_start_off_the_grid_is_moved_back_to_it() -> None:
    bars = simulated(start_ms=START_MS + 12_345).newest(2, after_ms=None)

    assert bars.candles.open_ms[0] == START_MS


def test_simulated_walk_gives_each_slot_once_across_blocks() -> None:
    opens: list[int] = []
    for bars in walk(simulated(), count=2):
        opens.append(int(bars.candles.open_ms[0]))
        if len(opens) == 3_000:
            break

    assert opens == list(range(START_MS, START_MS + 3_000 * BAR_MS, BAR_MS))


def test_simulated_market_without_breaks_opens_where_it_closed() -> None:
    values = candles_at(simulated(), START_MS + 4_000 * BAR_MS, 6_000).values

    assert np.array_equal(values[1:, OPEN], values[:-1, CLOSE])


@pytest.mark.parametrize("tick_size", [0.25, 0.01, 5.0])
def test_simulated_prices_are_whole_ticks(tick_size: float) -> None:
    prices = candles_at(simulated(tick_size=tick_size), START_MS + 3_000 * BAR_MS, 3_000).values[:, :VOLUME]

    assert np.array_equal(prices, np.round(np.rint(prices / tick_size) * tick_size, 2))
    assert len(np.unique(prices)) > 10


def test_simulated_session_has_candles_in_all_open_minutes_and_no_others() -> None:
    source = simulated("XAUUSD", is_open=GOLD.is_open, start_price=4_000.0)
    candles = candles_at(source, START_MS + 12 * DAY_MS, 9_000)
    every = range(int(candles.open_ms[0]), candles.last_open_ms + 1, BAR_MS)

    assert candles.open_ms.tolist() == [at for at in every if GOLD.is_open(at)]
    assert len(candles) < len(every)


def test_simulated_market_that_ends_stops_there() -> None:
    end_ms = START_MS + 100 * BAR_MS
    source = simulated(is_open=lambda at: at < end_ms)
    answers = list(walk(source, count=3))

    assert len(answers) == 100
    assert closed_part(answers[-1], BAR_MS).last_open_ms == end_ms - BAR_MS
    assert not source.newest(3, after_ms=end_ms - BAR_MS).has_more


def test_simulated_market_that_never_opens_has_no_bars() -> None:
    source = simulated(is_open=lambda _: False)

    assert len(source.newest(3, after_ms=None).candles) == 0
    assert len(source.since(START_MS, limit=3).candles) == 0


@pytest.mark.parametrize("seed", range(5))
def test_simulated_price_after_decades_is_near_its_start(seed: int) -> None:
    source = simulated(seed=seed)
    for year in range(0, 60, 3):
        closes = candles_at(source, START_MS + year * 365 * DAY_MS, 10).values[:, CLOSE]

        assert (closes > 40_000).all()
        assert (closes < 250_000).all()


@pytest.mark.parametrize("seed", range(5))
def test_simulated_month_gives_a_cross_of_averages_every_15_to_30_bars(seed: int) -> None:
    closes = candles_at(simulated(seed=seed), START_MS + 30 * DAY_MS, 30 * 1_440).values[:, CLOSE]
    crosses = np.count_nonzero(np.diff(np.sign(ema(closes, 5) - ema(closes, 13))))

    assert 15 <= len(closes) / crosses <= 30


@pytest.mark.parametrize("annual_volatility", [0.1, 0.8])
def test_simulated_month_has_the_volatility_that_was_requested(annual_volatility: float) -> None:
    source = simulated(annual_volatility=annual_volatility)
    closes = candles_at(source, START_MS + 30 * DAY_MS, 30 * 1_440).values[:, CLOSE]
    measured = np.diff(np.log(closes)).std() * np.sqrt(365 * 1_440)

    assert measured == pytest.approx(annual_volatility, rel=0.2)


def test_simulated_month_has_jumps_and_calm_and_busy_hours() -> None:
    values = candles_at(simulated(), START_MS + 30 * DAY_MS, 30 * 1_440).values
    moves = np.abs(np.diff(np.log(values[:, CLOSE])))
    ranges = (values[:, HIGH] - values[:, LOW]).reshape(-1, 60).mean(axis=1)
    volume = values[:, VOLUME].reshape(-1, 60).mean(axis=1)

    assert moves.max() > 6 * moves.std()
    assert np.quantile(ranges, 0.95) > 1.5 * np.quantile(ranges, 0.2)
    assert np.quantile(volume, 0.9) > 2 * np.quantile(volume, 0.1)


def refused(**changes: Any) -> Callable[[], SimulatedSource]:
    return lambda: simulated(**changes)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (refused(seed=-1), "seed -1: expected 0 or more"),
        (refused(start_price=0.0), r"start_price 0\.0: expected a number above 0"),
        (refused(tick_size=float("nan")), "tick_size nan"),
        (refused(annual_volatility=-0.1), r"annual_volatility -0\.1"),
        (refused(mean_volume_units=0.0), "mean_volume_units"),
        (refused(speed=0), "speed 0"),
        (refused(timeframe="1x"), "timeframe '1x'"),
    ],
)
def test_simulated_argument_out_of_range_is_rejected_by_name(make: Callable[[], SimulatedSource], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        make()
