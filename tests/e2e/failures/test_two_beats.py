"""Two beats, and the leading one dies or is frozen: the other takes over, and no candle is lost or decided twice.

One symbol has no worker: what waits in its queue is all that the beats have ever sent it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.apps.queued import Queued, queued
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.beat_leader import Leader, read_leader
from tests.fixtures.books import is_done, open_times
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.redis_server import RedisServer
from trading_orchestrator.launcher.child_process import ChildProcess

TAKEOVER_LIMIT_S = 10.0
CANDLES = 200
MARKET_SPEED = 600.0
"""A candle each tenth of a second, and a tick twice as often: each take-over is a pause of dozens of candles."""
UNSERVED = "EURUSD"
UNSERVED_EVERY_S = 0.25

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        name: write_candles(tmp_path / f"{name}.csv", generated_candles(name, CANDLES, seed=at))
        for at, name in enumerate(("XAUUSD", "BTCUSDT"), 3)
    }


@pytest.fixture
def live(make_system: Callable[..., TradingSystem], files: dict[str, Path]) -> TradingSystem:
    symbols = {name: file_symbol(path, speed=MARKET_SPEED) for name, path in files.items()}
    symbols[UNSERVED] = file_symbol(files["XAUUSD"], speed=30.0 / UNSERVED_EVERY_S)
    return make_system(symbols)


def leader_of(system: TradingSystem) -> Leader | None:
    return read_leader(system.stores().redis, system.settings.namespace)


def leading(system: TradingSystem) -> Leader:
    """Return who leads; a beat that stood still for the length of its lease does not for a moment."""
    found: list[Leader] = []

    def has_leader() -> bool:
        found.extend(filter(None, [leader_of(system)]))
        return bool(found)

    system.wait_until(has_leader, "somebody leads")
    return found[-1]


def wait_for_takeover(system: TradingSystem, after: Leader, *, since_s: float) -> float:
    """Wait until another beat leads and has sent a tick, and return how long that took."""

    def has_ticked() -> bool:
        return any(message.epoch > after.epoch for message in ticks(system))

    system.wait_until(has_ticked, "another beat sends ticks", limit_s=60)
    return time.monotonic() - since_s


def ticks(system: TradingSystem) -> list[Queued]:
    """Return the ticks of the symbol without a worker, in the order in which they were sent."""
    return [message for message in queued(system.stores().redis, UNSERVED) if message.kind == "tick"]


def assert_no_burst_and_none_doubled(sent: list[Queued]) -> None:
    """Each beat has sent each slot once, in order, and none of those that passed while nobody led."""
    terms = [list(messages) for _, messages in groupby(sent, key=lambda message: message.epoch)]
    assert len(terms) >= 2, "one beat alone has sent them all: the test shows nothing"
    for term in terms:
        assert all(before.slot < after.slot for before, after in pairwise(term))
    for before, after in pairwise(terms):
        paused_s = (after[0].slot - before[-1].slot) * UNSERVED_EVERY_S
        assert paused_s > 1.0, "there was no pause: the test shows nothing"
        assert all(message.slot > before[-1].slot for message in after)


def start_beat(system: TradingSystem, name: str = "beat") -> ChildProcess:
    return system.celery(name, "-A", "tasks", "beat", "-l", "INFO")


def last_run(beat: ChildProcess) -> str:
    """Return what a beat has written since it was last started."""
    return beat_log(beat).rpartition("beat_started")[2]


def beat_log(beat: ChildProcess) -> str:
    return beat.log_path.read_text(encoding="utf-8", errors="replace")


def test_two_beats_of_which_the_leading_one_is_killed_and_the_next_one_frozen_lose_and_double_nothing(
    live: TradingSystem, files: dict[str, Path]
) -> None:
    beats = {beat.pid: beat for beat in (start_beat(live, "beat-1"), start_beat(live, "beat-2"))}
    for name in files:
        live.worker(name)
    live.wait_until(lambda: all(len(live.journal(name)) >= 10 for name in files), "both symbols trade")

    decided_before = {name: live.cursor_ms(name) for name in files}
    first = leading(live)
    assert first.pid in beats
    os.kill(first.pid, signal.SIGKILL)
    killed_took_s = wait_for_takeover(live, first, since_s=time.monotonic())
    assert beats[first.pid].wait(60) == -signal.SIGKILL
    beats[first.pid].start()
    second = leading(live)
    live.wait_until(lambda: "beat_waits lost_epoch=None" in last_run(beats[first.pid]), "the first one is back")

    frozen = psutil.Process(second.pid)
    frozen.suspend()
    frozen_took_s = wait_for_takeover(live, second, since_s=time.monotonic())
    frozen.resume()
    live.wait_until(
        lambda: f"beat_waits lost_epoch={second.epoch}" in beat_log(beats[second.pid]), "the frozen one has looked"
    )

    live.wait_until(is_done(live, files), "every candle decided", limit_s=120)
    sys.stdout.write(f"taken over {killed_took_s:.1f} s after a kill, {frozen_took_s:.1f} s after a freeze\n")
    assert max(killed_took_s, frozen_took_s) <= TAKEOVER_LIMIT_S
    for name, path in files.items():
        found, times = list(live.journal(name)), open_times(path)
        began = times.index(found[0])  # a market that nobody has read begins at its newest candle
        assert found == times[began:], "a candle is missing, doubled or out of order"
        assert decided_before[name] in found
    late = [one for before, one in pairwise(ticks(live)) if one.epoch < before.epoch]
    assert len(late) <= 1, "a beat that was frozen has sent more than the message it stood before"
    assert_no_burst_and_none_doubled([one for one in ticks(live) if one not in late])


@pytest.fixture
def absent_redis(own_redis: RedisServer) -> Iterator[RedisServer]:
    """The server of the systems of a test, which has gone before anything of them begins."""
    own_redis.kill()
    yield own_redis
    if own_redis._process.pid is None:
        own_redis.start()


def test_beat_started_before_redis_begins_when_it_is_there_and_continues_when_it_was_restarted(
    absent_redis: RedisServer, live: TradingSystem
) -> None:
    beat = start_beat(live)
    pid = beat.pid
    live.wait_until(lambda: "tick_failed" in beat_log(beat), "it says that there is no Redis")

    absent_redis.start()
    live.wait_until(lambda: leader_of(live) is not None and len(ticks(live)) >= 3, "it sends ticks")
    absent_redis.kill()
    absent_redis.start()
    back_s, seen = time.monotonic(), len(ticks(live))
    live.wait_until(lambda: len(ticks(live)) >= seen + 3, "it goes on")
    took_s = time.monotonic() - back_s

    sys.stdout.write(f"ticks again {took_s:.1f} s after Redis was\n")
    assert took_s <= TAKEOVER_LIMIT_S
    assert (leading(live).pid, beat.pid) == (pid, pid), "it is the same process all the time"
    slots: list[Any] = [one.slot for one in ticks(live)]
    assert slots == sorted(set(slots))
