"""Candles of any grid: months, days of 23 and 25 hours, hours from 09:30, weeks with holes; live as in a backtest."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.backtest.backtest import run_backtest
from adapters.ledger.memory import MemoryLedger
from adapters.sources.file import InMemoryCandles
from adapters.sources.playback import PlayedSource
from adapters.symbol_store.memory import MemoryStore
from adapters.venues.memory import MemoryVenue
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from configs.loading import SystemConfig
from tests.fakes import system_config
from tests.fixtures.losses import lose
from trading.backtest import BacktestRun
from trading.indicators.indicator import Indicator
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe, phase_of
from trading.orders.orders import Leg
from trading.services.chain import AdvanceSymbol
from trading.strategies import SignalBuilder, Strategy
from trading_orchestrator.testing.candles import SYMBOL

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
GOLD = Session(
    kind="weekly", timezone="America/New_York", opens="sun 18:00", closes="fri 17:00", daily_break="17:00-18:00"
)
NAME = "scheduled"


class Scheduled(Strategy):
    """Buys and closes at given candles."""

    buys: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()
    stop_loss: float | None = None

    def indicators(self) -> dict[str, Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        times = (
            pd.DatetimeIndex(rows.index).as_unit("ms").asi8 if rows.index.dtype != np.int64 else rows.index.to_numpy()
        )
        made = SignalBuilder(len(rows)).buy(np.isin(times, self.buys), stop_loss=self.stop_loss, reason="scheduled")
        return made.close(np.isin(times, self.closes), reason="scheduled")


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def candles_at(opens: Sequence[int]) -> Candles:
    """Return candles whose open is their number plus 100, and whose close is half a point higher."""
    price = 100.0 + np.arange(len(opens))
    table = np.column_stack((price, price + 1, price - 1, price + 0.5, price * 0 + 10))
    return Candles(np.array(opens, np.int64), table)


def system_of(timeframe: str, session: Session | None = None, **account: Any) -> SystemConfig:
    return system_config(
        None,
        account=account,
        services={"strategy_evaluation": {"min_rows_required": 1}},
        risk={"sizing": "fixed_units", "units": 20.0},
        timeframe=timeframe,
        strategies={NAME: {"name": "sma_cross"}},
        session=(session or Session()).model_dump(),
    )


def play(system: SystemConfig, candles: Candles, strategy: Strategy, *, batch: int = 16_384) -> BacktestRun:
    return run_backtest(system, {SYMBOL: candles}, strategies={SYMBOL: {NAME: strategy}}, batch=batch)


def entries(run: BacktestRun) -> list[tuple[int, float]]:
    return [(fill.market_ms, fill.price) for fill in run.fills if fill.leg is Leg.ENTRY]


def first_entry(timeframe: str, opens: Sequence[int], place: int, session: Session | None = None) -> list[int]:
    """Return the market times at which a buy on the candle at a place is filled."""
    system = system_of(timeframe, session)
    run = play(system, candles_at(opens), Scheduled(buys=(opens[place],)))
    found = [time for time, _ in entries(run)]
    assert [one.decided_ms for one in run.orders if one.leg is Leg.ENTRY] <= found, "no fill before its decision"
    return found


@pytest.mark.parametrize("timeframe", ["1M", "31d"])
def test_signal_of_april_fills_on_the_first_of_may(timeframe: str) -> None:
    months = [at(f"2018-{month:02}-01") for month in range(1, 9)]

    assert first_entry(timeframe, months, 3) == [at("2018-05-01")]


@pytest.mark.parametrize(("first", "hours"), [("2024-03-07T17:00", 23), ("2024-10-31T17:00", 25)])
@pytest.mark.parametrize("timeframe", ["1d", "1d@America/New_York,17:00"])
def test_signal_of_a_day_of_23_or_25_hours_fills_at_the_next_day(first: str, hours: int, timeframe: str) -> None:
    begin = datetime.fromisoformat(first)
    days = [at((begin + pd.Timedelta(days=day)).isoformat(), "America/New_York") for day in range(6)]
    changed = next(place for place, (one, other) in enumerate(pairwise(days)) if other - one == hours * HOUR_MS)

    assert first_entry(timeframe, days, changed) == [days[changed + 1]]


@pytest.mark.parametrize("hours", [3, 5])
def test_signal_of_an_h4_candle_of_3_or_5_hours_fills_at_the_next_one(hours: int) -> None:
    begin = at("2024-10-26T21:00")
    opens = [begin + 4 * HOUR_MS * place for place in range(5)]
    opens += [opens[-1] + hours * HOUR_MS + 4 * HOUR_MS * place for place in range(5)]

    assert first_entry("4h", opens, 4) == [opens[5]]
    assert first_entry("4h", opens, 3) == [opens[4]]


def test_hours_from_09_30_are_played() -> None:
    opens = [at(f"2024-01-0{day}T{hour:02}:30") for day in range(2, 6) for hour in range(14, 21)]

    assert first_entry("1h", opens, 2) == [opens[3]]
    assert first_entry("1h", opens, 6) == [opens[7]], "the last hour of a day fills at the next day's first"


def test_days_at_18_30_are_played() -> None:
    opens = [at("2024-01-01T18:30") + DAY_MS * day for day in range(8)]

    assert first_entry("1d", opens, 4) == [opens[5]]


@pytest.mark.parametrize("month", ["2024-01", "2024-07"])
def test_entry_decided_in_closed_hours_goes_in_at_the_next_open(month: str) -> None:
    days = [f"{month}-{day:02}T17:00" for day in range(7, 26)]
    opens = [at(day, "America/New_York") for day in days if datetime.fromisoformat(day).isoweekday() not in (5, 6)]

    thursday = next(place for place, (one, other) in enumerate(pairwise(opens)) if other - one > 2 * DAY_MS)
    for place in (thursday, thursday + 1):  # the candle ends on Friday at the close of the week, or within the break
        assert first_entry("1d", opens, place, GOLD) == [opens[place + 1]]


@pytest.mark.parametrize(("timeframe", "is_entered"), [("1m", False), ("1h", True), ("4h", True)])
def test_entry_waits_for_the_market_to_open_three_candles_at_most(timeframe: str, is_entered: bool) -> None:
    length_ms = Timeframe.parse(timeframe).length_ms
    closes_ms, opens_ms = at("2024-01-09T17:00", "America/New_York"), at("2024-01-09T18:00", "America/New_York")
    opens = [closes_ms - length_ms * place for place in (3, 2, 1)] + [
        opens_ms + length_ms * place for place in range(3)
    ]

    run = play(system_of(timeframe, GOLD), candles_at(opens), Scheduled(buys=(opens[2],)))

    assert [time for time, _ in entries(run)] == ([opens_ms] if is_entered else [])
    assert [one.rule for one in run.decisions] == (["ok"] if is_entered else ["session"])


def test_daily_entry_before_a_long_weekend_goes_in_at_the_next_open() -> None:
    days = [f"2024-{day}T00:00" for day in ("08-27", "08-28", "08-29", "08-30", "09-03", "09-04")]
    opens = [at(day, "UTC") for day in days]  # Monday, 2 September, is a holiday

    assert first_entry("1d", opens, 3, Session(kind="calendar", calendar="XNYS")) == [opens[4]]


class Live:
    """One symbol that is traded as live: a source in market time, and a wake-up at each close and between."""

    def __init__(self, system: SystemConfig, candles: Candles, strategy: Strategy) -> None:
        timeframe = system.symbols[SYMBOL].timeframe
        self.now_ms, grid = int(candles.open_ms[0]), Timeframe.parse(timeframe)
        self.ledger = MemoryLedger(system.account.name, system.account.starting_balance)
        self.store = MemoryStore(keeps_events=False)
        source = PlayedSource(
            InMemoryCandles(candles),
            timeframe=timeframe,
            speed=1.0,
            step=1,
            now_ms=lambda: self.now_ms,
            anchors=None,
            phase_ms=phase_of(candles.open_ms, grid),
        )
        self.pipeline = build_pipeline(
            pipeline_spec(system, SYMBOL, strategies={NAME: strategy}),
            source=source,
            store=self.store,
            ledger=self.ledger,
            venue=MemoryVenue({SYMBOL: system.symbols[SYMBOL].venue.backtest_fills(SYMBOL)}),
            now_s=lambda: 0.0,
            sleep_s=lambda _: None,
        )
        begin_ms = int(candles.open_ms[0]) - 1
        self.store.seed(SYMBOL, candles[:0], timeframe=timeframe, cursor_ms=begin_ms, desired=DesiredState.RUNNING)
        self._closes = grid.closes(candles.open_ms).tolist()
        self._opens = candles.open_ms.tolist()

    def run(self) -> list[int]:
        """Trade to the end, and return the open times of the decided candles with each wake-up."""
        before_ms = self.now_ms
        self.wake()
        for open_ms, closed_ms in zip(self._opens, self._closes, strict=True):
            for self.now_ms in (max(before_ms, (open_ms + closed_ms) // 2), closed_ms - 1):
                known = list(self.store.journal(SYMBOL).open_ms)
                self.wake()
                assert self.store.journal(SYMBOL).open_ms == known, "a candle is decided before it has closed"
            self.now_ms = before_ms = closed_ms
            self.wake()
            assert self.store.journal(SYMBOL).open_ms[-1] == open_ms, "a closed candle is decided at once"
        return list(self.store.journal(SYMBOL).open_ms)

    def wake(self) -> None:
        while self.pipeline.advance(AdvanceSymbol(SYMBOL)).has_more:
            pass


GRIDS = (
    "1m",
    "1h",
    "4h",
    "1d",
    "1w",
    "1M",
    "1d@America/New_York",
    "1d@America/New_York,17:00",
    "4h@Europe/Athens",
    "1w@America/New_York,17:00",
)


@settings(max_examples=60, deadline=None)
@given(
    grid=st.sampled_from(GRIDS).map(Timeframe.parse),
    begin=st.sampled_from(["2024-03-01", "2024-03-29", "2024-10-25", "2023-12-20"]),
    offset_minutes=st.sampled_from([0, 30, 45, 60]),
    kept=st.lists(st.sampled_from([True, True, True, False]), min_size=12, max_size=50),
    shifts=st.lists(st.sampled_from([0, 0, 0, -1, 1]), min_size=50, max_size=50),
    chance=st.randoms(use_true_random=False),
)
def test_each_candle_of_any_grid_is_decided_once_in_order_live_as_in_a_backtest(
    grid: Timeframe, begin: str, offset_minutes: int, kept: list[bool], shifts: list[int], chance: Any
) -> None:
    """Times of long fixed candles shift by hours, as broker's days do; no fill comes before its decision."""
    slot = grid.slot(at(begin))
    offset_ms = offset_minutes * MINUTE_MS if grid.is_fixed and grid.length_ms >= HOUR_MS else 0
    hour_ms = HOUR_MS if grid.is_fixed and grid.length_ms >= 4 * HOUR_MS else 0
    opens = [
        grid.opens_ms(slot + place) + offset_ms + hour_ms * shifts[place]
        for place, is_kept in enumerate(kept)
        if is_kept
    ]
    if len(opens) < 4:
        return
    candles, system = candles_at(opens), system_of(grid.name)
    strategy = Scheduled(
        buys=tuple(sorted(chance.sample(opens, len(opens) // 3))),
        closes=tuple(sorted(chance.sample(opens, len(opens) // 3))),
    )

    whole = play(system, candles, strategy)
    single = play(system, candles, strategy, batch=1)
    live = Live(system, candles, strategy)

    assert live.run() == opens
    assert whole.journals[SYMBOL].open_ms.tolist() == single.journals[SYMBOL].open_ms.tolist() == opens
    assert whole.fills == single.fills == [fill for fill, _, _ in live.ledger.fills()]
    requests = {request.client_order_id: request for request, _ in live.ledger.orders()}
    assert all(fill.market_ms >= requests[fill.client_order_id].decided_ms for fill in whole.fills)
    decided = {one.client_order_id: one.decided_ms for one in whole.orders}
    assert decided == {name: request.decided_ms for name, request in requests.items()}
    assert (np.diff(whole.equity.close_ms) > 0).all()
    assert whole.equity.close_ms.tolist() == grid.closes(candles.open_ms).tolist()


@pytest.mark.parametrize(("late_hours", "is_entered"), [(0, False), (10, False), (30, True)])
def test_late_entry_on_a_daily_candle_counts_the_loss_of_the_day_on_which_it_is_decided(
    late_hours: int, is_entered: bool
) -> None:
    """The candle of 4 January ends at midnight; 1,949 of 2,000 are lost on the 5th, and the entry risks 1,950."""
    opens = [at(f"2024-01-{day:02}") for day in range(1, 9)]
    candles = candles_at(opens)
    price = float(candles.values[3, CLOSE])
    strategy = Scheduled(buys=(opens[3],), stop_loss=price - 97.5)
    system = system_of("1d", max_daily_loss=2_000.0)
    live = Live(system, candles, strategy)
    for live.now_ms in (opens[0], opens[3]):
        live.wake()
    lose(live.ledger, 1_949.0, opens[4])
    live.now_ms = opens[4] + late_hours * HOUR_MS
    live.wake()

    (decision,) = (row for row in live.ledger.decisions() if row["strategy"] == NAME)
    assert decision["open_ms"] == opens[3]
    assert decision["rule"] == ("ok" if is_entered else "max_daily_loss")
