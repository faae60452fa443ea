"""Metrics and tables of a replay: small cases by hand, and what must hold for any."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.backtest.backtest import run_backtest
from tests.fakes import planned, system_config
from tests.unit.trading.backtest.report.made_backtests import BALANCE, MONDAY_MS, backtest_of, trade_of
from tests.unit.trading.backtest.test_engine import strategies, wild_candles
from trading.backtest import Decision
from trading.backtest.report import drawdown_of, report_of, statistics_of
from trading.backtest.report.daily_returns import DAY_MS
from trading.backtest.report.downsampling import joined, thinned
from trading.backtest.report.drawdown import Drawdown, depths
from trading.backtest.report.statistics import exposure_of, profit_factor, streaks
from trading.orders.orders import Side
from trading.structs import asdict, replace
from trading_orchestrator.testing.candles import MINUTE_MS, SYMBOL, make_candles


def test_metrics_of_a_week_by_hand() -> None:
    daily = [100.0, 102.0, 99.96, 104.958, 103.90842]  # +2 %, -2 %, +5 %, -1 %
    found = statistics_of(backtest_of(daily, timeframe="1d", step_ms=DAY_MS))

    growth = (1.02 * 0.98 * 1.05 * 0.99) ** 0.25
    deviations = [value - 0.01 for value in (0.02, -0.02, 0.05, -0.01)]
    variance = sum(one * one for one in deviations) / 3
    annual = growth**252 - 1
    volatility = math.sqrt((variance + growth**2) ** 252 - growth ** (2 * 252))
    assert (found.periods_per_year, found.return_count) == (252, 4)
    assert found.total_return == pytest.approx(0.0390842)
    assert found.annual_return == pytest.approx(annual)
    assert found.volatility == pytest.approx(volatility)
    assert found.sharpe == pytest.approx(annual / volatility)
    assert found.sortino == pytest.approx(annual / math.sqrt((0.02**2 + 0.01**2) / 4 * 252))
    assert found.calmar == pytest.approx(annual / 0.02)
    assert found.daily_volatility == pytest.approx(math.sqrt(variance * 252))
    assert found.daily_sharpe == pytest.approx(0.01 / math.sqrt(variance) * math.sqrt(252))
    assert found.lost_ms is None
    assert found.cagr == pytest.approx(1.0390842 ** (365.25 / 5) - 1)


def test_trade_metrics_by_hand() -> None:
    trades = [trade_of(profit, entry=3 * place) for place, profit in enumerate((4.0, 2.0, -1.0, -2.0, -3.0, 0.0, 6.0))]
    found = statistics_of(backtest_of([BALANCE] * 30, [*trades, trade_of(-0.5, entry=24, reason=None)]))

    assert (found.trade_count, found.open_count, found.win_count, found.loss_count) == (7, 1, 3, 3)
    assert (found.consecutive_wins, found.consecutive_losses) == (2, 3)
    assert (found.gross_profit, found.gross_loss, found.net_profit) == (12.0, 6.0, 6.0)
    assert (found.profit_factor, found.win_rate, found.expectancy) == (2.0, 3 / 7, 6 / 7)
    assert (found.best_trade, found.worst_trade, found.average_win, found.average_loss) == (6.0, -3.0, 4.0, -2.0)
    assert found.expectancy_return == pytest.approx(6 / 7 / 100)
    assert found.average_duration_s == found.longest_duration_s == 120.0
    assert found.fees == 4.0
    assert found.sqn == pytest.approx(math.sqrt(7) * (6 / 7) / np.std([4, 2, -1, -2, -3, 0, 6], ddof=1))
    assert found.exposure == pytest.approx((7 * 3 + 6) / 30)


def test_drawdown_names_its_dates_and_the_longest_one_may_be_another() -> None:
    worth = np.array([100.0, 110.0, 99.0, 104.5, 110.0, 120.0, 119.0, 118.0, 117.0, 119.0, 119.0])
    at_ms = np.arange(len(worth)) * 1000

    found = drawdown_of(at_ms, worth)

    assert found.fraction == pytest.approx(-0.1)
    assert (found.amount, found.peak_ms, found.trough_ms, found.recovered_ms) == (-11.0, 1000, 2000, 4000)
    assert (found.duration_s, found.longest_s) == (3.0, 5.0)


def test_drawdown_that_has_not_ended_lasts_to_the_end() -> None:
    found = drawdown_of(np.arange(3) * 1000, np.array([100.0, 90.0, 95.0]))

    assert (found.recovered_ms, found.duration_s, found.longest_s) == (None, 2.0, 2.0)


def test_loss_before_the_first_close_counts_from_the_starting_balance() -> None:
    found = statistics_of(backtest_of([98.0, 99.0]))

    assert (found.drawdown.amount, found.drawdown.peak_ms) == (-2.0, MONDAY_MS)
    assert found.total_return == pytest.approx(-0.01)


def test_without_trades_nothing_is_invented() -> None:
    found = statistics_of(backtest_of([BALANCE] * 5))

    undefined = {name for name, value in asdict(found).items() if value is None}
    assert undefined == {
        "annual_return", "volatility", "sharpe", "sortino", "calmar", "win_rate", "profit_factor",
        "return_profit_factor", "expectancy", "expectancy_return", "average_trade_return", "best_trade", "worst_trade",
        "best_trade_return", "worst_trade_return", "average_win", "average_loss", "average_duration_s",
        "longest_duration_s", "sqn", "daily_volatility", "daily_sharpe", "lost_ms",
    }  # fmt: skip
    assert found.drawdown == Drawdown()
    assert (found.exposure, found.total_return, found.consecutive_wins) == (0.0, 0.0, 0)


def test_flat_equity_over_days_has_no_ratio() -> None:
    found = statistics_of(backtest_of([BALANCE] * 5, timeframe="1d", step_ms=DAY_MS))

    assert (found.annual_return, found.volatility) == (0.0, 0.0)
    assert (found.sharpe, found.sortino, found.calmar) == (None, None, None)


def test_lost_account_has_no_annual_return() -> None:
    found = statistics_of(backtest_of([100.0, 50.0, -10.0, -5.0], timeframe="1d", step_ms=DAY_MS))

    assert (found.annual_return, found.cagr, found.sharpe, found.daily_sharpe) == (None, None, None, None)
    assert found.lost_ms == found.start_ms + 3 * DAY_MS
    assert found.drawdown.fraction == pytest.approx(-1.1)


def test_account_of_which_dust_is_left_has_no_annual_figures() -> None:
    found = statistics_of(backtest_of([100.0, 50.0, 0.09, 1e-7, 2e-7, 1e-7], timeframe="1d", step_ms=DAY_MS))

    assert found.lost_ms == found.start_ms + 3 * DAY_MS
    assert (found.annual_return, found.cagr, found.volatility, found.sharpe, found.calmar) == (None,) * 5
    assert (found.daily_volatility, found.daily_sharpe, found.sortino) == (None, None, None)


def test_heavy_losses_leave_the_daily_figures_as_they_are() -> None:
    """Compounded over a year nothing is left to vary: that volatility says nothing of the risk that was run."""
    days = [100.0 * 0.95**day * (1.02 if day % 2 else 1.0) for day in range(60)]
    found = statistics_of(backtest_of(days, timeframe="1d", step_ms=DAY_MS))

    assert found.volatility is not None
    assert found.daily_volatility is not None
    assert found.volatility < 0.001
    assert found.daily_volatility == pytest.approx(0.02 * math.sqrt(found.periods_per_year), rel=0.1)


def test_tables_of_a_replay_by_hand() -> None:
    def refused(rule: str) -> Decision:
        return Decision(SYMBOL, "planned", 0, "buy", 1.0, "refused", rule, "", "")

    trades = [trade_of(4.0, reason="take_profit"), trade_of(-1.0, entry=5, side=Side.SELL, reason="stop_loss")]
    decisions = [refused("b"), refused("a"), refused("b"), replace(refused("ok"), outcome="accepted")]
    decisions += [refused("position_open"), refused("nothing_to_close"), refused("nothing_to_close")]
    closes = {SYMBOL: (100.0, 110.0), "BTCUSD": (200.0, 180.0)}

    found = report_of(backtest_of([BALANCE] * 10, trades, decisions=decisions, closes=closes))

    assert [(row.rule, row.signals) for row in found.refusals] == [("b", 2), ("a", 1)]
    assert [(row.rule, row.signals) for row in found.without_effect] == [("nothing_to_close", 2), ("position_open", 1)]
    assert (found.signals, found.accepted, found.refused, found.no_effect) == (7, 1, 3, 3)
    assert [(row.name, row.trades, row.wins, row.profit) for row in found.by_exit_reason] == [
        ("take_profit", 1, 1, 4.0),
        ("stop_loss", 1, 0, -1.0),
    ]
    assert [row.name for row in found.by_side] == ["long", "short"]
    changes = {row.symbol: row.change for row in found.market}
    assert changes == {SYMBOL: pytest.approx(0.1), "BTCUSD": pytest.approx(-0.1), "mean": pytest.approx(0.0)}


def test_months_chain_to_the_whole() -> None:
    worth = BALANCE + np.cumsum(np.random.default_rng(1).normal(0, 1, 100))
    found = report_of(backtest_of(worth.tolist(), timeframe="1d", step_ms=DAY_MS))

    assert [row.month for row in found.months] == ["2026-03", "2026-04", "2026-05", "2026-06"]
    whole = math.prod(1 + (row.change or 0.0) for row in found.months)
    assert whole == pytest.approx(1 + found.statistics.total_return)
    assert min(row.deepest for row in found.months) == pytest.approx(found.statistics.drawdown.fraction)


def test_streaks_end_at_a_trade_that_made_nothing() -> None:
    assert streaks(np.array([1.0, 1.0, 0.0, 1.0, -1.0])) == (2, 1)
    assert streaks(np.array([])) == (0, 0)


def test_profit_factor_without_losses_is_not_defined() -> None:
    assert profit_factor(np.array([1.0, 2.0])) is None


def test_trades_that_overlap_are_exposure_once() -> None:
    close_ms = MONDAY_MS + np.arange(1, 11, dtype=np.int64) * MINUTE_MS

    assert exposure_of(close_ms, [trade_of(1.0), trade_of(1.0, entry=1)]) == pytest.approx(0.4)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), strategy=strategies(), count=st.integers(60, 400), closes=st.booleans())
def test_whatever_is_replayed_its_tables_add_up(seed: int, strategy: dict[str, Any], count: int, closes: bool) -> None:
    system = system_config(strategy, venue={"kind": "paper", "spread": 0.1, "commission_bps": 1.0})
    result = run_backtest(system, {SYMBOL: wild_candles(seed, count)}, close_at_end=closes)

    found = report_of(result)

    one = found.statistics
    for table in (found.by_symbol, found.by_strategy, found.by_exit_reason, found.by_side, found.months):
        assert sum(row.trades for row in table) == one.trade_count
        assert sum(row.wins for row in table) == one.win_count
        assert math.fsum(row.profit for row in table) == pytest.approx(one.net_profit, abs=1e-6)
    assert one.drawdown.fraction <= 0
    assert one.drawdown.amount <= 0
    assert 0 <= one.exposure <= 1
    assert sum(row.signals for row in found.refusals) == found.refused
    assert sum(row.signals for row in found.without_effect) == found.no_effect
    assert found.signals == found.accepted + found.refused + found.no_effect
    assert_json_safe(asdict(found))
    if closes:
        assert one.open_count == 0
        assert one.net_profit == pytest.approx(one.final_equity - one.starting_balance, abs=1e-6)


def assert_json_safe(value: Any) -> None:
    if isinstance(value, Mapping):
        for each in value.values():
            assert_json_safe(each)
    elif isinstance(value, list | tuple):
        for each in value:
            assert_json_safe(each)
    else:
        assert value is None or type(value) in (int, float, str)
        assert not isinstance(value, float) or math.isfinite(value)


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=300), st.integers(1, 20))
def test_thinned_curve_keeps_ends_extremes_and_the_deepest_drawdown(values: list[float], parts: int) -> None:
    worth = np.array(values)

    places = thinned(worth, parts=parts)

    assert len(places) <= max(3 * parts + 2, 1)
    assert (np.diff(places) > 0).all()
    assert places[0] == 0
    assert places[-1] == len(worth) - 1
    assert worth[places].max() == worth.max()
    assert worth[places].min() == worth.min()
    assert depths(worth)[places].min() == depths(worth).min()


@pytest.mark.parametrize("each", [1, 2, 7, 50])
def test_joined_bars_hold_what_their_candles_held(each: int) -> None:
    candles = make_candles(50)

    bars = joined(candles, each=each)

    assert len(bars) == math.ceil(50 / each)
    frames = [candles[start : start + each].values for start in range(0, 50, each)]
    picks: Sequence[Callable[[Any], float]] = (
        lambda part: part[0, 0],
        lambda part: part[:, 1].max(),
        lambda part: part[:, 2].min(),
        lambda part: part[-1, 3],
        lambda part: part[:, 4].sum(),
    )
    assert bars.values.tolist() == [[pick(part) for pick in picks] for part in frames]
    assert bars.open_ms.tolist() == candles.open_ms[::each].tolist()


def test_planned_trade_is_counted_as_it_was() -> None:
    system = system_config(planned({3: "buy", 8: "close"}))
    candles = make_candles(30)

    found = statistics_of(run_backtest(system, {SYMBOL: candles}))

    change = candles.values[9, 0] - candles.values[4, 0]
    assert found.trade_count == 1
    assert found.net_profit == pytest.approx(2.0 * change)
    assert found.average_duration_s == 300.0
    assert found.exposure == pytest.approx(6 / 30)
