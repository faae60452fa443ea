"""Beat as Celery calls it, against a real Redis: what it sends, when it must not, and by which configuration."""

import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import yaml
from celery import Celery, signals

from adapters.redis import keys
from adapters.redis.applied_config import AppliedConfig
from adapters.redis.leader_lease import Leadership
from beat.overdue import overdue
from beat.scheduler import SymbolScheduler
from configs.fetch_interval import PROMPT_S
from configs.loading import load_system
from configs.snapshot import content_of
from tasks.engine.routing import CONTROL_QUEUE, PRIORITY_STEPS, route
from tasks.engine.stages import FIRST_STAGE, HEALTH, LOG_STATUS, RECONCILE
from tests.fixtures.apps.queued import Queued, queued
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.beat_leader import read_leader
from tests.fixtures.candle_files import START_MS, generated_candles, write_candles

SYMBOLS = ("XAUUSD", "BTCUSD", "EURUSD")
MINUTE_MS = 60_000
NEVER_S = 1e9
NEVER_AGAIN = {
    "TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__HEALTH_CHECK_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__STATUS_LOG_INTERVAL": str(NEVER_S),
    "TRADING__ORCHESTRATOR__RECONCILE_INTERVAL": str(NEVER_S),
}
"""So long that no slot but the first one comes within a test: the next one begins in the year 2033."""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Beat:
    """Celery's scheduler in this process, on a broker of its own."""

    system: TradingSystem
    app: Celery
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.scheduler = SymbolScheduler(app=self.app, lazy=True)
        self.scheduler._leadership = self.rival(self.clock)

    @property
    def client(self) -> redis.Redis:
        return self.system.stores().redis

    def rival(self, clock: Callable[[], float] | None = None) -> Leadership:
        """Return another beat's hold on the same lease."""
        options = {"clock": clock} if clock else {}
        return Leadership(self.client, self.system.settings.namespace, lease_s=30.0, **options)

    def tick(self) -> float:
        return float(self.scheduler.tick())

    def sent(self, queue: str) -> list[Queued]:
        return queued(self.client, queue)

    def ticks(self) -> Counter[str]:
        return Counter(
            message.message_id for symbol in SYMBOLS for message in self.sent(symbol) if message.task == FIRST_STAGE
        )

    def end_lease(self) -> None:
        self.client.delete(keys.beat_leader(self.system.settings.namespace))


@pytest.fixture
def make_beat(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Callable[..., Beat]]:
    apps: list[Celery] = []
    path = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 40))
    patch = pytest.MonkeyPatch()

    def make(**extra: str) -> Beat:
        system = make_system({name: file_symbol(path, speed=1.0) for name in SYMBOLS}, extra={**NEVER_AGAIN, **extra})
        for name, value in system.environment.items():
            patch.setenv(name, value)
        app = Celery("beat-test", broker=system.redis.url, set_as_current=False)
        app.conf.task_routes = (route,)
        app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS), "socket_timeout": 60}
        apps.append(app)
        return Beat(system, app)

    yield make
    patch.undo()
    for app in apps:
        app.close()


@contextmanager
def before_sending(number: int, do: Callable[[], object]) -> Iterator[None]:
    """Do something just before so many messages have been sent, the first one being 1."""
    seen: list[str] = []

    def look(headers: dict[str, Any], **_: Any) -> None:
        seen.append(headers["id"])
        if len(seen) == number:
            do()

    signals.before_task_publish.connect(look)
    yield
    signals.before_task_publish.disconnect(look)


def test_beat_sends_each_symbol_its_tick_and_reconcile_and_the_control_queue_health_and_status(
    make_beat: Callable[..., Beat],
) -> None:
    beat = make_beat(TRADING__ORCHESTRATOR__STATUS_LOG_INTERVAL="4e8")

    for _ in range(3):
        beat.tick()

    for symbol in SYMBOLS:
        assert [(one.kind, one.task) for one in beat.sent(symbol)] == [("tick", FIRST_STAGE), ("reconcile", RECONCILE)]
    health, status = beat.sent(CONTROL_QUEUE)
    assert (health.kind, health.task, status.kind, status.task) == ("health", HEALTH, "status", LOG_STATUS)
    assert len(health.message_id.split(":")) == 2
    for message, interval_s in ((health, NEVER_S), (status, 4e8)):
        slot_begins_s = message.slot * interval_s
        expires_s = datetime.fromisoformat(message.expires).timestamp()
        assert slot_begins_s <= expires_s - interval_s < slot_begins_s + interval_s, (
            "it expires an interval after it was sent"
        )


