"""Redis is lost as a whole, or the system was away: ledger, venue and source are enough to go on as if nothing was.

The journal lives in Redis, so it begins anew with the candle at the ledger's fence; all that is in the ledger and at
the venue is compared with a run in one process that nothing disturbed.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.apps.system import TradingSystem
from tests.fixtures.books import (
    MakeSystem,
    assert_same,
    books,
    is_done,
    open_times,
    reference,
    symbols_of,
    venue_books,
)
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer

CANDLES = 600
LOSSES = 2
SEEN_BETWEEN = 80
"""Candles that each symbol decides between two losses."""
MOST_LOOKS = 20

pytestmark = pytest.mark.timeout(420)


class LosableRedis(RedisServer):
    """A server whose folder can be deleted with all that it holds; it comes back empty, at the same port."""

    def lose(self) -> None:
        """Delete its folder while it is down, and make a new one with the same configuration and password."""
        folder = self.plan.folder
        kept = {path: path.read_bytes() for path in (self.plan.config_path, folder / "password")}
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        for path, content in kept.items():
            path.write_bytes(content)
            path.chmod(0o600)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LosableRedis]:
    """The server of the systems that `make_system` makes here."""
    server = LosableRedis(tmp_path / "own-redis")
    server.start()
    yield server
    server.stop()


def at_stake(system: TradingSystem) -> bool:
    """Return whether every symbol has a position open, and an order that waits at the venue."""
    held = {one.symbol for one in system.stores().ledger.positions() if one.is_open}
    with venue_books(system) as venue:
        return all(symbol in held and venue.resting(symbol) for symbol in system.symbols)


def kill_redis_when_all_is_at_stake(system: TradingSystem) -> None:
    """Kill Redis at a moment at which positions are open and orders wait; at another one start it again as it was."""
    for _ in range(MOST_LOOKS):
        system.wait_until(lambda: at_stake(system), "positions are open and orders wait")
        system.redis.kill()
        if at_stake(system):
            return
        system.redis.start()
        seen = {symbol: system.cursor_ms(symbol) for symbol in system.symbols}
        system.wait_until(
            lambda seen=seen: all(system.cursor_ms(symbol) > at for symbol, at in seen.items()),  # type: ignore[misc]
            "both symbols go on",
        )
    pytest.fail(f"no position was open on each of {', '.join(system.symbols)} in {MOST_LOOKS} looks")


@pytest.mark.long
def test_redis_deleted_in_mid_run_loses_no_position_and_sends_no_second_order(
    make_system: MakeSystem, own_redis: LosableRedis, tmp_path: Path
) -> None:
    files = {
        name: write_candles(tmp_path / f"{name}.csv", generated_candles(name, CANDLES, seed=at))
        for at, name in enumerate(("XAUUSD", "BTCUSDT"), 3)
    }
    expected = reference(make_system, files)
    journals = books(expected)["journal"]  # now, because it is kept in the same Redis
    live = make_system(symbols_of(files))
    for name in files:
        live.worker(name)
    live.beat()
    ledger, recoveries_s = live.stores().ledger, []

    for _ in range(LOSSES):
        begun = {name: live.cursor_ms(name) for name in files}
        live.wait_until(
            lambda begun=begun: all(  # type: ignore[misc]
                live.cursor_ms(name) >= at + SEEN_BETWEEN * 60_000 for name, at in begun.items()
            ),
            "both symbols go on for a while",
        )
        kill_redis_when_all_is_at_stake(live)
        own_redis.lose()
        fences = {name: ledger.fence(name) or 0 for name in files}
        own_redis.start()
        lost_s = time.monotonic()
        live.wait_until(
            lambda fences=fences: all(live.cursor_ms(name) > at for name, at in fences.items()),  # type: ignore[misc]
            "both symbols decide again",
        )
        recoveries_s.append(time.monotonic() - lost_s)
        for name, fence_ms in fences.items():
            begins_ms = next(iter(live.journal(name)))
            assert begins_ms >= fence_ms  # a step that was under way may have decided one candle more
            assert begins_ms in {row["open_ms"] for row in ledger.decisions(name, limit=100_000)}
    live.wait_until(is_done(live, files), "every candle decided", limit_s=200)

    sys.stdout.write(f"back after {', '.join(f'{one:.1f} s' for one in recoveries_s)}\n")
    assert_same(live, expected, leave_out={"journal"})
    for name, path in files.items():
        found = live.journal(name)
        assert list(found) == open_times(path)[-len(found) :], "a candle is missing, or out of order"
        assert list(found.items()) == journals[name][-len(found) :]
