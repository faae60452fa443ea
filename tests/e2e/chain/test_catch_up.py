"""The system was away: what it missed comes in order and in batches, exits by what happened, entries only if fresh.

The market is a file whose clock stands where the test has put it: market time passes only when the test says so. So the
batches are those of the same visits in one process, and the books must be equal to the last bit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters import clock
from adapters.redis import keys
from configs.fetch_interval import PROMPT_S
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.books import MakeSystem, assert_same, books, open_times, reference, symbols_of
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading.services.chain import AdvanceSymbol

SYMBOL = "XAUUSD"
MINUTE_MS = 60_000
STANDING = 1e-9
"""Market seconds in a real second: in the lifetime of a test not one millisecond."""
AT_EACH_SECOND = {"TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL": str(STANDING)}
CANDLES = 1_000
BATCH = 500
MISSED = 520
"""At least this many candles are missed: more than one batch."""
CLOSE_STOPS = {"name": "sma_cross", "params": {"fast": 3, "slow": 8, "atr_period": 2, "stop_atr": 1.0}}
AFTER = 40
"""Candles that follow one by one when it is back."""
FRESH = 3
"""Candles that may have closed since, for an entry to be taken: `max_signal_age_s` of three timeframes."""

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True)
class Absence:
    """From which candle to which one the system is away, by their places in the file.

    Attributes:
        left: The last candle that was decided before; a position is open, and its stop will be hit.
        back: The newest candle that has closed when it comes back; it brings a signal.
        stopped: Where the stop is hit.
    """

    left: int
    back: int
    stopped: int


def find_absence(expected: TradingSystem, times: list[int]) -> Absence:
    """Choose an absence from a run that was never away: from behind an entry whose stop is hit later, to a signal."""
    ledger = expected.stores().ledger
    fills = sorted(ledger.fills(SYMBOL, limit=100_000), key=lambda row: row["sequence"])
    signals = sorted(row["open_ms"] for row in ledger.decisions(SYMBOL, limit=100_000) if row["outcome"] == "accepted")
    for entry, following in pairwise(fills):
        left, stopped = times.index(entry["market_ms"]), times.index(following["market_ms"])
        later = [times.index(open_ms) for open_ms in signals if left + MISSED <= times.index(open_ms) < CANDLES - AFTER]
        if (entry["leg"], following["leg"]) == ("entry", "stop_loss") and stopped > left + 1 and left > 60 and later:
            return Absence(left, later[0], stopped)
    raise AssertionError("no position ends at its stop: the candles show nothing")


def visits(absence: Absence) -> Iterable[int]:
    """Yield where the market stands at each look: candle by candle, then after the absence, then candle by candle."""
    yield from range(absence.left + 1)
    yield from range(absence.back, absence.back + AFTER)


def put_market(system: TradingSystem, open_ms: int) -> None:
    """Have the market stand at the close of a candle."""
    key = keys.market_clock(system.settings.namespace, SYMBOL)
    system.stores().redis.set(key, json.dumps([open_ms + MINUTE_MS, clock.now_ms()]))


def run_live(system: TradingSystem, times: list[int], places: Iterable[int]) -> None:
    """Show a running system one place of the market after the other."""
    with system.client() as app:
        for place in places:
            put_market(system, times[place])
            send_tick(app, SYMBOL, tick_id=f"tick:{SYMBOL}:{place}", life_s=PROMPT_S)
            system.wait_until(lambda place=place: system.cursor_ms(SYMBOL) == times[place], "it has caught up")  # type: ignore[misc]


def run_in_one_process(system: TradingSystem, times: list[int], places: Iterable[int]) -> None:
    pipeline = system.pipeline(SYMBOL)
    for place in places:
        put_market(system, times[place])
        while pipeline.advance(AdvanceSymbol(SYMBOL)).has_more:
            pass


def standing(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return the configuration of symbols whose market does not move by itself."""
    symbols = symbols_of(files, strategy=CLOSE_STOPS)
    for symbol in symbols.values():
        symbol["source"]["speed"] = STANDING
    return symbols


