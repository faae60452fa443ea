"""The composed system as an operator starts it: `docker compose up`, a look, `docker compose down`."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.fixtures.servers.docker_engine import need_docker_engine
from trading_orchestrator.launcher.embedded_redis import free_port

ROOT = Path(__file__).parents[2]
UP_S = 900
LIMIT_S = 120.0

Compose = Callable[..., str]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(UP_S + 300)]


@pytest.fixture(scope="module")
def flower_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory, flower_port: int) -> Iterator[Compose]:
    """Run `docker compose ...` on a system that is up, with a name and passwords of its own; it ends with the tests."""
    need_docker_engine()
    if shutil.which("docker") is None:
        pytest.skip("no `docker` client here")
    secrets = tmp_path_factory.mktemp("compose") / "env"
    passwords = [f"TRADING_{name}_PASSWORD={uuid.uuid4().hex}\n" for name in ("REDIS", "POSTGRES", "FLOWER")]
    secrets.write_text(f"{''.join(passwords)}TRADING_FLOWER_PORT={flower_port}\n", encoding="utf-8")
    project = f"trading-test-{uuid.uuid4().hex[:8]}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}

    def run(*arguments: str, timeout_s: float = LIMIT_S, may_end_with: tuple[int, ...] = (0,)) -> str:
        command = ["docker", "compose", "--project-name", project, "--env-file", str(secrets), *arguments]
        answer = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=timeout_s
        )
        assert answer.returncode in may_end_with, f"docker compose {' '.join(arguments)}:\n{answer.stderr}"
        return answer.stdout

    try:
        run("up", "--detach", "--wait", "--build", timeout_s=UP_S)
        yield run
    finally:
        run("down", "--volumes", "--timeout", "60")


def statuses(compose: Compose) -> dict[str, dict[str, Any]]:
    """Ask a worker how the symbols stand, by a task, from inside the network."""
    code = "import json; from tasks.control import status; print(json.dumps(status.delay().get(timeout=30)))"
    rows = json.loads(compose("exec", "-T", "worker-control", "python", "-c", code).splitlines()[-1])
    return {row["symbol"]: row for row in rows}


def test_composed_symbols_decide_candles(compose: Compose) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not all(row["candles"] > 0 for row in statuses(compose).values()):
        assert time.monotonic() < deadline_s, (
            f"no candles decided after {LIMIT_S:g} s:\n{compose('logs', '--tail', '40')}"
        )

    assert {name: row["desired"] for name, row in statuses(compose).items()} == {
        "XAUUSD": "running",
        "BTCUSD": "running",
    }


def test_composed_workers_run_as_a_user_that_is_not_root(compose: Compose) -> None:
    for service in ("worker-xauusd", "redis", "postgres"):
        assert compose("exec", "-T", service, "id", "-u").strip() != "0", service


def test_composed_flower_requests_a_login(compose: Compose, flower_port: int) -> None:
    assert f"127.0.0.1:{flower_port}" in compose("port", "flower", "5555")

    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{flower_port}/workers", timeout=10)


def test_composed_worker_comes_back_after_a_kill(compose: Compose) -> None:
    before = statuses(compose)["XAUUSD"]["candles"]
    compose("exec", "-T", "worker-xauusd", "sh", "-c", "kill -9 -1", may_end_with=(0, 137))  # ends with its container

    deadline_s = time.monotonic() + LIMIT_S
    while statuses(compose)["XAUUSD"]["candles"] < before + 5:
        assert time.monotonic() < deadline_s, f"the symbol does not go on:\n{compose('logs', '--tail', '40')}"
