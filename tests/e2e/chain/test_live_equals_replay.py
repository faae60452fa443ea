"""Live equals replay: real candles of two symbols through real workers, and again through replay, give the same
results.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.sources.file import read_candles
from tests.fixtures.apps.live_replay import assert_as_replayed, files_again, recorded_again, run_live, shipped_candles
from tests.fixtures.apps.system import TradingSystem, file_symbol, recorded
from tests.fixtures.candle_files import write_candles
from trading.market.candles import Candles

MakeSystem = Callable[..., TradingSystem]
SHORT = 60
LONG_LIMIT_S = 3_600.0
"""On a machine that does nothing else it takes a few minutes."""

pytestmark = pytest.mark.timeout(4_000)


def symbol_of(path: Path, timeframe: str, **terms: Any) -> dict[str, Any]:
    """Return the configuration of a symbol that trades often, its costs in proportion to its price."""
    venue = {"kind": "paper", "fill_at": "next_open", "commission_bps": 0.5, **terms}
    return file_symbol(path, timeframe=timeframe, venue=venue)


def shipped(folder: Path, counts: dict[str, int]) -> tuple[dict[str, Path], dict[str, Any]]:
    """Write the candles that anyone has, and configure symbols that play them."""
    terms: dict[str, dict[str, Any]] = {
        "EURUSD": {"timeframe": "1h", "spread": 0.0001, "slippage": 0.00001},
        "GOOG": {"timeframe": "1d", "spread": 0.05, "slippage": 0.01, "fill_at": "close"},
    }
    files = {
        name: write_candles(folder / f"{name}.csv", shipped_candles(name)[:count]) for name, count in counts.items()
    }
    return files, {name: symbol_of(path, **terms[name]) for name, path in files.items()}


def played(
    make_system: MakeSystem, files: dict[str, Path], symbols: dict[str, Any], *, limit_s: float
) -> TradingSystem:
    live = make_system(symbols)
    candles: dict[str, Candles] = {
        name: read_candles(path, timeframe=symbols[name]["timeframe"]) for name, path in files.items()
    }
    run_live(live, {name: len(one) for name, one in candles.items()}, limit_s=limit_s)
    return live


def assert_equal(live: TradingSystem, files: dict[str, Path], count: int) -> None:
    assert_as_replayed(live, files_again(live, files))
    found, comparison = recorded_again(live)
    assert comparison.differences == []
    assert (list(found.left_out), list(found.notes)) == ([], [])
    assert comparison.is_identical
    assert comparison.counts["candles"] == count
    assert min(comparison.counts.values()) > 0, "a part was not compared at all: the test shows nothing"


def test_shipped_candles_of_two_symbols_live_are_what_replay_makes_of_them(
    make_system: MakeSystem, tmp_path: Path
) -> None:
    files, symbols = shipped(tmp_path, {"EURUSD": SHORT, "GOOG": SHORT})
    symbols["GOOG"]["exits"] = {"trailing_stop": {"distance_fraction": 0.02}}

    live = played(make_system, files, symbols, limit_s=200)

    assert_equal(live, files, 2 * SHORT)
    assert any(": trailing_stop: " in text for text in live.journal("GOOG").values()), "no stop was moved"


def test_sizes_by_equity_live_are_what_replay_makes_of_them(make_system: MakeSystem, tmp_path: Path) -> None:
    files, symbols = shipped(tmp_path, {"EURUSD": SHORT})
    risk = {"sizing": "equity_fraction", "equity_fraction": 1.0, "unit_step": 1.0}
    symbols["EURUSD"] |= {"risk": risk, "venue": symbols["EURUSD"]["venue"] | {"min_commission": 2.0}}

    live = played(make_system, files, symbols, limit_s=200)

    assert_equal(live, files, SHORT)
    entries = [row for row in live.stores().ledger.orders(limit=1_000) if row["leg"] == "entry"]
    assert any(row["filled_units"] not in (0.0, row["units"]) for row in entries), "no fill changed a size"


@pytest.mark.long
def test_two_strategies_on_one_symbol_live_are_what_replay_makes_of_them(
    make_system: MakeSystem, tmp_path: Path
) -> None:
    files, symbols = shipped(tmp_path, {"GOOG": 2 * SHORT})
    exits = {"atr_period": 2, "stop_atr": 1.0, "target_atr": 2.0}
    several = {
        "follow": {"name": "ema_cross", "params": {"fast": 2, "slow": 5, **exits}},
        "fade": {
            "name": "rsi_reversion",
            "params": {"period": 2, **exits},
            "risk": {"sizing": "fixed_units", "units": 3},
        },
    }
    symbols["GOOG"] |= {"strategy": None, "strategies": several}

    live = played(make_system, files, symbols, limit_s=200)

    assert_equal(live, files, 2 * SHORT)
    assert {row["strategy"] for row in live.stores().ledger.fills(limit=10_000)} == {"follow", "fade"}


@pytest.mark.long
def test_all_shipped_candles_live_are_what_replay_makes_of_them(make_system: MakeSystem, tmp_path: Path) -> None:
    files, symbols = shipped(tmp_path, {"EURUSD": 5_000, "GOOG": 2_148})

    live = played(make_system, files, symbols, limit_s=LONG_LIMIT_S)

    assert_equal(live, files, 7_148)


@pytest.mark.long
def test_recorded_gold_and_bitcoin_live_are_what_replay_makes_of_them(make_system: MakeSystem, tmp_path: Path) -> None:
    count = int(os.environ.get("TRADING_TEST_CANDLES", "5000"))
    recordings = {"XAUUSD": recorded("XAUUSD_1m.csv.gz"), "BTCUSDT": recorded("BTCUSDT_1m.csv.gz")}
    files = {
        name: write_candles(tmp_path / f"{name}.csv", read_candles(path, timeframe="1m")[:count])
        for name, path in recordings.items()
    }
    symbols = {
        "XAUUSD": symbol_of(files["XAUUSD"], "1m", spread=0.2, slippage=0.02),
        "BTCUSDT": symbol_of(files["BTCUSDT"], "1m", spread=1.0, slippage=0.1, fill_at="close"),
    }

    live = played(make_system, files, symbols, limit_s=LONG_LIMIT_S)

    assert_equal(live, files, 2 * count)