@pytest.mark.long
@pytest.mark.parametrize("is_redis_lost", [False, True], ids=["redis-kept", "redis-lost"])
def test_system_that_was_away_catches_up_in_order_with_exits_and_fresh_entries_only(
    make_system: MakeSystem, own_redis: RedisServer, tmp_path: Path, *, is_redis_lost: bool
) -> None:
    files = {SYMBOL: write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, CANDLES, seed=5))}
    times = open_times(files[SYMBOL])
    absence = find_absence(reference(make_system, files, strategy=CLOSE_STOPS), times)
    expected = make_system(standing(files), extra={**AT_EACH_SECOND, "TRADING__NAMESPACE": "same-visits"})
    run_in_one_process(expected, times, visits(absence))
    expected_journal = books(expected)["journal"][SYMBOL]
    live = make_system(standing(files), extra=AT_EACH_SECOND)
    ledger = live.stores().ledger

    worker, beat = live.celery("worker", "-A", "tasks", "worker", "-Q", SYMBOL, "-l", "INFO"), live.beat()
    run_live(live, times, range(absence.left + 1))
    for process in (beat, worker):
        process.kill()
        process.wait(60)
    held = {one.symbol: one.units for one in ledger.positions()}
    fence_ms = ledger.fence(SYMBOL)
    assert held[SYMBOL] != 0, "no position is open when it goes away"
    if is_redis_lost:
        own_redis.kill()
        forget_all(own_redis)
        own_redis.start()
    put_market(live, times[absence.back])
    worker.start()
    beat.start()
    live.wait_until(lambda: live.cursor_ms(SYMBOL) == times[absence.back], "it has caught up", limit_s=60)

    fills = sorted(ledger.fills(SYMBOL, limit=100_000), key=lambda row: row["sequence"])
    missed = [row for row in fills if row["market_ms"] > times[absence.left]]
    assert (missed[0]["leg"], missed[0]["market_ms"]) == ("stop_loss", times[absence.stopped])
    oldest_ms = times[absence.back] + MINUTE_MS - FRESH * MINUTE_MS
    away = [row for row in ledger.decisions(SYMBOL, limit=100_000) if row["open_ms"] > times[absence.left]]
    too_old = [row for row in away if row["open_ms"] + MINUTE_MS < oldest_ms]
    assert {row["rule"] for row in too_old if row["outcome"] == "refused"} == {"max_signal_age"}
    entered = [row for row in ledger.orders(SYMBOL, limit=100_000) if row["leg"] == "entry"]
    entered_since = [row for row in entered if row["market_ms"] > times[absence.left] + MINUTE_MS]
    assert [row["market_ms"] for row in entered_since] == [times[absence.back] + MINUTE_MS], (
        "one entry, and it is fresh"
    )
    assert len(too_old) > 10, "hardly a signal was missed: the test shows nothing"
    first = times.index(fence_ms) - 1 if is_redis_lost and fence_ms is not None else absence.left
    log = worker.log_path.read_text(encoding="utf-8", errors="replace")
    assert f"more:{SYMBOL}:{times[first + BATCH]}" in log, "the missed candles did not come in batches"

    run_live(live, times, list(visits(absence))[absence.left + 2 :])
    journal = live.journal(SYMBOL)
    assert list(journal) == times[times.index(next(iter(journal))) : absence.back + AFTER]
    assert list(journal.items()) == expected_journal[-len(journal) :]
    assert_same(live, expected, leave_out={"journal"})


def forget_all(redis: RedisServer) -> None:
    """Delete what a server that is down has written to its disk."""
    for path in redis.plan.folder.rglob("*"):
        if path.is_file() and path not in {redis.plan.config_path, redis.plan.folder / "password"}:
            path.unlink()
