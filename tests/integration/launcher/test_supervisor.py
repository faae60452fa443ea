"""The supervisor with real processes: they come back, they go in order, and none of them is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.servers.processes import is_alive
from tests.fixtures.servers.redis_server import RedisServer
from trading.errors import Broken
from trading_orchestrator.launcher.child_process import CELERY_WORKER, ChildProcess, ProcessSpec
from trading_orchestrator.launcher.supervisor import ChildState, RestartPolicy, Supervisor

LIMIT_S = 90.0
QUICK = RestartPolicy(first_delay_s=0.05, max_delay_s=0.4, good_life_s=60.0)
REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(300)

FOREVER = "import signal\nwhile True:\n    signal.pause()\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\n" + FOREVER
WITH_CHILD = (
    f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid, flush=True)\n{FOREVER}"
)


def until(condition: Callable[[], bool], what: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for a condition, and fail when it does not come true within the limit."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {LIMIT_S:g} s in vain for: {what}"
        meanwhile()
        time.sleep(0.01)


def python(name: str, code: str, **others: object) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", code), **others)  # type: ignore[arg-type]  # each test gives what it tests


class Home:
    """A supervisor with a log folder, and all that it reported."""

    def __init__(self, folder: Path) -> None:
        self.log_dir = folder / "log"
        self.lines: list[str] = []
        self.supervisor = Supervisor(self.log_dir, report=self.lines.append, policy=QUICK)

    def log(self, name: str) -> str:
        return (self.log_dir / f"{name}.log").read_text()

    def state(self, name: str) -> ChildState:
        return next(status.state for status in self.supervisor.statuses() if status.name == name)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.supervisor.stop(is_forced=lambda: True)


def test_child_killed_starts_again_as_another_process(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    until(lambda: child.pid not in {first, None}, "a second process", meanwhile=home.supervisor.watch)

    assert home.lines[0] == "one ended (signal 9), restarts in 0.05 s"
    assert [status.restarts for status in home.supervisor.statuses()] == [1]


def test_child_replaced_runs_on_and_starts_by_the_new_description_next_time(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    first = child.pid
    assert first is not None

    home.supervisor.replace(python("one", "print('another', flush=True)\n" + FOREVER))
    home.supervisor.watch()
    assert child.pid == first
    os.kill(first, signal.SIGKILL)

    until(lambda: "another" in home.log("one"), "the other description", meanwhile=home.supervisor.watch)


def test_child_retired_ends_in_peace_is_forgotten_and_its_name_is_free(home: Home) -> None:
    gone, stays = home.supervisor.add(python("one", FOREVER)), home.supervisor.add(python("two", FOREVER))

    home.supervisor.retire("one")
    until(lambda: len(home.supervisor.statuses()) == 1, "the end of one", meanwhile=home.supervisor.watch)

    assert home.lines == ["one stopped (signal 15)"]
    assert gone.pid is None
    assert stays.pid is not None
    home.supervisor.add(python("one", FOREVER))


def test_child_retired_that_waits_for_its_restart_is_forgotten_at_once(home: Home) -> None:
    home.supervisor.add(python("one", "import sys; sys.exit(3)"))
    until(lambda: home.state("one") is ChildState.WAITING, "a death", meanwhile=home.supervisor.watch)

    home.supervisor.retire("one")
    home.supervisor.watch()

    assert list(home.supervisor.statuses()) == []


def test_child_retired_that_does_not_end_is_killed_while_the_others_are_watched(home: Home) -> None:
    child = home.supervisor.add(python("one", STUBBORN, stop_signals=((signal.SIGTERM, 0.2),)))
    other = home.supervisor.add(python("two", FOREVER))
    until(lambda: "ready" in home.log("one"), "a child that listens")
    first = other.pid
    assert first is not None

    home.supervisor.retire("one")
    home.supervisor.watch()
    os.kill(first, signal.SIGKILL)
    until(lambda: len(home.supervisor.statuses()) == 1, "the end of one", meanwhile=home.supervisor.watch)
    until(lambda: other.pid not in {first, None}, "another two", meanwhile=home.supervisor.watch)

    assert "one did not end and was killed" in home.lines
    assert child.pid is None


def test_child_that_always_fails_is_restarted_with_growing_delays(home: Home) -> None:
    home.supervisor.add(python("one", "import sys; sys.exit(3)"))

    until(lambda: len(home.lines) >= 9, "five deaths", meanwhile=home.supervisor.watch)

    ends = [line for line in home.lines if "ended" in line]
    assert ends[:5] == [f"one ended (exit code 3), restarts in {delay} s" for delay in (0.05, 0.1, 0.2, 0.4, 0.4)]


def test_child_that_fails_at_once_is_reported_with_the_last_line_of_its_log(home: Home) -> None:
    home.supervisor.add(python("failing", "print('first'); raise ValueError('no \\x1b[31mkey')"))
    until(lambda: home.state("failing") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)

    [status] = home.supervisor.statuses()
    assert status.last_error == "ValueError: no [31mkey"
    assert status.is_failing
    assert home.lines == ["failing ended (exit code 1), restarts in 0.05 s: ValueError: no [31mkey"]


def test_child_whose_log_was_removed_is_restarted(home: Home) -> None:
    home.supervisor.add(python("one", "import os; os.remove(os.readlink('/proc/self/fd/1')); raise SystemExit(3)"))
    until(lambda: home.state("one") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)
    [status] = home.supervisor.statuses()
    until(lambda: any("restarted" in line for line in home.lines), "its restart", meanwhile=home.supervisor.watch)

    assert (status.last_exit_code, status.last_error) == (3, "")


def test_child_ended_by_a_signal_has_no_last_error(home: Home) -> None:
    child = home.supervisor.add(python("one", f"print('ready', flush=True)\n{FOREVER}"))
    until(lambda: "ready" in home.log("one"), "its first line")
    child.kill()
    until(lambda: home.state("one") is ChildState.WAITING, "its end", meanwhile=home.supervisor.watch)

    assert [(one.last_error, one.is_failing) for one in home.supervisor.statuses()] == [("", True)]


def test_child_that_lived_well_starts_again_from_the_first_delay(tmp_path: Path) -> None:
    now_s = [0.0]
    lines: list[str] = []
    supervisor = Supervisor(tmp_path, report=lines.append, policy=RestartPolicy(), clock=lambda: now_s[0])
    child = supervisor.add(python("one", FOREVER))

    for life_s, delay_s in ((5.0, 1.0), (5.0, 2.0), (60.0, 1.0)):
        now_s[0] += life_s
        child.kill()
        deaths = len(lines)
        until(lambda seen=deaths: len(lines) > seen, "the end", meanwhile=supervisor.watch)  # type: ignore[misc]
        assert lines[-1].endswith(f"restarts in {delay_s:g} s")
        now_s[0] += delay_s
        supervisor.watch()
        assert lines[-1].startswith("one restarted as process")
    supervisor.stop()


def test_what_a_dead_child_left_behind_is_killed_with_it(home: Home) -> None:
    child = home.supervisor.add(python("one", WITH_CHILD))
    until(lambda: home.log("one").endswith("\n"), "the grandchild's id")
    grandchild = psutil.Process(int(home.log("one")))
    assert child.pid is not None

    os.kill(child.pid, signal.SIGKILL)
    until(lambda: home.state("one") is ChildState.WAITING, "the end", meanwhile=home.supervisor.watch)

    until(lambda: not is_alive(grandchild), "the grandchild's end")


def test_stop_ends_the_lower_ranks_first(home: Home) -> None:
    for name, rank in (("store", 2), ("clock", 1), ("worker", 0)):
        home.supervisor.add(python(name, FOREVER, stop_rank=rank))

    home.supervisor.stop()

    assert [line.split()[0] for line in home.lines] == ["worker", "clock", "store"]
    assert {status.state for status in home.supervisor.statuses()} == {ChildState.STOPPED}


def test_stop_of_a_child_that_ignores_the_signal_continues_to_the_next_and_kills_at_last(home: Home) -> None:
    signals = ((signal.SIGTERM, 0.05), (signal.SIGTERM, 0.05))
    child = home.supervisor.add(python("one", STUBBORN, stop_signals=signals))
    until(lambda: "ready" in home.log("one"), "the signal handler")

    home.supervisor.stop()

    assert child.pid is None
    assert home.lines == [
        "one is still running; sent SIGTERM",
        "one did not end and was killed",
        "one stopped (signal 9)",
    ]


def test_forced_stop_kills_without_waiting(home: Home) -> None:
    home.supervisor.add(python("one", STUBBORN, stop_signals=((signal.SIGTERM, LIMIT_S),)))
    until(lambda: "ready" in home.log("one"), "the signal handler")
    began_s = time.monotonic()

    home.supervisor.stop(is_forced=lambda: True)

    assert time.monotonic() - began_s < LIMIT_S / 3
    assert home.lines == ["one stopped (signal 9)"]


def test_stop_while_a_restart_is_due_starts_nothing(home: Home) -> None:
    home.supervisor.add(python("one", "raise SystemExit(1)"))
    until(lambda: home.state("one") is ChildState.WAITING, "the end", meanwhile=home.supervisor.watch)

    home.supervisor.stop()
    home.supervisor.watch()

    assert home.state("one") is ChildState.STOPPED


def test_program_that_does_not_exist_is_reported_in_the_log(home: Home) -> None:
    home.supervisor.add(ProcessSpec("one", ("no-such-program",)))

    until(lambda: bool(home.lines), "the end", meanwhile=home.supervisor.watch)

    assert "cannot run no-such-program" in home.log("one")


def test_child_is_the_leader_of_a_session_of_its_own(home: Home) -> None:
    child = home.supervisor.add(python("one", FOREVER))
    assert child.pid is not None

    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid


def test_start_from_another_thread_is_rejected(tmp_path: Path) -> None:
    child = ChildProcess(python("one", FOREVER), tmp_path)
    caught: list[Exception] = []

    def start() -> None:
        try:
            child.start()
        except Broken as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(caught[0])
    assert child.pid is None


def test_large_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading_orchestrator.launcher.child_process.LOG_LIMIT_BYTES", 10)
    child = ChildProcess(python("one", "print('a long line of output')"), tmp_path)

    for _ in range(2):
        child.start()
        assert child.wait(LIMIT_S) == 0

    assert (tmp_path / "one.log").read_text() == (tmp_path / "one.log.1").read_text() == "a long line of output\n"


def test_log_that_grows_without_end_keeps_its_last_part_aside_and_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_orchestrator.launcher.child_process.LOG_LIMIT_BYTES", 1_000)
    written = "".join(f"line {number}\n" for number in range(10_000))
    child = ChildProcess(python("one", f"print({written!r}, end='', flush=True)\n{FOREVER}"), tmp_path)
    child.start()
    until(lambda: child.log_path.stat().st_size == len(written), "all of it is written")

    child.keep_log_short()

    child.terminate(LIMIT_S)
    assert child.log_path.stat().st_size == 0
    assert (tmp_path / "one.log.1").read_text() == written[-1_000:]


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
