"""The launcher as a user meets it: one process that starts everything, and takes everything with it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.processes import commands
from trading_orchestrator.launcher.embedded_redis import free_port, server_at

LIMIT_S = 120.0
REPOSITORY = Path(__file__).parents[3]
RUN = """
import sys
from configs.loading import load_system
from configs.settings import load_settings
from trading_orchestrator.launcher.launcher import run
sys.exit(run(load_settings(), load_system()))
"""

pytestmark = pytest.mark.timeout(300)


class Launcher:
    """A launcher in a process of its own, which writes to a file and not to a terminal."""

    def __init__(self, folder: Path, cwd: Path = REPOSITORY, **variables: str) -> None:
        self.var = folder / "var"
        self._output = folder / "output"
        environment = os.environ | {
            "TRADING__VAR_DIR": str(self.var),
            "TRADING__FLOWER_PORT": str(quiet_port()),
            "TRADING__ORCHESTRATOR__STATUS_LOG_INTERVAL": "1",
            **variables,
        }
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN], cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def text(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def redis_url(self) -> str:
        return (self.var / "redis" / "url").read_text().strip()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.poll() is None, f"it ended while waiting for {what}:\n{self.text}"
            assert time.monotonic() < deadline_s, f"waited {LIMIT_S:g} s for {what}:\n{self.text}"
            time.sleep(0.05)

    def until_running(self) -> None:
        self.until(lambda: "XAUUSD running" in self.text and "BTCUSD running" in self.text, "symbols that run")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.process.kill()
    launcher.process.wait()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, left = psutil.wait_procs(processes, timeout=LIMIT_S)
    return left


def test_launcher_interrupted_stops_all_and_ends_with_zero(launcher: Launcher) -> None:
    launcher.until_running()
    family = launcher.family()
    shown = [" ".join(command) for _, command in commands(family)]

    launcher.process.send_signal(signal.SIGINT)

    assert launcher.process.wait(LIMIT_S) == 0, launcher.text
    assert alive(family) == []
    assert "all stopped" in launcher.text
    assert "killed" not in launcher.text
    assert launcher.text.index("worker-XAUUSD stopped") < launcher.text.index("redis stopped")
    assert not (launcher.var / "redis" / "url").exists()
    for secret in ("redis/password", "flower/password"):
        assert (launcher.var / secret).read_text().strip() not in " ".join(shown) + launcher.text


@pytest.mark.long
def test_launcher_interrupted_twice_kills_at_once_and_reports_it_by_its_exit_code(launcher: Launcher) -> None:
    launcher.until_running()  # a worker that has not come up yet ends at the first signal
    family = launcher.family()
    next(process for process, command in commands(family) if "XAUUSD" in command).suspend()  # it ends at no signal

    launcher.process.send_signal(signal.SIGINT)
    launcher.until(lambda: "stopping" in launcher.text, "the stop")
    launcher.process.send_signal(signal.SIGINT)

    assert launcher.process.wait(LIMIT_S) == 130
    assert alive(family) == []


def test_launcher_killed_leaves_nothing_behind(launcher: Launcher) -> None:
    launcher.until_running()
    family = launcher.family()
    assert len(family) >= 9  # Redis, three workers with a child each, beat, Flower

    launcher.process.kill()

    assert alive(family) == []


@pytest.mark.long
def test_redis_killed_under_the_launcher_comes_back_and_the_symbols_continue(launcher: Launcher) -> None:
    launcher.until_running()
    first = server_at(launcher.redis_url).pid

    os.kill(first, signal.SIGKILL)

    launcher.until(lambda: "redis restarted" in launcher.text, "another Redis")
    seen = len(launcher.text)
    launcher.until(lambda: "XAUUSD running" in launcher.text[seen:], "a symbol that runs on")
    assert server_at(launcher.redis_url).pid != first


@pytest.mark.long
def test_second_launcher_on_the_same_folder_is_rejected_with_the_pid_of_the_first(
    launcher: Launcher, tmp_path: Path
) -> None:
    launcher.until(lambda: "ledger at revision" in launcher.text, "the first steps")
    (tmp_path / "second").mkdir()

    second = Launcher(tmp_path / "second", TRADING__VAR_DIR=str(launcher.var))

    assert second.process.wait(LIMIT_S) == 1
    assert f"process {launcher.process.pid}" in second.text


def test_second_launcher_on_the_same_redis_names_process_host_and_folder_of_the_first(
    launcher: Launcher, tmp_path: Path
) -> None:
    launcher.until(lambda: "workers: " in launcher.text, "the workers")
    here = tmp_path / "second"
    here.mkdir()

    variables = {"TRADING__CONFIG_DIR": str(REPOSITORY / "configs"), "TRADING__REDIS_URL": launcher.redis_url}
    second = Launcher(here, here, **variables)

    assert second.process.wait(LIMIT_S) == 1
    owner = f"the launcher of process {launcher.process.pid} on {socket.gethostname()} in {REPOSITORY}"
    assert f"{owner} runs on this Redis" in second.text.replace("\n", " ")
    assert f"another system runs here: {owner}" in second.text.replace("\n", " ")
    assert launcher.process.poll() is None


def own_folder(tmp_path: Path, strategy: str) -> tuple[Path, dict[str, str]]:
    """Return a folder with a strategy module, and the variables of a configuration elsewhere that uses it."""
    here, configs = tmp_path / "here", tmp_path / "elsewhere"
    shutil.copytree(REPOSITORY / "configs", configs, ignore=shutil.ignore_patterns("*.py", "__pycache__", "plugins"))
    here.mkdir()
    (here / "own_ema.py").write_text(f"import sys\nfrom trading.strategies.builtin.cross import EmaCross\n{strategy}")
    name = {"TRADING__SYMBOLS__XAUUSD__STRATEGY__NAME": "own_ema:OwnEma"}
    return here, {"TRADING__CONFIG_DIR": str(configs), **name}


def test_strategy_in_the_current_folder_is_found_by_every_process(tmp_path: Path) -> None:
    here, variables = own_folder(tmp_path, "class OwnEma(EmaCross): ...")
    launcher = Launcher(tmp_path, here, **variables)
    try:
        launcher.until_running()
    finally:
        stopped(launcher)


def test_worker_that_fails_at_once_is_reported_with_its_error_in_terminal_and_status(tmp_path: Path) -> None:
    strategy = "if 'worker' in sys.argv: raise LookupError('no licence')\nclass OwnEma(EmaCross): ..."
    here, variables = own_folder(tmp_path, strategy)
    launcher = Launcher(tmp_path, here, **variables)

    def ended() -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "celery", "-A", "tasks", "trading", "status", "--json"]
        environment = os.environ | variables | {"TRADING__VAR_DIR": str(launcher.var)}
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)["ended_processes"] if done.returncode == 0 else []
        return found

    try:
        launcher.until(lambda: re.search(r"worker-XAUUSD ended .*no licence", launcher.text) is not None, "its error")
        launcher.until(lambda: any(one["symbols"] == ["XAUUSD"] for one in ended()), "its error in `status`")
    finally:
        stopped(launcher)


def stopped(launcher: Launcher) -> None:
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.process.wait(LIMIT_S) == 0, launcher.text


def test_redis_port_that_is_taken_ends_the_launcher_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        launcher = Launcher(tmp_path, TRADING__REDIS_PORT=port)
        assert launcher.process.wait(LIMIT_S) == 1

    assert f"port {port}" in launcher.text
    assert "TRADING__REDIS_PORT" in launcher.text


def test_redis_of_the_settings_that_does_not_answer_is_reported_by_its_address(tmp_path: Path) -> None:
    port = free_port()
    launcher = Launcher(tmp_path, TRADING__REDIS_URL=f"redis://:hidden@127.0.0.1:{port}/0")

    assert launcher.process.wait(LIMIT_S) == 1

    assert f"127.0.0.1:{port}" in launcher.text
    assert "hidden" not in launcher.text
