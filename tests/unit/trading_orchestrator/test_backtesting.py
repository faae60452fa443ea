"""A backtest from Python: equal to the one from configuration files, and clear about wrong input."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import trading_orchestrator as to
from adapters.backtest.backtest import run_backtest
from configs.loading import load_system
from tests.fixtures.candle_files import write_candles

COUNT = 2_000
CANDLES = to.simulated_candles(COUNT, seed=57, start_price=2_650.0)
CROSS = to.load_strategy("ema_cross", {"fast": 5, "slow": 13})
SERVICES = """\
services: {}
orchestrator: {}
"""
SYMBOLS = """\
account: {name: backtest, starting_balance: 50000}
symbols:
  XAUUSD:
    timeframe: 1m
    source: {kind: file, path: gold.csv}
    venue: {kind: paper, spread: 0.2, slippage: 0.05, commission_bps: 0.2}
    strategies: {EmaCross: {name: ema_cross, params: {fast: 5, slow: 13}}}
    risk: {sizing: fixed_units, units: 3}
    exits: {trailing_stop: {distance_fraction: 0.002}}
    session: {kind: always}
"""


def test_backtest_from_python_gives_the_trades_of_the_same_configuration_files(tmp_path: Path) -> None:
    write_candles(tmp_path / "gold.csv", to.Candles.from_frame(CANDLES))
    (tmp_path / "services.yaml").write_text(SERVICES, encoding="utf-8")
    (tmp_path / "symbols.yaml").write_text(SYMBOLS, encoding="utf-8")
    from_files = run_backtest(load_system(tmp_path, {}), {"XAUUSD": to.Candles.from_frame(CANDLES)})

    result = to.backtest(
        CROSS,
        CANDLES,
        symbol="XAUUSD",
        starting_balance=50_000,
        risk=to.RiskLimits(sizing="fixed_units", units=3),
        costs=to.Costs(spread=0.2, slippage=0.05, commission_bps=0.2),
        exits=to.ExitTerms(trailing_stop=to.TrailingStop(distance_fraction=0.002)),
    )

    assert result.trades == from_files.trades
    assert len(result.trades) > 10


def test_backtest_of_a_frame_of_candles_and_of_a_file_are_equal(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "gold.csv", to.Candles.from_frame(CANDLES))

    results = [to.backtest(CROSS, given) for given in (CANDLES, to.Candles.from_frame(CANDLES), path, str(path))]

    assert all(result.trades == results[0].trades for result in results)
    assert results[0].trades


def test_backtest_between_two_instants_decides_on_the_candles_between() -> None:
    begin = datetime(2025, 1, 6, 12, tzinfo=UTC)
    result = to.backtest(CROSS, CANDLES, begin=begin, end=begin + timedelta(hours=6))

    index = result.candles["SYMBOL"].frame().index
    assert (index[0], index[-1], len(index)) == (begin, begin + timedelta(hours=6, minutes=-1), 360)


def test_backtest_of_two_symbols_shares_the_account() -> None:
    other = to.simulated_candles(COUNT, seed=21, start_price=60_000)
    account = to.AccountLimits(name="paper", starting_balance=100_000, max_open_positions=1)
    result = to.backtest({"A": CROSS, "B": CROSS}, {"A": CANDLES, "B": other}, account=account)

    assert {trade.symbol for trade in result.trades} == {"A", "B"}
    assert "max_open_positions" in {decision.rule for decision in result.decisions}


def test_frame_has_a_row_for_each_value_and_timestamps() -> None:
    result = to.backtest(CROSS, CANDLES)

    for name in ("trades", "orders", "fills", "decisions"):
        assert len(result.frame(name)) == len(getattr(result, name))
    trades = result.frame("trades")
    assert trades["entry"].dt.tz is UTC or str(trades["entry"].dt.tz) == "UTC"
    assert trades["profit"].tolist() == [trade.profit for trade in result.trades]
    assert result.frame("equity").index.name == "close"


def test_summary_shows_the_metrics_of_the_statistics() -> None:
    result = to.backtest(CROSS, CANDLES)

    assert f"{result.statistics.total_return:.2%}" in str(result)
    assert repr(result) == f"<BacktestResult SYMBOL: {len(result.trades)} trades>"


def test_html_is_one_page_with_the_symbol(tmp_path: Path) -> None:
    page = to.backtest(CROSS, CANDLES, symbol="XAUUSD").to_html(tmp_path / "report.html")

    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert "XAUUSD" in page


@pytest.mark.parametrize(
    ("candles", "message"),
    [
        (CANDLES[::-1], "open times are not ascending and unique"),
        (pd.concat([CANDLES[:5], CANDLES[4:]]), "open times are not ascending and unique"),
        (CANDLES.drop(columns="volume"), "no column volume; found open, high, low, close"),
        (CANDLES.reset_index(), "found an index of int64; needed the open times"),
        (CANDLES.tz_localize(None), "the index is naive"),
        (CANDLES[:0], "timeframe: found 0 candles, too few"),
        (CANDLES[:1], "timeframe: found 1 candles, too few"),
    ],
)
def test_candles_that_cannot_be_used_are_rejected(candles: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to.backtest(CROSS, candles)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": type(CROSS)}, "allowed: an instance of a subclass of Strategy"),
        ({"strategy": {"B": CROSS}}, r"found the symbols \['B'\]; the candles have \['SYMBOL'\]"),
        ({"begin": datetime(2025, 1, 6)}, "begin: found the naive"),  # noqa: DTZ001  # the naive one is the case
        ({"timeframe": "1x"}, "timeframe"),
        ({"starting_balance": 0.0}, "starting_balance"),
        ({"begin": datetime(2030, 1, 6, tzinfo=UTC)}, "no candle of SYMBOL"),
    ],
)
def test_argument_that_is_not_allowed_is_rejected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to.backtest(**{"strategy": CROSS, "candles": CANDLES, **arguments})


def test_simulated_candles_are_the_same_for_the_same_arguments_only() -> None:
    assert to.simulated_candles(50, seed=3).equals(to.simulated_candles(50, seed=3))
    assert not to.simulated_candles(50, seed=3).equals(to.simulated_candles(50, seed=4))
    assert len(to.simulated_candles(50, timeframe="1h")) == 50
    with pytest.raises(ValueError, match="count: found 0"):
        to.simulated_candles(0)


def test_costs_charge_the_commission_of_the_venue_and_the_page_names_its_parts() -> None:
    fees = {"commission_bps": 1.0, "commission_per_unit": 0.5, "commission_per_order": 1.5, "min_commission": 4.0}

    result = to.backtest(CROSS, CANDLES, risk=to.RiskLimits(units=3), costs=to.Costs(**fees))

    assert len(result.fills) > 10
    for fill in result.fills:
        assert fill.fee == pytest.approx(max(4.0, 1.5 + 3 * 0.5 + 3 * fill.price / 10_000), rel=1e-12)
    parts = "1 basis points of each fill plus 0.5 for each unit plus 1.5 for each order, at least 4 for each order"
    assert f"commission {parts}." in result.to_html()
