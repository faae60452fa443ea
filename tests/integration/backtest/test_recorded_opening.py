"""A part of a run is replayed from what the account held before it, and from nothing that it booked later."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.services.chain import AdvanceSymbol

GOLD, COIN = "XAUUSD", "BTCUSD"
CANDLES = 300
BY_BALANCE = {"sizing": "risk_fraction", "risk_fraction": 0.05, "max_leverage": 1_000.0, "min_stop_fraction": 0.0}
ACCOUNT = {"name": "test", "starting_balance": 10_000.0, "max_leverage": 1_000.0}


@pytest.mark.parametrize("is_later", [True, False], ids=["later", "earlier"])
def test_fills_of_another_symbol_count_in_the_opening_balance_where_they_were_booked_before(
    make_system: Callable[..., TradingSystem], tmp_path: Path, *, is_later: bool
) -> None:
    first, second = generated_candles(GOLD, 2 * CANDLES, seed=3), generated_candles(COIN, 2 * CANDLES, seed=4)
    candles_by_symbol = (
        {GOLD: first[:CANDLES], COIN: second[CANDLES:]} if is_later else {COIN: second[:CANDLES], GOLD: first[CANDLES:]}
    )
    files = {name: write_candles(tmp_path / f"{name}.csv", candles) for name, candles in candles_by_symbol.items()}
    system = make_system({name: file_symbol(path, risk=BY_BALANCE) for name, path in files.items()}, account=ACCOUNT)
    for name in candles_by_symbol:
        pipeline = system.pipeline(name)
        for _ in range(CANDLES):
            pipeline.advance(AdvanceSymbol(name))
    begin_ms, end_ms = int(candles_by_symbol[GOLD].open_ms[0]), candles_by_symbol[GOLD].last_open_ms + 1
    ledger = system.stores().ledger
    assert abs(sum(row["realised"] for row in ledger.fills(COIN, limit=10_000))) > 100, "the balance is the same"

    found, comparison = recorded_again(system, from_ms=None if is_later else begin_ms, to_ms=end_ms)

    assert set(found.recording.tracks) == {GOLD}
    assert comparison.counts["fills"] > 10
    assert comparison.differences == []
    assert found.left_out == ([] if is_later else [line for line in found.left_out if line.startswith(f"{COIN}: ")])
    assert bool(found.left_out) is not is_later
