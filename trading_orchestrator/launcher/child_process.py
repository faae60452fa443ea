"""Run one child process in its own session, log its output to a file, and ensure that it dies with its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from trading.errors import Broken
from trading_orchestrator.launcher.var_files import open_private, write_private
from worker.watchdog import die_with_parent

LOG_LIMIT_BYTES = 10_000_000
"""A log larger than this is rotated to `<name>.log.1`."""

WAIT_PAUSE_S = 0.01
TAIL_BYTES = 4_000
LINE_CHARACTERS = 300

TERM_ONLY = ((signal.SIGTERM, 10.0),)
CELERY_WORKER = ((signal.SIGTERM, 20.0), (signal.SIGQUIT, 10.0))
"""A prefork worker shuts down warm on SIGTERM (its tasks finish) and cold on SIGQUIT (they are requeued)."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Command line, environment and stop order of a process.

    Attributes:
        name: Process name, also used for the log file.
        env: Added to the environment of this process. Pass secrets here: every user of the machine can read `argv`.
        stop_rank: Children of a lower rank are stopped first, those of the same rank together.
        stop_signals: (signal, seconds to wait), in order; after the last one the group receives SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    stop_rank: int = 0
    stop_signals: Sequence[tuple[signal.Signals, float]] = TERM_ONLY


class ChildProcess:
    """A process started from `spec`; it can be restarted after it has ended."""

    def __init__(self, spec: ProcessSpec, log_dir: Path) -> None:
        self.spec = spec
        self.log_path = log_dir / f"{spec.name}.log"
        self._popen: subprocess.Popen[bytes] | None = None
        self._began_at = 0

    @property
    def pid(self) -> int | None:
        """Process id, also of its group and session; None before the start and after `ended` returned an exit code."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Start the process.

        Raises:
            Broken: It is already running, the caller is not the main thread, whose end would kill the child, or the
                log is a link.
        """
        if threading.current_thread() is not threading.main_thread():
            raise Broken(
                f"{self.spec.name} must be started from the main thread: it dies with the thread that starts it"
            )
        if self._popen is not None:
            raise Broken(f"{self.spec.name} is already running as process {self._popen.pid}")
        self._set_log_aside()
        argv = [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid()), *self.spec.argv]
        with os.fdopen(open_private(self.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as log:
            self._began_at = log.tell()
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
        """Return the exit code once, after the process has ended, and kill the remaining processes of its group.

        Returns:
            None while it runs; a negative value for the signal that ended it.
        """
        if self._popen is None or not _has_ended(self._popen):
            return None
        self._kill_group(self._popen.pid)  # before the wait below frees the id for reuse
        exit_code = self._popen.wait()
        self._popen = None
        return exit_code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children: a worker controls its own."""
        if self._popen is not None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill the whole process group."""
        if self._popen is not None:
            self._kill_group(self._popen.pid)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end and return the exit code; None when the process still runs after `timeout_s`."""
        if self._popen is None:
            return None
        deadline_s = time.monotonic() + timeout_s
        while (exit_code := self.ended()) is None and time.monotonic() < deadline_s:
            time.sleep(WAIT_PAUSE_S)
        return exit_code

    def terminate(self, timeout_s: float) -> int | None:
        """Terminate the process, kill it after `timeout_s`, and return the exit code."""
        self.send(signal.SIGTERM)
        exit_code = self.wait(timeout_s)
        if self._popen is None:
            return exit_code
        self.kill()
        return self.wait(timeout_s)

    def log_tail(self, lines: int = 5) -> str:
        """Return the last lines of the output."""
        with self._opened_log() as log:
            log.seek(max(0, _size(log) - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def last_line(self) -> str:
        """Return the last line that the process has written since its start, without control characters.

        Empty if the log is gone, or is no plain file any more: the process is restarted all the same.
        """
        try:
            with self._opened_log() as log:
                size = _size(log)
                began_at = self._began_at if size >= self._began_at else 0  # the log was rotated
                log.seek(max(began_at, size - TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except (OSError, Broken):
            return ""
        printable = ("".join(letter for letter in line if letter.isprintable()).strip() for line in reversed(lines))
        return next((line[:LINE_CHARACTERS] for line in printable if line), "")

    def keep_log_short(self) -> None:
        """Rotate a log that has grown too large while its process keeps writing; keep only its end.

        The copy is bounded, because a process may write faster than the log can be copied.
        """
        if not self._is_plain_log() or self.log_path.stat().st_size <= LOG_LIMIT_BYTES:
            return
        with os.fdopen(open_private(self.log_path, os.O_RDWR), "rb+") as log:
            log.seek(-LOG_LIMIT_BYTES, os.SEEK_END)
            write_private(self._log_aside, log.read(LOG_LIMIT_BYTES))
            log.truncate(0)  # the process appends, so its next line goes to the start

    def _is_plain_log(self) -> bool:
        """Return whether the log exists and is no link: a link is rejected at the next start, not while it runs."""
        return self.log_path.is_file() and not self.log_path.is_symlink() and self.log_path.stat().st_nlink == 1

    def _opened_log(self) -> BinaryIO:
        return os.fdopen(open_private(self.log_path, os.O_RDONLY), "rb")

    @property
    def _log_aside(self) -> Path:
        return self.log_path.with_name(f"{self.log_path.name}.1")

    def _set_log_aside(self) -> None:
        self.log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self._log_aside)

    @staticmethod
    def _kill_group(group: int) -> None:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError) as error:
            # macOS returns "not permitted" for a group that holds only a zombie
            if isinstance(error, PermissionError) and sys.platform == "linux":
                raise


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _has_ended(popen: "subprocess.Popen[bytes]") -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return popen.poll() is not None
    if popen.returncode is not None:
        return True
    return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
