"""The Redis that the launcher brings: a real server, started, killed and refused."""

import os
import signal
import socket
import stat
from pathlib import Path

import psutil
import pytest
import redis

from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Broken
from trading_orchestrator.launcher import embedded_redis


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_server_started_answers_as_the_process_that_was_started(own_redis: RedisServer) -> None:
    answer = embedded_redis.server_at(own_redis.url)

    assert answer.pid == own_redis.pid
    assert Path(psutil.Process(own_redis.pid).exe()) == own_redis.plan.program.resolve()
    assert answer.title.split()[0] in {"Redis", "Valkey"}


def test_server_that_lets_a_question_wait_is_queried_again(own_redis: RedisServer) -> None:
    calls: list[int] = []

    def has_ended() -> bool:
        calls.append(own_redis.pid)
        if len(calls) == 2:  # the first question was not answered in time
            os.kill(own_redis.pid, signal.SIGCONT)
        return False

    os.kill(own_redis.pid, signal.SIGSTOP)

    assert embedded_redis.wait_until_ready(own_redis.plan, own_redis.pid, has_ended=has_ended).pid == own_redis.pid
    assert len(calls) >= 2


def test_server_started_has_the_settings_a_broker_needs(own_redis: RedisServer) -> None:
    client = own_redis.client()

    assert client.config_get("*") | {
        "bind": "127.0.0.1",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "save": "",
    } == client.config_get("*")
    client.close()


def test_server_requested_without_its_password_rejects(own_redis: RedisServer) -> None:
    with pytest.raises(redis.AuthenticationError):
        embedded_redis.server_at(f"redis://127.0.0.1:{own_redis.port}/0")


def test_secrets_on_disk_are_readable_by_the_owner_alone_and_on_no_command_line(own_redis: RedisServer) -> None:
    folder = own_redis.plan.folder

    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir() if path.is_file()} == {
        "redis.conf": 0o600,
        "password": 0o600,
    }
    assert own_redis.plan.password not in " ".join(psutil.Process(own_redis.pid).cmdline())
    assert own_redis.plan.password not in repr(own_redis.plan)


def test_data_written_before_a_kill_is_there_after_the_restart(own_redis: RedisServer) -> None:
    client = own_redis.client()
    client.set("order", "sent")
    client.close()
    first_pid = own_redis.pid

    own_redis.kill()
    own_redis.start()

    client = own_redis.client()
    assert client.get("order") == "sent"
    assert own_redis.pid != first_pid
    client.close()


def test_password_of_a_folder_stays_the_same_from_plan_to_plan(tmp_path: Path) -> None:
    first = embedded_redis.plan_redis(tmp_path / "redis")
    second = embedded_redis.plan_redis(tmp_path / "redis")

    assert first.password == second.password
    assert first.password != embedded_redis.plan_redis(tmp_path / "other").password


def test_folder_with_spaces_and_quotes_serves_all_the_same(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / 'a "folder" with spaces').start()
    try:
        assert (server.plan.folder / "appendonlydir").is_dir()
    finally:
        server.stop()


def test_port_in_use_is_rejected_with_the_port_who_has_it_and_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Broken) as refused:
            embedded_redis.plan_redis(tmp_path / "redis", port=port)

    text = str(refused.value)
    assert str(port) in text
    assert "TRADING__REDIS_PORT" in text
    assert str(os.getpid()) in text or "another program" in text


def test_another_server_on_the_port_is_not_taken_for_ours(own_redis: RedisServer) -> None:
    with pytest.raises(Broken, match=str(own_redis.pid)):
        embedded_redis.wait_until_ready(own_redis.plan, own_redis.pid + 1, has_ended=lambda: False)


def test_server_that_ends_at_once_is_reported_without_waiting(tmp_path: Path) -> None:
    plan = embedded_redis.plan_redis(tmp_path / "redis")

    with pytest.raises(Broken, match="exited at once"):
        embedded_redis.wait_until_ready(plan, 1, has_ended=lambda: True)


def test_no_program_anywhere_reports_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "a machine without a wheel")

    with pytest.raises(Broken, match="TRADING__REDIS_URL"):
        embedded_redis.find_program()


def test_program_on_path_is_preferred_to_the_packaged_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert embedded_redis.find_program() == program
