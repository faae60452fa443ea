"""Beat as Celery calls it, against a real Redis: what it sends, and when it must not."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from celery import signals

from adapters.redis import keys
from tasks.engine.routing import CONTROL_QUEUE
from tasks.engine.stages import FIRST_STAGE, HEALTH, LOG_STATUS, RECONCILE
from tests.fixtures.beat_leader import read_leader
from tests.integration.beat.beats import NEVER_S, SYMBOLS, Beat


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
