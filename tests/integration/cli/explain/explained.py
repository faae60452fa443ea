"""Candles with a hole, and what `trading explain`, the ledger and the journal answer of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from click.testing import CliRunner, Result

from adapters.symbol_store.journal import JournalReader
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.candle_files import generated_candles
from trading.events.journal import Entry
from trading.market.candles import Candles
from trading_orchestrator.cli.app import trading

MINUTE_MS = 60_000
CANDLES = 320
HOLE = slice(200, 205)
GOLD, COIN = "XAUUSD", "BTCUSD"
LIMITS = {"name": "test", "starting_balance": 100_000, "max_open_positions": 1, "max_daily_loss": 1_000_000}


def recorded_series(symbol: str, seed: int) -> Candles:
    """Return candles with a hole of five minutes."""
    whole = generated_candles(symbol, CANDLES, seed=seed)
    return whole[: HOLE.start].then(whole[HOLE.stop :])


def verb(system: TradingSystem, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(trading, list(arguments), env=system.environment | environ)


def explained(system: TradingSystem, open_ms: int, *arguments: str, symbol: str = GOLD) -> dict[str, Any]:
    answer = verb(system, "explain", symbol, instant(open_ms), "--json", *arguments)
    assert answer.exit_code == 0, answer.output
    return cast("dict[str, Any]", json.loads(answer.stdout))


def instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def decided(system: TradingSystem, is_selected: Callable[[dict[str, Any]], bool], symbol: str = GOLD) -> dict[str, Any]:
    rows = system.stores().ledger.decisions(symbol, limit=1_000)
    return next(row for row in reversed(rows) if is_selected(row))


def entries(system: TradingSystem, symbol: str = GOLD) -> list[Entry]:
    return JournalReader(system.stores().redis, system.settings.namespace, symbol).between()
