"""Flower as `celery -A tasks flower` starts it, in a folder without a configuration file of Flower."""

import base64
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import psutil
import pytest

from tasks.flower.login_limit import FAILURES
from tests.fixtures.apps.running import Terminal
from tests.fixtures.servers.ports import quiet_port

COMMAND = f"exec {sys.executable} -m celery -A tasks flower"
PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers", "/api/tasks")
WAIT_S = 20
PASSWORD = {"TRADING__FLOWER_PASSWORD": "secret"}


@dataclass(frozen=True)
class Flower:
    terminal: Terminal
    port: int

    def get(self, path: str, login: str | None = None) -> tuple[int, Message, str]:
        """Return status, headers and body of a page."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if login is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def answers(self) -> bool:
        try:
            return self.get("/healthcheck")[0] == 200
        except OSError:
            return False


Start = Callable[..., Flower]


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    (tmp_path / "empty").mkdir()
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "TRADING__"))}
    return ours | {"TRADING__REDIS_URL": redis_url, "TRADING__VAR_DIR": str(tmp_path / "var")}


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start Flower and wait for its answer."""
    terminals: list[Terminal] = []

    def run(options: str = "", **variables: str) -> Flower:
        port = quiet_port()
        env = environment | {"TRADING__FLOWER_PORT": str(port)} | variables
        command = f"{COMMAND} {options}"
        terminal = Terminal(command, cwd=tmp_path / "empty", env=env, output=tmp_path / f"out-{len(terminals)}")
        terminals.append(terminal)
        flower = Flower(terminal, port)
        terminal.until(flower.answers, "answer of Flower")
        return flower

    yield run
    for terminal in terminals:
        terminal.close()


def listening(flower: Flower) -> set[str]:
    connections = psutil.Process(flower.terminal.process.pid).net_connections("tcp")
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_flower_takes_address_port_and_login_from_the_settings(start: Start) -> None:
    flower = start(**PASSWORD)

    assert listening(flower) == {"127.0.0.1"}
    assert {path: flower.get(path)[0] for path in PAGES} == dict.fromkeys(PAGES, 401)
    assert flower.get("/metrics", "trader:secret")[0] == 200
    assert flower.get("/workers", "trader:secret")[0] == 200
    assert flower.get("/metrics", "trader:wrong")[0] == 401


def test_flower_with_a_password_of_its_own_option_requests_it_on_every_page(start: Start) -> None:
    flower = start("--address=0.0.0.0 --basic_auth=me:mine", TRADING__FLOWER_ADDRESS="127.0.0.2")

    assert listening(flower) == {"0.0.0.0"}
    assert {path: flower.get(path)[0] for path in PAGES} == dict.fromkeys(PAGES, 401)
    assert flower.get("/metrics", "me:mine")[0] == 200


def test_flower_without_a_password_listens_on_this_machine_only(start: Start) -> None:
    flower = start()

    assert listening(flower) == {"127.0.0.1"}
    assert flower.get("/metrics")[0] == 200
    assert flower.get("/api/workers")[0] == 401


def test_flower_forbids_to_be_shown_in_a_frame_on_each_page_and_error(start: Start) -> None:
    flower = start(**PASSWORD)
    for path, login in [("/workers", "trader:secret"), ("/workers", None), ("/nothing", None), ("/metrics", "a:b")]:
        headers = flower.get(path, login)[1]

        assert headers["X-Frame-Options"] == "DENY", path
        assert headers["Content-Security-Policy"] == "frame-ancestors 'none'", path


def test_flower_limits_and_logs_failed_logins(start: Start) -> None:
    flower = start(**PASSWORD)
    for count in range(FAILURES):
        status, _, body = flower.get("/api/workers", f"tra\nder{count}:guess")
        assert (status, "guess" in body) == (401, False)

    assert flower.get("/workers", "trader:secret")[0] == 429
    assert "too many failed logins" in flower.get("/metrics", "trader:secret")[2]
    assert flower.get("/healthcheck")[0] == 200
    lines = [line for line in flower.terminal.text.splitlines() if "flower_login_failed" in line]
    assert len(lines) == FAILURES
    assert "address=127.0.0.1 user='tra\\nder0' failures=1" in lines[0]
    assert "guess" not in flower.terminal.text


@pytest.mark.parametrize(
    ("options", "variables"),
    [("--address=0.0.0.0", {}), ("--basic_auth=trader:", {}), ("", {"FLOWER_UNAUTHENTICATED_API": "true"})],
)
def test_flower_that_would_be_open_to_others_without_a_password_ends_with_the_setting_to_set(
    options: str, variables: dict[str, str], tmp_path: Path, environment: dict[str, str]
) -> None:
    env = environment | {"TRADING__FLOWER_PORT": str(quiet_port())} | variables
    ended = subprocess.run(
        ["bash", "-c", f"{COMMAND} {options}"],
        cwd=tmp_path / "empty",
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 1, ended.stderr
    assert "error: Flower" in ended.stderr or "error: FLOWER_" in ended.stderr
    assert "TRADING__FLOWER_PASSWORD" in ended.stderr
    assert "Traceback" not in ended.stderr
