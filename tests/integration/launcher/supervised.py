"""Children of a supervisor, the supervisor that a test runs them with, and a wait with a limit."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from trading_orchestrator.launcher.child_process import ProcessSpec
from trading_orchestrator.launcher.supervisor import ChildState, RestartPolicy, Supervisor

LIMIT_S = 90.0
QUICK = RestartPolicy(first_delay_s=0.05, max_delay_s=0.4, good_life_s=60.0)

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
