"""The commands of the containers, run without containers: the Redis command of the compose file, and the migration."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import yaml

from adapters.database import create_engine
from adapters.ledger.schema import head_revision, schema_revision
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.redis_server import WAIT_S
from trading_orchestrator.launcher import embedded_redis
from trading_orchestrator.launcher.child_process import ChildProcess, ProcessSpec

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
PASSWORD = "correct-horse-7"


@pytest.fixture
def composed_redis(tmp_path: Path) -> Iterator[tuple[ChildProcess, int]]:
    """The compose file's own shell command, with this machine's program, a free port and a folder of the test."""
    shell, option, script = COMPOSE["redis"]["command"]
    port = quiet_port()
    program, config = embedded_redis.find_program(), ROOT / "deploy" / "redis.conf"
    here = f"{program} {config} --bind 127.0.0.1 --port {port} --dir {shlex.quote(str(tmp_path))} -"
    given = "redis-server /etc/redis/redis.conf -"
    assert given in script
    argv = (shell, option, script.replace(given, here).replace("$$", "$"))
    process = ChildProcess(ProcessSpec("composed-redis", argv, env={"REDISCLI_AUTH": PASSWORD}), tmp_path / "log")
    process.start()
    try:
        plan = embedded_redis.RedisPlan(program, tmp_path, port, PASSWORD)
        assert process.pid is not None
        # the answering process is the one that was started: the shell has given way, so a stop signal reaches Redis
        embedded_redis.wait_until_ready(
            plan, process.pid, has_ended=lambda: process.ended() is not None, timeout_s=WAIT_S
        )
        yield process, port
    finally:
        process.terminate(WAIT_S)


def test_composed_redis_rejects_a_client_without_the_password(composed_redis: tuple[ChildProcess, int]) -> None:
    client = embedded_redis.connect(f"redis://127.0.0.1:{composed_redis[1]}/0", timeout_s=WAIT_S)

    with pytest.raises(redis.AuthenticationError):
        client.ping()
    client.close()


def test_composed_redis_runs_as_its_configuration_defines(composed_redis: tuple[ChildProcess, int]) -> None:
    client = embedded_redis.connect(f"redis://:{PASSWORD}@127.0.0.1:{composed_redis[1]}/0", timeout_s=WAIT_S)

    configured = client.config_get("append*", "maxmemory*", "save")
    client.close()

    assert configured["appendonly"] == "yes"
    assert configured["appendfsync"] == "everysec"
    assert configured["maxmemory-policy"] == "noeviction"
    assert configured["maxmemory"] == str(512 * 1024 * 1024)
    assert configured["save"] == ""


def test_composed_redis_shows_its_password_on_no_command_line(composed_redis: tuple[ChildProcess, int]) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("this system has no /proc")

    configured = Path(f"/proc/{composed_redis[0].pid}/cmdline").read_text()

    assert configured, "it has ended"
    assert PASSWORD not in configured


def migrate(url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TRADING__LEDGER_URL": url}
    command = [sys.executable, "-m", "celery", "-A", "tasks", "trading", "ledger", "migrate"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_migrate_brings_an_empty_ledger_to_the_newest_revision_and_reports_it(database_url: str) -> None:
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)

    first, second = migrate(url), migrate(url)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith(f" is now at revision {head_revision()}, before: none\n")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.endswith(f" is already at revision {head_revision()}\n")
    engine = create_engine(url)
    assert schema_revision(engine) == head_revision()
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://somewhere/ledger", "TRADING__LEDGER_URL: expected a SQLAlchemy URL"),
        ("postgresql+psycopg://trading:secret@127.0.0.1:1/ledger", "connection failed"),
    ],
)
def test_migrate_without_a_database_ends_with_the_reason_and_no_password(url: str, reason: str) -> None:
    answer = migrate(url)

    assert answer.returncode > 0
    assert reason in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "secret" not in answer.stderr


def is_healthy(system: TradingSystem, service: str) -> bool:
    """Run a service's own health check, as the engine would in its container."""
    kind, check = COMPOSE[service]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **system.environment, "PATH": path, "HOSTNAME": socket.gethostname()}
    command = ["sh", "-c", check.replace("$$", "$")]
    return not subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, timeout=60
    ).returncode


@pytest.mark.long
def test_health_checks_report_who_lives_and_who_does_not(
    make_system: Callable[..., TradingSystem], tmp_path: Path
) -> None:
    candles = write_candles(tmp_path / "gold.csv", generated_candles("XAUUSD", 50))
    system = make_system({"XAUUSD": file_symbol(candles)})
    worker, _ = system.worker("XAUUSD"), system.beat()

    system.wait_until(lambda: is_healthy(system, "worker-xauusd"), "the worker answers")
    system.wait_until(lambda: is_healthy(system, "beat"), "beat answers")
    assert not is_healthy(system, "worker-btcusd")
    worker.kill()
    worker.wait(WAIT_S)
    assert not is_healthy(system, "worker-xauusd")
