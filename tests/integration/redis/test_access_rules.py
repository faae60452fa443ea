"""The users of `deploy/redis-users.acl` on a real server: each can do its work, and the reader cannot write."""

import base64
import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from click.testing import CliRunner
from redis.exceptions import NoPermissionError

from adapters.redis import keys
from tasks.engine.send_tick import send_tick
from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.redis_server import RedisServer
from trading_orchestrator.cli.app import trading

SYMBOL = "XAUUSD"
RULES = ROOT / "deploy" / "redis-users.acl"
USERS = ("worker", "beat", "flower", "reader")
FLOWER = {"FLOWER_UNAUTHENTICATED_API": "true"}


class GuardedServer(RedisServer):
    """A server with the users of the file beside the default user, with which the test looks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        client_rules = RULES.read_text(encoding="utf-8").replace("user default off\n", "")
        for user in USERS:
            client_rules = client_rules.replace(f"{user.upper()}_PASSWORD", password_of(user))
        self.user = "default"
        self._rules = client_rules

    @property
    def url(self) -> str:
        return super().url if self.user == "default" else self.url_of(self.user)

    def url_of(self, user: str) -> str:
        return f"redis://{user}:{password_of(user)}@127.0.0.1:{self.port}/0"

    def start(self) -> "GuardedServer":
        super().start()
        with redis.Redis.from_url(super().url) as client:
            for line in self._rules.splitlines():
                _, name, *rules = line.split()
                client.execute_command("ACL", "SETUSER", name, "reset", *rules)
        return self

    def denials(self) -> list[dict[str, Any]]:
        """Return what users tried and were not allowed."""
        with redis.Redis.from_url(super().url, decode_responses=True) as client:
            found: Any = client.acl_log()
        return [{name: one[name] for name in ("username", "reason", "object", "context")} for one in found]


def password_of(user: str) -> str:
    return f"secret-of-{user}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GuardedServer]:
    server = GuardedServer(tmp_path / "guarded").start()
    yield server
    server.stop()


@pytest.fixture
def system(server: GuardedServer, tmp_path: Path) -> Iterator[TradingSystem]:
    path = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 200))
    server.user = "worker"
    system = TradingSystem(tmp_path / "system", server, {SYMBOL: file_symbol(path)}, extra=FLOWER)
    yield system
    system.stop()


def as_user(system: TradingSystem, server: GuardedServer, user: str, *arguments: str) -> Any:
    environment = {**system.environment, "TRADING__REDIS_URL": server.url_of(user), "COLUMNS": "160"}
    return CliRunner().invoke(trading, list(arguments), env=environment)


def test_rules_begin_with_a_default_user_that_is_off() -> None:
    first, *others = RULES.read_text(encoding="utf-8").splitlines()

    assert first == "user default off"
    assert [line.split()[1] for line in others] == list(USERS)
    assert all(f">{user.upper()}_PASSWORD" in line for user, line in zip(USERS, others, strict=True))


def test_chain_runs_with_a_worker_and_a_beat_of_their_own_users(system: TradingSystem, server: GuardedServer) -> None:
    system.worker(SYMBOL)
    server.user = "beat"
    system.beat()
    system.wait_until(lambda: bool(system.stores().ledger.fills(SYMBOL)), "a fill")

    assert server.denials() == []


def test_flower_shows_workers_with_a_user_that_cannot_start_tasks(system: TradingSystem, server: GuardedServer) -> None:
    system.worker(SYMBOL)
    server.user = "flower"
    system.extra["TRADING__FLOWER_PASSWORD"] = "of a test"
    login = {"Authorization": f"Basic {base64.b64encode(b'trader:of a test').decode()}"}
    port = quiet_port()
    system.celery("flower", "-A", "tasks", "flower", f"--port={port}", "--address=127.0.0.1")

    def workers() -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/workers?refresh=true", headers=login)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except OSError:
            return {}
        return found

    system.wait_until(lambda: any(name.startswith(SYMBOL) for name in workers()), "the worker in Flower")
    # kombu would give messages of a dead worker back to their queue, which is for a worker to do
    assert {one["object"] for one in server.denials()} <= {"unacked_mutex"}


def test_reader_sees_status_and_events_and_writes_nothing(system: TradingSystem, server: GuardedServer) -> None:
    system.worker(SYMBOL)
    with system.client() as client:
        send_tick(client, SYMBOL, tick_id=f"tick:{SYMBOL}:{uuid.uuid4()}", life_s=60)
        system.wait_until(lambda: len(system.journal(SYMBOL)) > 10, "ten decided candles")

    for arguments in (("status", "--json"), ("events", "--json"), ("decisions", SYMBOL, "--json")):
        result = as_user(system, server, "reader", *arguments)
        assert result.exit_code == 0, result.output
    assert server.denials() == []
    assert as_user(system, server, "reader", "pause", SYMBOL).exit_code != 0


@pytest.mark.parametrize("user", ["reader", "flower"])
def test_user_that_only_looks_can_write_to_no_queue_and_no_state(server: GuardedServer, user: str) -> None:
    state = keys.state("trading", SYMBOL)
    attempts: list[Callable[[redis.Redis], Any]] = [
        lambda client: client.lpush(SYMBOL, "{}"),
        lambda client: client.lpush("control", "{}"),
        lambda client: client.hset(state, "cursor_ms", "7258118400000"),
        lambda client: client.rpush(keys.window("trading", SYMBOL), b"x"),
        lambda client: client.xadd(keys.events("trading"), {"event": "{}"}),
        lambda client: client.publish(keys.events("trading"), "{}"),
        lambda client: client.delete(state),
        lambda client: client.eval("return redis.call('SET', KEYS[1], 1)", 1, state),
        lambda client: client.config_set("appendonly", "no"),
        lambda client: client.flushdb(),
        lambda client: client.shutdown(),
    ]
    with redis.Redis.from_url(server.url_of(user)) as client:
        assert client.ping()
        assert client.hgetall(state) == {}
        for attempt in attempts:
            with pytest.raises(NoPermissionError):
                attempt(client)


def test_worker_cannot_administer_the_server(server: GuardedServer) -> None:
    with redis.Redis.from_url(server.url_of("worker")) as client:
        for attempt in (lambda: client.config_set("maxmemory-policy", "allkeys-lru"), client.flushall, client.acl_list):
            with pytest.raises(NoPermissionError):
                attempt()


def test_url_without_a_user_is_rejected_when_default_is_off(server: GuardedServer) -> None:
    url = f"redis://127.0.0.1:{urlsplit(server.url).port}/0"
    with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
