"""Strategies that cheat, each in its own way, are found out; those that are shipped are not."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.plugins.strategies import load_strategy
from trading.indicators import Indicator, atr, ema, sma
from trading.market.candles import first_fault
from trading.strategies import SHIPPED, SignalBuilder, Strategy, crossed_above, crossed_below
from trading.strategy_checks import KINDS, CheckName, Report, candles_needed, examine, made_up

ROWS = 90
NOISE = np.random.default_rng(5)
CALLS = iter(range(10_000))


class Honest(Strategy):
    """Base of the cheating strategies: two averages, and a rule on one row and the previous one."""

    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": sma(3), "slow": sma(8), "atr": atr(5)}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        fast, slow = rows["fast"].to_numpy(), rows["slow"].to_numpy()
        up, down = crossed_above(fast, slow), crossed_below(fast, slow)
        return SignalBuilder(len(rows)).buy(up, reason="up").sell(down, reason="down")


class KnowsTheNextClose(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(
            (rows["close"].shift(-1) > rows["close"] * 1.001).to_numpy(), reason="rises"
        )


class CentredRolling(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        middle = rows["close"].rolling(3, center=True).mean()
        return SignalBuilder(len(rows)).buy((rows["close"] < middle * 0.9995).to_numpy(), reason="below the middle")


class NormalisedOverAll(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close = rows["close"]
        score = (close - close.mean()) / close.std()
        return SignalBuilder(len(rows)).sell((score > 1.0).to_numpy(), reason="far above the mean")


class LevelOfTheFuture(Honest):
    """Its signals are honest, its stop is the lowest close of the whole series."""

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        up = crossed_above(rows["fast"].to_numpy(), rows["slow"].to_numpy())
        return SignalBuilder(len(rows)).buy(up, stop_loss=rows["close"].min() * 0.99, reason="up")


class ExpandingMean(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(
            (rows["close"] < rows["close"].expanding().mean()).to_numpy(), reason="cheap"
        )


class LooksTenRowsBack(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(
            (rows["close"] > rows["close"].rolling(10).max().shift(1)).to_numpy(), reason="!"
        )


class CountsItsRows(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        up = crossed_above(rows["fast"].to_numpy(), rows["slow"].to_numpy())
        return SignalBuilder(len(rows)).buy(up, reason=f"seen in {len(rows)} rows")


class Indexes(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(np.full(len(rows), rows["close"].iloc[-20] > 0), reason="always")


class NeedsThreeRows(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(np.full(len(rows), rows["close"].iloc[-3] < 0), reason="never")


class Random(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(NOISE.random(len(rows)) < 0.1, reason="a feeling")


class Remembers(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        return SignalBuilder(len(rows)).buy(np.full(len(rows), next(CALLS) % 2 == 0), reason="every other time")


class ChangesAColumn(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        rows["fast"] -= rows["slow"]
        return SignalBuilder(len(rows)).buy((rows["fast"] > 0).to_numpy(), reason="above")


class AddsAColumn(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        rows["distance"] = rows["fast"] - rows["slow"]
        return SignalBuilder(len(rows)).buy((rows["distance"] > 0).to_numpy(), reason="above")


class ShortWarmUp(Honest):
    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": sma(3), "slow": ema(20)}

    @property
    def startup_candle_count(self) -> int:
        return 25


class NoWarmUp(ShortWarmUp):
    @property
    def startup_candle_count(self) -> int:
        return 10


class SquareRootOfLoss(Honest):
    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": sma(3), "root": Indicator("ACOS")}


class StopThatIsNaN(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        up = crossed_above(rows["fast"].to_numpy(), rows["slow"].to_numpy())
        return SignalBuilder(len(rows)).buy(
            up, stop_loss=rows["close"].shift(3).rolling(2).min().to_numpy(), reason="up"
        )


class FlagsThatAreNaN(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        above = (rows["fast"] > rows["slow"]).shift(1)
        return SignalBuilder(len(rows)).buy(above.to_numpy(), reason="above before")


class StopOnTheWrongSide(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close, fast, slow, atr_now = (rows[name].to_numpy() for name in ("close", "fast", "slow", "atr"))
        return SignalBuilder(len(rows)).sell(crossed_below(fast, slow), stop_loss=close - 2 * atr_now, reason="down")


class TargetOnTheWrongSide(Honest):
    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        close, fast, slow, atr_now = (rows[name].to_numpy() for name in ("close", "fast", "slow", "atr"))
        return SignalBuilder(len(rows)).buy(crossed_above(fast, slow), take_profit=close - atr_now, reason="up")


class ChangesItsIndicators(Honest):
    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": sma(3 + next(CALLS) % 2), "slow": sma(8), "atr": atr(5)}


CHEATS: list[tuple[type[Strategy], CheckName, str]] = [
    (KnowsTheNextClose, CheckName.LOOK_AHEAD, "side"),
    (CentredRolling, CheckName.LOOK_AHEAD, "side"),
    (NormalisedOverAll, CheckName.LOOK_AHEAD, "side"),
    (LevelOfTheFuture, CheckName.LOOK_AHEAD, "stop_loss"),
    (ExpandingMean, CheckName.WINDOW, "side"),
    (LooksTenRowsBack, CheckName.WINDOW, "side"),
    (CountsItsRows, CheckName.LOOK_AHEAD, "reason"),
    (Indexes, CheckName.ERROR, "signals"),
    (Random, CheckName.REPEAT, "side"),
    (Remembers, CheckName.REPEAT, "side"),
    (ChangesAColumn, CheckName.MUTATION, "fast"),
    (AddsAColumn, CheckName.MUTATION, "distance"),
    (ShortWarmUp, CheckName.WARM_UP, "slow"),
    (NoWarmUp, CheckName.WARM_UP, "slow"),
    (SquareRootOfLoss, CheckName.NAN, "root"),
    (StopThatIsNaN, CheckName.NAN, "stop_loss"),
    (FlagsThatAreNaN, CheckName.ERROR, "signals"),
    (StopOnTheWrongSide, CheckName.STOP_SIDE, "stop_loss"),
    (TargetOnTheWrongSide, CheckName.STOP_SIDE, "take_profit"),
    (ChangesItsIndicators, CheckName.LOOK_AHEAD, "fast"),
]


def tried(make: Callable[[], Strategy], *, seed: int = 1, rows: int = ROWS, rows_limit: int = 6) -> Report:
    series = made_up(candles_needed(make(), rows), [seed])
    return examine(make, series, rows_limit=rows_limit, least_rows=3, rows=rows)


@pytest.mark.parametrize(("cheat", "check", "column"), CHEATS, ids=[cheat.__name__ for cheat, _, _ in CHEATS])
def test_strategy_that_cheats_is_found_at_its_candle_and_column(
    cheat: type[Strategy], check: CheckName, column: str
) -> None:
    report = tried(cheat)

    assert not report.is_sound
    found = report.of(check)
    assert column in {finding.column for finding in found}
    opens = {int(at) for one in made_up(candles_needed(cheat(), ROWS), [1]) for at in one.candles.open_ms.tolist()}
    assert all(finding.open_ms in opens and finding.expected != finding.found for finding in found)


def test_strategy_that_is_honest_has_no_finding_and_each_kind_of_market_is_evaluated() -> None:
    report = tried(Honest)

    assert report.findings == []
    assert [one.series for one in report.looked] == [f"{kind} 1" for kind in KINDS]
    assert all(one.candles == ROWS and one.buys and one.sells for one in report.looked)


@pytest.mark.parametrize("name", sorted(SHIPPED))
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(2, 10_000))
def test_strategy_that_is_shipped_has_no_finding_on_any_market(name: str, seed: int) -> None:
    report = tried(lambda: load_strategy(name, {}), seed=seed, rows=60)

    assert report.findings == []


def test_look_ahead_reports_what_was_known_then_and_what_came_later() -> None:
    report = tried(NormalisedOverAll)

    first = report.of(CheckName.LOOK_AHEAD)[0]
    assert {first.expected, first.found} == {"nothing", "sell"}
    assert first.series in {f"{kind} 1" for kind in KINDS}


def test_look_back_beyond_the_rows_reports_how_many_rows_are_enough() -> None:
    report = tried(LooksTenRowsBack)

    assert report.counts.keys() == {CheckName.WINDOW}
    assert report.rows_enough == 11
    assert 10 in report.row_counts_tried
    assert tried(LooksTenRowsBack, rows_limit=12).is_sound


def test_dependence_on_the_whole_history_reports_that_no_number_of_rows_is_enough() -> None:
    assert tried(ExpandingMean).rows_enough is None


def test_warm_up_that_is_too_short_for_the_function_reports_the_least_count() -> None:
    first = tried(NoWarmUp).of(CheckName.WARM_UP)[0]

    assert "at least 20 for EMA(20)" in first.expected
    assert first.found == "10"


def test_fewer_rows_than_the_live_system_ever_shows_are_not_evaluated() -> None:
    assert tried(NeedsThreeRows).is_sound


def test_findings_beyond_the_first_are_counted() -> None:
    report = tried(KnowsTheNextClose)

    assert len(report.of(CheckName.LOOK_AHEAD)) == 3 < report.counts[CheckName.LOOK_AHEAD]


def test_progress_adds_up_to_the_rows_of_all_series_whatever_is_found() -> None:
    def steps(make: Callable[[], Strategy]) -> Iterator[int]:
        steps_reported: list[int] = []
        examine(
            make,
            made_up(candles_needed(make(), 50), [1]),
            rows_limit=6,
            least_rows=3,
            rows=50,
            advance=steps_reported.append,
        )
        return iter(steps_reported)

    for make in (Honest, Random, SquareRootOfLoss):
        assert sum(steps(make)) == 50 * len(KINDS)


def test_made_up_candles_are_sound_the_same_for_a_seed_and_of_four_kinds() -> None:
    first, again = made_up(900, [3]), made_up(900, [3])

    assert [one.name for one in first] == ["trend 3", "range 3", "gaps 3", "flat 3"]
    assert all(left.candles == right.candles for left, right in zip(first, again, strict=True))
    assert all(first_fault(one.candles, timeframe="1m") is None for one in first)
    gaps = np.diff(first[2].candles.open_ms) // 60_000
    assert gaps.max() >= 2_880
    flat = first[3].candles.values
    assert (flat[:, 1] == flat[:, 2]).sum() > 200
