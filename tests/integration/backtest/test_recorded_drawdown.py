"""A run whose drawdown an operator cleared is replayed identically, from its start and from any candle on."""

import time
from pathlib import Path

import numpy as np
import pytest

from adapters.clock import now_ms
from tests.fixtures.apps.live_replay import recorded_again
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.incidents.incident import IncidentKind
from trading.market.candles import VOLUME, Candles
from trading.services.chain import AdvanceSymbol

GOLD = "XAUUSD"
CANDLES = 500
CANDLES_HELD = 15
"""Time for which entries are rejected before an operator clears the drawdown."""

MINUTE_MS = 60_000
ACCOUNT = {"name": "test", "starting_balance": 10_000.0, "max_drawdown": 0.01, "max_leverage": 5.0}
VENUE = {"kind": "paper", "fill_at": "next_open", "slippage": 0.1}
GAP = 20.0
"""Stops fill behind a gap, worse than the rules can reckon with: else the drawdown is hardly ever reached."""

STRATEGY = {"name": "ema_cross", "params": {"fast": 3, "slow": 8, "atr_period": 2, "stop_atr": 1.0, "target_atr": 2.0}}


@pytest.mark.timeout(240)
def test_cleared_drawdown_is_cleared_in_the_replay_too_wherever_it_begins(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    path = write_candles(tmp_path / "gold.csv", with_gaps(generated_candles(GOLD, CANDLES, seed=3)))
    risk = {"sizing": "fixed_units", "units": 5.0, "max_leverage": 5.0}
    symbols = {GOLD: file_symbol(path, strategy=STRATEGY, risk=risk, venue=VENUE)}
    system = TradingSystem(tmp_path / "system", own_redis, symbols, account=ACCOUNT)
    try:
        opened, cleared = live_with_a_person(system)
        journal = list(system.journal(GOLD))
        around = (at + step for at in opened + cleared for step in (-1, 0, 1))
        cuts = [None, *sorted({journal[at] for at in around if at < len(journal)})]
        compared = [recorded_again(system, from_ms=cut)[1] for cut in cuts]
        decisions = system.stores().ledger.decisions(limit=10**9)
    finally:
        system.stop()

    assert len(cleared) >= 2
    refused = [row for row in decisions if row["rule"] == "drawdown_latch"]
    assert any(row["reason"].startswith("a person must look first") for row in refused)
    assert [one.differences[:1] for one in compared] == [[]] * len(cuts)
    assert all(one.is_identical for one in compared)


def with_gaps(candles: Candles) -> Candles:
    """Let every tenth candle open at a distance from the close before it, up and down in turn."""
    place = np.arange(len(candles))
    shift = np.where(place // 10 % 2 == 0, 0.0, GAP)
    values = candles.values.copy()
    values[:, :VOLUME] += shift[:, np.newaxis]
    return Candles(candles.open_ms, values)


def live_with_a_person(system: TradingSystem) -> tuple[list[int], list[int]]:
    """Decide on all candles, and clear each drawdown a while after it was reported; return the places of both."""
    pipeline, ledger = system.pipeline(GOLD), system.stores().ledger
    opened: list[int] = []
    cleared: list[int] = []
    for place in range(CANDLES):
        pipeline.advance(AdvanceSymbol(GOLD))
        found = [row for row in ledger.incidents() if row["kind"] == IncidentKind.MAX_DRAWDOWN]
        if found and len(opened) == len(cleared):
            opened.append(place)
        if found and place == opened[-1] + CANDLES_HELD:
            next_millisecond()  # the ledger's clock is no finer
            ledger.resolve_incident(found[0]["id"], "looked at")
            cleared.append(place)
            next_millisecond()
    return opened, cleared


def next_millisecond() -> None:
    at_ms = now_ms()
    while now_ms() <= at_ms:
        time.sleep(0.0002)
