"""Backtests of signals that would lose more than the account has: each is rejected or cut, as it is shipped too."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trading_orchestrator as to
from adapters.backtest.backtest import run_backtest
from configs.loading import load_system
from trading.market.candles import Candles

SHIPPED = Path(__file__).parents[3] / "configs"


class ScriptedSignals(to.Strategy):
    """Signals at given candles, counted from 0, with a stop at a distance or none, and a size."""

    buys: tuple[int, ...] = ()
    sells: tuple[int, ...] = ()
    begin_ms: int
    step_ms: int
    distance: float | None = None
    size: float | None = None

    def indicators(self) -> dict[str, to.Indicator]:
        return {}

    def signals(self, rows: pd.DataFrame) -> to.SignalBuilder:
        place = (rows.index.to_numpy() - self.begin_ms) // self.step_ms
        close = rows["close"].to_numpy()
        below, above = (None, None) if self.distance is None else (close - self.distance, close + self.distance)
        return (
            to.SignalBuilder(len(rows))
            .buy(np.isin(place, self.buys), stop_loss=below, size_units=self.size, reason="planned")
            .sell(np.isin(place, self.sells), stop_loss=above, size_units=self.size, reason="planned")
        )


def rising(count: int = 40, growth: float = 0.05) -> pd.DataFrame:
    """Return days that each close higher than the one before: a market in which a short loses without end."""
    close = np.round(100.0 * (1 + growth) ** np.arange(1, count + 1), 2)
    opens = np.concatenate([[100.0], close[:-1]])
    index = pd.date_range("2024-01-01", periods=count, freq="1D", tz="UTC", name="timestamp")
    values = {"open": opens, "high": close * 1.002, "low": opens * 0.998, "close": close, "volume": 1.0}
    return pd.DataFrame(values, index=index)


def planned(frame: pd.DataFrame, **terms: Any) -> ScriptedSignals:
    begin, second = frame.index[:2]
    begin_ms, step_ms = int(begin.timestamp() * 1000), int((second - begin).total_seconds() * 1000)
    return ScriptedSignals(begin_ms=begin_ms, step_ms=step_ms, **terms)


def rules_of(result: to.BacktestResult) -> list[str]:
    return [decision.rule for decision in result.decisions]


def test_short_beyond_the_equity_is_rejected_by_default() -> None:
    candles = rising()

    result = to.backtest(planned(candles, sells=(3,)), candles, starting_balance=10_000, risk=to.RiskLimits(units=100))

    assert rules_of(result) == ["max_symbol_leverage"]
    assert result.equity.equity[-1] == 10_000


def test_account_below_zero_opens_nothing_more() -> None:
    candles = rising()
    requested = to.RiskLimits(units=100, max_leverage=5)
    account = to.AccountLimits(name="moon", starting_balance=10_000, max_leverage=5)

    result = to.backtest(planned(candles, sells=(3, 30), buys=(25, 28)), candles, account=account, risk=requested)

    assert rules_of(result) == ["ok", "equity", "equity", "equity"]  # the first buy closes the short, and opens nothing
    assert result.equity.equity[-1] < 0
    assert len(result.trades) == 1


def test_unrealised_loss_of_another_symbol_ends_the_entries_of_all() -> None:
    moon = rising()
    calm = rising(growth=0.0001)
    strategies = {"MOON": planned(moon, sells=(3,)), "CALM": planned(calm, buys=(5, 30), sells=(25,), size=1.0)}
    account = to.AccountLimits(name="both", starting_balance=20_000)

    result = to.backtest(strategies, {"MOON": moon, "CALM": calm}, account=account, risk=to.RiskLimits(units=100))

    assert rules_of(result) == ["ok", "ok", "equity", "equity"]


SHIPPED_SIGNALS = [
    pytest.param({"size": 1_000_000.0}, {}, id="a million units without a stop"),
    pytest.param({"size": 1_000_000.0, "distance": 5.0}, {}, id="a million units with a stop"),
    pytest.param({"distance": 0.01}, {"sizing": "risk_fraction", "risk_fraction": 0.01}, id="a stop one tick away"),
    pytest.param(
        {"distance": 0.01},
        {"sizing": "risk_fraction", "risk_fraction": 0.01, "min_stop_fraction": 0.0},
        id="a stop one tick away, allowed",
    ),
]


@pytest.mark.parametrize(("terms", "risk"), SHIPPED_SIGNALS)
def test_shipped_account_loses_no_more_than_its_day_may_on_a_wild_signal(
    terms: dict[str, Any], risk: dict[str, Any]
) -> None:
    system = load_system(SHIPPED, {})
    assert system.account.max_daily_loss == 2_000
    gold = system.symbols["XAUUSD"]
    limits = to.RiskLimits.model_validate(gold.risk.model_dump() | risk)
    only = {"XAUUSD": gold.model_copy(update={"risk": limits})}
    frame = to.simulated_candles(600, seed=57, start_price=2650.0)
    strategy = planned(frame, buys=tuple(range(300, 600, 7)), sells=tuple(range(303, 600, 7)), **terms)

    result = run_backtest(
        system.model_copy(update={"symbols": only}),
        {"XAUUSD": Candles.from_frame(frame)},
        strategies={"XAUUSD": {"ema_cross": strategy}},
    )

    assert result.list_decisions()
    assert all((order.units or 0.0) * 2650 < 101_000 for order in result.list_orders())
    assert result.equity.equity.min() >= 100_000 - 2_000 * 1.05
