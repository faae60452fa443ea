"""Heartbeats and troubles in a real Redis: what is written is read, what is old or foreign is not."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from adapters.clock import now_ms
from adapters.redis import keys
from adapters.redis.client import connect_briefly
from adapters.redis.heartbeats import (
    FORGOTTEN_AFTER_S,
    RunningStep,
    WorkerBeat,
    forget_heartbeat,
    read_heartbeats,
    write_heartbeat,
)
from adapters.redis.task_failures import (
    TaskFailure,
    TaskFailureKind,
    forget_task_failures,
    read_task_failures,
    record_task_failure,
)
from tests.fixtures.servers.redis_server import WAIT_S, RedisServer
from trading.errors import Transient
from trading.services.status import ServiceStatus
from trading.structs import replace
from worker.checks.check import Health
from worker.checks.redis import other_system

SPACE = "test"
STEP = RunningStep("tick:1", "tasks.strategy", "XAUUSD", 1_000)
HUNG = TaskFailure(TaskFailureKind.HUNG, "StrategyEvaluationService", "tasks.strategy", 1_000, "it hung", "tick:1")


def beat(node: str, **changes: Any) -> WorkerBeat:
    usual = WorkerBeat(node, "host", 17, ("XAUUSD", "control"), now_ms(), now_ms() - 60_000, True, (STEP,))
    return replace(usual, **changes)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect_briefly(redis_url, timeout_s=WAIT_S)
    yield client
    client.close()


def test_heartbeat_written_is_read_back_and_the_newest_counts(client: redis.Redis) -> None:
    gold, coin = beat("XAUUSD@host"), beat("BTCUSD@host", is_supervised=False, running=())
    for one in (gold, replace(coin, at_ms=1), coin):
        write_heartbeat(client, SPACE, one)

    assert read_heartbeats(client, SPACE) == [coin, gold]


def test_worker_of_another_folder_is_named_to_one_that_starts(client: redis.Redis, tmp_path: Path) -> None:
    write_heartbeat(client, SPACE, beat("mine@host", folder=str(tmp_path)))
    write_heartbeat(client, SPACE, beat("older@host"))
    write_heartbeat(client, SPACE, beat("ended@host", folder="/elsewhere", at_ms=now_ms() - 60_000))
    assert other_system(client, SPACE, tmp_path).health is Health.OK

    write_heartbeat(client, SPACE, beat("theirs@host", folder="/elsewhere"))
    found = other_system(client, SPACE, tmp_path)

    assert found.health is Health.WARN
    assert "worker theirs@host, process 17 on host in /elsewhere" in str(found)


def test_heartbeat_taken_back_is_gone_and_the_others_stay(client: redis.Redis) -> None:
    for node in ("a@host", "b@host"):
        write_heartbeat(client, SPACE, beat(node))

    forget_heartbeat(client, SPACE, "a@host")

    assert [one.node for one in read_heartbeats(client, SPACE)] == ["b@host"]


def test_heartbeat_older_than_an_hour_or_of_another_version_is_dropped_for_good(client: redis.Redis) -> None:
    limit_ms = int(FORGOTTEN_AFTER_S * 1000)
    write_heartbeat(client, SPACE, beat("killed@host", at_ms=now_ms() - limit_ms - 1_000))
    write_heartbeat(client, SPACE, beat("stuck@host", at_ms=now_ms() - limit_ms + 60_000))
    client.hset(keys.workers(SPACE), "foreign@host", json.dumps({"node": "foreign@host"}))

    assert [one.node for one in read_heartbeats(client, SPACE)] == ["stuck@host"]
    assert client.hkeys(keys.workers(SPACE)) == [b"stuck@host"]


@pytest.mark.parametrize(("reported_ms", "age_s"), [(4_000, 6.0), (11_000, 0.0)], ids=["past", "ahead of our clock"])
def test_age_of_a_heartbeat_is_never_negative(reported_ms: int, age_s: float) -> None:
    assert beat("a@host", at_ms=reported_ms).age_s(10_000) == age_s


def test_heartbeat_to_a_redis_that_stands_still_fails_within_seconds(own_redis: RedisServer) -> None:
    client = connect_briefly(own_redis.url)
    with suppress(redis.TimeoutError):  # it connects, whether or not the server is quick enough on a busy machine
        client.ping()
    os.kill(own_redis.pid, signal.SIGSTOP)

    def failed_after_s() -> float:
        began_s = time.monotonic()
        with pytest.raises(Transient):
            write_heartbeat(client, SPACE, beat("a@host"))
        return time.monotonic() - began_s

    is_quick = any(failed_after_s() < 5 for _ in range(3))  # the machine itself may have stood still once
    os.kill(own_redis.pid, signal.SIGCONT)
    assert is_quick
    client.close()


def test_trouble_is_recorded_and_puts_its_service_into_error(client: redis.Redis) -> None:
    status = {"service_name": HUNG.service, "symbol": "XAUUSD", "state": "running", "is_healthy": True}
    status |= {"error_count": 2, "processed_count": 40, "last_error": None}
    client.hset(keys.service(SPACE, "XAUUSD"), HUNG.service, json.dumps(status))
    client.hset(keys.service(SPACE, "XAUUSD"), "DataFetchingService", "left alone")

    record_task_failure(client, SPACE, "XAUUSD", HUNG)

    assert read_task_failures(client, SPACE, ["BTCUSD", "XAUUSD"]) == {"BTCUSD": [], "XAUUSD": [HUNG]}
    found: Any = client.hgetall(keys.service(SPACE, "XAUUSD"))
    assert found[b"DataFetchingService"] == b"left alone"
    written = json.loads(found[HUNG.service.encode()])
    assert (written["state"], written["is_healthy"], written["last_error"]) == ("error", False, "it hung")
    assert (written["error_count"], written["processed_count"]) == (3, 40)


def test_trouble_of_a_service_that_never_reported_has_a_whole_status(client: redis.Redis) -> None:
    record_task_failure(client, SPACE, "XAUUSD", HUNG)

    text: Any = client.hget(keys.service(SPACE, "XAUUSD"), HUNG.service)
    status = json.loads(text)
    assert (status["service_name"], status["symbol"], status["state"]) == (HUNG.service, "XAUUSD", "error")
    assert (status["error_count"], status["processed_count"], status["recovery_attempts"]) == (1, 0, 0)
    assert (status["is_transient"], status["reported_at_ms"]) == (False, HUNG.at_ms)
    assert status["error_kind"] == "time_limit"
    assert set(ServiceStatus.__struct_fields__) <= set(status), "a status lacks what every service reports"


def test_troubles_are_counted_for_each_service_until_they_are_forgotten(client: redis.Redis) -> None:
    lost = replace(HUNG, kind=TaskFailureKind.LOST, at_ms=2_000, text="it died")
    other = replace(HUNG, service="DataFetchingService", stage="tasks.fetch", at_ms=1_500)
    for failure in (HUNG, lost, other):
        record_task_failure(client, SPACE, "XAUUSD", failure)

    assert read_task_failures(client, SPACE, ["XAUUSD"])["XAUUSD"] == [other, replace(lost, count=2)]
    forget_task_failures(client, SPACE, "XAUUSD")
    assert read_task_failures(client, SPACE, ["XAUUSD"])["XAUUSD"] == []