def test_beat_that_does_not_lead_sends_nothing(make_beat: Callable[..., Beat]) -> None:
    beat = make_beat()
    beat.rival().epoch()

    assert 0 < beat.tick() <= 1
    assert beat.ticks() == {}
    assert beat.sent(CONTROL_QUEUE) == []


def test_beat_frozen_between_two_messages_sends_none_after_another_has_taken_over(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()
    other = beat.rival()

    def freeze() -> None:
        beat.clock.now_s += 3_600
        beat.end_lease()
        assert other.epoch() == 2

    with before_sending(2, freeze):
        beat.tick()
        beat.tick()

    assert len(beat.ticks()) == 2, "the message it stood before goes out, and no other"
    assert beat.sent(CONTROL_QUEUE) == []
    assert "lease_ended epoch=1" in caplog.text
    assert "beat_waits lost_epoch=1" in caplog.text


def test_beat_with_much_to_send_renews_its_lease_on_the_way(make_beat: Callable[..., Beat]) -> None:
    beat = make_beat()

    def be_slow() -> None:
        beat.clock.now_s += 20.0
        beat.client.pexpire(keys.beat_leader(beat.system.settings.namespace), 10_000)

    with before_sending(2, be_slow):
        beat.tick()

    assert len(beat.ticks()) == len(SYMBOLS)
    remaining_ms: Any = beat.client.pttl(keys.beat_leader(beat.system.settings.namespace))
    assert remaining_ms > 10_000


def test_beat_reports_in_the_lease_who_it_is(make_beat: Callable[..., Beat]) -> None:
    beat = make_beat()
    assert read_leader(beat.client, beat.system.settings.namespace) is None

    beat.tick()

    leader = read_leader(beat.client, beat.system.settings.namespace)
    assert leader is not None
    assert (leader.epoch, leader.host, leader.pid) == (1, socket.gethostname(), os.getpid())


def test_beat_whose_redis_dies_in_mid_send_reports_it_and_sends_the_rest_when_it_is_back(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()

    with before_sending(2, beat.system.redis.kill):
        assert beat.tick() == pytest.approx(0.5)
    assert "tick_failed" in caplog.text
    assert beat.tick() == pytest.approx(0.5), "it is away still"

    beat.system.redis.start()
    beat.tick()

    sent = beat.ticks()
    assert {message_id.split(":")[1] for message_id in sent} == set(SYMBOLS)
    assert set(sent.values()) == {1}


def edit(system: TradingSystem, symbols: dict[str, Any]) -> None:
    path = system.folder / "configs" / "symbols.yaml"
    path.write_text(yaml.safe_dump({"account": dict(system.account), "symbols": symbols}), encoding="utf-8")


def apply(beat: Beat) -> None:
    """Put in force what the files say."""
    folder = beat.system.folder / "configs"
    applied = AppliedConfig(beat.client, beat.system.settings.namespace)
    content = content_of(load_system(folder), folder)
    assert applied.apply(content, seen=applied.revision(), renewed=()) is not None


def test_beat_given_another_configuration_continues_with_it_and_disturbs_no_other_slot(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()
    beat.tick()
    symbols = {name: dict(one) for name, one in beat.system.symbols.items()}
    symbols["GBPUSD"] = symbols.pop("EURUSD")
    symbols["BTCUSD"]["source"] = {**symbols["BTCUSD"]["source"], "speed": "max"}
    edit(beat.system, symbols)

    beat.tick()
    assert beat.sent("GBPUSD") == [], "edited, and not applied"
    apply(beat)
    with caplog.at_level(logging.INFO, "beat.scheduler"):
        for _ in range(3):
            beat.tick()

    assert [one.kind for one in beat.sent("GBPUSD")] == ["tick", "reconcile"]
    ticks = Counter(message_id.split(":")[1] for message_id in beat.ticks())
    assert (ticks["XAUUSD"], ticks["EURUSD"]) == (1, 1)
    assert ticks["BTCUSD"] >= 2, "another rhythm begins at once"
    assert f"BTCUSD:{PROMPT_S:g}s" in caplog.text
    assert len(beat.sent(CONTROL_QUEUE)) == 2


def test_beat_given_a_configuration_that_is_faulty_reports_it_once_and_keeps_the_old_one(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()
    beat.tick()
    symbols = {name: dict(one) for name, one in beat.system.symbols.items()}
    edit(beat.system, {**symbols, "GBPUSD": symbols["EURUSD"]})
    apply(beat)
    edit(beat.system, {**symbols, "GBPUSD": {"timeframe": "7x"}})

    for _ in range(3):
        beat.scheduler._looked_s = 0.0  # it looks again each second
        beat.tick()

    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1
    assert "timeframe" in told[0].getMessage()
    assert set(beat.ticks().values()) == {1}
    assert beat.sent("GBPUSD") == []
    edit(beat.system, {**symbols, "GBPUSD": symbols["EURUSD"]})
    beat.scheduler._looked_s = 0.0
    beat.tick()
    assert [one.kind for one in beat.sent("GBPUSD")] == ["tick", "reconcile"]


ALIGNED = {
    "TRADING__SERVICES__DATA_FETCHING__TICK_ALIGNMENT": "candle_close",
    "TRADING__SERVICES__DATA_FETCHING__TICK_OFFSET": "2.0",
}
NOW_S = START_MS / 1000 + 3_600.0
"""A whole minute."""


@pytest.mark.parametrize(
    ("behind_s", "is_late"), [(60.0, False), (61.9, False), (62.0, True), (3_600.0, True), (None, True)]
)
@pytest.mark.parametrize("played_since_s", [None, 500.0])
def test_symbol_is_overdue_when_the_candle_after_its_last_one_closed_longer_ago_than_the_offset(
    make_beat: Callable[..., Beat], behind_s: float | None, is_late: bool, played_since_s: float | None
) -> None:
    """`behind_s`: seconds since the close of the last candle decided; `played_since_s`: since the market was begun."""
    beat = make_beat(**ALIGNED)
    namespace, symbol = beat.system.settings.namespace, SYMBOLS[0]
    wall_s = NOW_S
    if played_since_s is not None:
        wall_s = NOW_S + 12_345.6
        anchor = [int((NOW_S - played_since_s) * 1000), int((wall_s - played_since_s) * 1000)]
        beat.client.set(keys.market_clock(namespace, symbol), json.dumps(anchor))
    if behind_s is not None:
        cursor_ms = int((NOW_S - behind_s) * 1000) - MINUTE_MS
        beat.client.hset(keys.state(namespace, symbol), "cursor_ms", cursor_ms)

    found = overdue(beat.client, namespace, beat.system.config, [symbol], wall_s)

    assert found == ({symbol} if is_late else set())


def test_symbol_is_not_overdue_while_its_market_is_closed(make_beat: Callable[..., Beat]) -> None:
    beat = make_beat(**ALIGNED)
    session = {"kind": "weekly", "timezone": "UTC", "opens": "mon 02:00", "closes": "fri 17:00"}
    config = beat.system.config.symbols["XAUUSD"]
    weekly = config.model_validate({**config.model_dump(exclude_unset=True), "session": session})
    system = beat.system.config.model_copy(update={"symbols": {"XAUUSD": weekly}})

    def late(at_s: float) -> bool:
        return bool(overdue(beat.client, beat.system.settings.namespace, system, ["XAUUSD"], at_s))

    assert (late(START_MS / 1000 + 7_000.0), late(START_MS / 1000 + 7_400.0)) == (False, True)


def test_beat_aligned_to_the_close_sends_further_ticks_only_to_symbols_that_wait_for_a_candle(
    make_beat: Callable[..., Beat],
) -> None:
    beat = make_beat(
        **ALIGNED, TRADING__SERVICES__DATA_FETCHING__FETCH_INTERVAL="0.05", TRADING__SYMBOLS__XAUUSD__TIMEFRAME="1d"
    )
    namespace = beat.system.settings.namespace
    beat.client.hset(keys.state(namespace, "BTCUSD"), "cursor_ms", 2**50)
    beat.tick()
    assert Counter(one.kind for one in beat.sent("XAUUSD")) == {"tick": 1, "reconcile": 1}, "not two at once"

    def again(symbol: str) -> int:
        return sum(one.kind == "again" for one in beat.sent(symbol))

    beat.system.wait_until(lambda: beat.tick() >= 0 and again("XAUUSD") >= 3, "further ticks")

    assert again("BTCUSD") == 0, "its candles are all decided"
    assert sum(one.kind == "tick" for one in beat.sent("XAUUSD")) == 1


def test_beat_whose_symbols_wait_for_nothing_sleeps_until_something_is_due(
    make_beat: Callable[..., Beat], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = make_beat(**ALIGNED)
    amid_a_minute = SimpleNamespace(time=lambda: NOW_S + 30.0, monotonic=time.monotonic)
    monkeypatch.setattr("beat.scheduler.time", amid_a_minute)
    for symbol in SYMBOLS:
        beat.client.hset(keys.state(beat.system.settings.namespace, symbol), "cursor_ms", 2**50)

    assert 0.0 < beat.tick() <= 32.0
