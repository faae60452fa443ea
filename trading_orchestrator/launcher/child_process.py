"""One child process: its own session, its output in a file, and no way to outlive us."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trading.errors import Broken
from worker.watchdog import die_with_parent

LOG_LIMIT_BYTES = 10_000_000
"""A log larger than this is put aside as `<name>.log.1`."""

WAIT_PAUSE_S = 0.01

TERM_ONLY = ((signal.SIGTERM, 10.0),)
CELERY_WORKER = ((signal.SIGTERM, 20.0), (signal.SIGQUIT, 10.0))
"""A prefork worker ends warm on SIGTERM (its tasks finish) and cold on SIGQUIT (they are given back)."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run, and how to end it.

    Attributes:
        name: Also names the log file.
        env: Added to our own environment. Secrets belong here: every user of the machine can read `argv`.
        stop_rank: Children of a lower rank are stopped first, those of one rank together.
        stop_signals: (signal, seconds to wait for it), in this order; SIGKILL for the whole group comes after the last.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    stop_rank: int = 0
    stop_signals: Sequence[tuple[signal.Signals, float]] = TERM_ONLY


class ChildProcess:
    """A process that `spec` describes; it can be started again after it ended."""

    def __init__(self, spec: ProcessSpec, log_dir: Path) -> None:
        self.spec = spec
        self.log_path = log_dir / f"{spec.name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, also of its group and session; None before the start and after `ended` told the end."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Start it.

        Raises:
            Broken: It still runs, or the caller is not the main thread, with whose end the kernel would kill the child.
        """
        if threading.current_thread() is not threading.main_thread():
            raise Broken(
                f"{self.spec.name} must be started from the main thread: it dies with the thread that starts it"
            )
        if self._popen is not None:
            raise Broken(f"{self.spec.name} runs already, as process {self._popen.pid}")
        self._set_log_aside()
        argv = [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid()), *self.spec.argv]
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                argv,
                env={**os.environ, **self.spec.env},
                cwd=self.spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> int | None:
        """Return the exit code, once, after the process ended; what it left behind in its group is killed then.

        Returns:
            None while it runs; negative for the signal that ended it.
        """
        if self._popen is None or not _has_ended(self._popen):
            return None
        self._kill_group(self._popen.pid)  # before the wait below frees the id for someone else
        exit_code = self._popen.wait()
        self._popen = None
        return exit_code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children: a worker tells its own what to do."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill the whole group."""
        if self._popen is not None:
            self._kill_group(self._popen.pid)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end and return the exit code, None when it still runs after `timeout_s`."""
        if self._popen is None:
            return None
        deadline_s = time.monotonic() + timeout_s
        while (exit_code := self.ended()) is None and time.monotonic() < deadline_s:
            time.sleep(WAIT_PAUSE_S)
        return exit_code

    def terminate(self, timeout_s: float) -> int | None:
        """Ask it to end, kill it when it has not done so after `timeout_s`, and return the exit code."""
        self.send(signal.SIGTERM)
        exit_code = self.wait(timeout_s)
        if self._popen is None:
            return exit_code
        self.kill()
        return self.wait(timeout_s)

    def log_tail(self, lines: int = 5) -> str:
        """Return the last lines of its output."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 4_000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def keep_log_short(self) -> None:
        """Put the end of a log that has grown too large aside while its process writes on; the rest of it is lost.

        Never all of it: a process may write faster than we copy.
        """
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            with self.log_path.open("rb") as log:
                log.seek(-LOG_LIMIT_BYTES, os.SEEK_END)
                self._log_aside.write_bytes(log.read(LOG_LIMIT_BYTES))
            os.truncate(self.log_path, 0)  # it is open for appending, so the next line goes to the beginning

    @property
    def _log_aside(self) -> Path:
        return self.log_path.with_name(f"{self.log_path.name}.1")

    def _set_log_aside(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self._log_aside)

    @staticmethod
    def _kill_group(group: int) -> None:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError) as error:
            # macOS answers "not permitted" for a group of which only a zombie is left
            if isinstance(error, PermissionError) and sys.platform == "linux":
                raise


def _has_ended(popen: "subprocess.Popen[bytes]") -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return popen.poll() is not None
    if popen.returncode is not None:
        return True
    return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
