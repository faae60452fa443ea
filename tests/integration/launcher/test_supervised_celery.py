"""Celery workers under the supervisor: they stop warm or within their grace, and none outlives its launcher."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.servers.processes import is_alive
from tests.fixtures.servers.redis_server import RedisServer
from tests.integration.launcher.supervised import LIMIT_S, Home, until
from trading_orchestrator.launcher.child_process import CELERY_WORKER, ProcessSpec

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(300)


CELERY_APP = """
import os
from celery import Celery

app = Celery("small", broker=os.environ["BROKER"])
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@app.task(name="hang")
def hang():
    import signal
    print("it hangs", flush=True)
    while True:
        signal.pause()
"""

LAUNCHER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {repository!r})
from trading_orchestrator.launcher.child_process import ProcessSpec, CELERY_WORKER
from trading_orchestrator.launcher.supervisor import Supervisor

supervisor = Supervisor(Path("log"), report=print)
for name, argv in {workers!r}.items():
    supervisor.add(ProcessSpec(name, argv, stop_signals=CELERY_WORKER))
while True:
    supervisor.watch()
    time.sleep(0.05)
"""


@pytest.fixture
def celery_folder(tmp_path: Path) -> Path:
    (tmp_path / "small.py").write_text(CELERY_APP)
    workers = {name: worker_argv(name) for name in ("A", "B")}
    (tmp_path / "launcher.py").write_text(LAUNCHER.format(repository=str(REPOSITORY), workers=workers))
    return tmp_path


def worker_argv(queue: str) -> tuple[str, ...]:
    arguments = f"worker -Q {queue} -c 1 -P prefork -n {queue}@%h --loglevel INFO"
    return (sys.executable, "-m", "celery", "-A", "small", *arguments.split())


@pytest.fixture
def launcher(celery_folder: Path, own_redis: RedisServer) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"BROKER": own_redis.url}
    launcher = subprocess.Popen([sys.executable, "launcher.py"], cwd=celery_folder, env=environment)
    yield launcher
    launcher.kill()
    launcher.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_launcher_killed_leaves_no_process_pool_children_included(
    celery_folder: Path, launcher: "subprocess.Popen[bytes]"
) -> None:
    logs = [celery_folder / "log" / f"{name}.log" for name in ("A", "B")]
    until(lambda: all(log.exists() and "ready." in log.read_text() for log in logs), "two workers that are ready")
    family = psutil.Process(launcher.pid).children(recursive=True)
    assert len(family) == 4  # two workers, each with its pool child

    launcher.kill()
    launcher.wait()

    until(lambda: not any(map(is_alive, family)), "the end of all")


def test_celery_worker_with_a_task_that_never_ends_is_stopped_within_its_grace(
    celery_folder: Path, own_redis: RedisServer, home: Home
) -> None:
    spec = ProcessSpec(
        "A",
        worker_argv("A"),
        env={"BROKER": own_redis.url},
        cwd=celery_folder,
        stop_signals=((signal.SIGTERM, 0.5), (signal.SIGQUIT, LIMIT_S)),
    )
    child = home.supervisor.add(spec)
    until(lambda: "ready." in home.log("A"), "a worker that is ready")
    send = "from small import app; app.send_task('hang', queue='A')"
    subprocess.run([sys.executable, "-c", send], cwd=celery_folder, env=os.environ | spec.env, check=True)
    until(lambda: "it hangs" in home.log("A"), "the task's start")  # one that is only received may be given back
    assert child.pid is not None
    family = psutil.Process(child.pid).children(recursive=True)

    home.supervisor.stop()

    assert "A is still running; sent SIGQUIT" in home.lines
    until(lambda: not any(map(is_alive, family)), "the end of those that were killed with it")


def test_idle_celery_worker_stops_warm(celery_folder: Path, own_redis: RedisServer, home: Home) -> None:
    spec = ProcessSpec(
        "A", worker_argv("A"), env={"BROKER": own_redis.url}, cwd=celery_folder, stop_signals=CELERY_WORKER
    )
    home.supervisor.add(spec)
    until(lambda: "ready." in home.log("A"), "a worker that is ready")

    home.supervisor.stop()

    assert home.lines == ["A stopped (exit code 0)"]
