"""Worker's side of its watchdog: start it, and feed it while the event loop runs."""

import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery import bootsteps

from configs.settings import Settings, load_settings
from tasks.engine.celery_patches import call_while_connecting
from tasks.engine.routing import CONTROL_QUEUE
from worker.watchdog import die_with_parent, watchdog

logger = logging.getLogger(__name__)

FEED_S = 1.0
STOP_PATIENCE_S = 60.0
"""A stop takes at most the hard limit of the running step plus the pool's shutdown; a longer one hangs."""

NEXT_START_S = 60.0
"""Seconds between two starts of a watchdog that keeps dying; its worker continues."""


class Watchdog:
    """A process that kills this worker when it is not fed."""

    def __init__(self, patience_s: float, final_line: str) -> None:
        self._patience_s = patience_s
        self._final_line = final_line
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = -math.inf

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the watchdog; if that fails, log it and run without one."""
        self._started_s = time.monotonic()
        python = (sys.executable, "-I", "-S")
        program = (*python, str(Path(watchdog.__file__)), str(os.getpid()), self._final_line)
        argv = (*python, str(Path(die_with_parent.__file__)), str(os.getpid()), *program)
        try:
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        except OSError as error:
            logger.error("watchdog_not_started reason=%s", error)
            return
        os.set_blocking(self._pipe(), False)
        self.feed()

    def feed(self, patience_s: float | None = None) -> None:
        """Feed the watchdog, which then allows `patience_s` seconds of silence; the default when omitted."""
        if self._process is None:
            return
        try:
            os.write(self._pipe(), b"%g\n" % (patience_s or self._patience_s))
        except BlockingIOError:  # the watchdog itself hangs and has enough unread input
            pass
        except BrokenPipeError:
            self._replace()

    def close_pipe(self) -> None:
        """Close the pipe in a pool process, where it would keep the watchdog alive after the worker's end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _replace(self) -> None:
        if time.monotonic() - self._started_s < NEXT_START_S:
            return
        assert self._process is not None
        logger.error("watchdog_ended exit_code=%s, starting another one", self._process.poll())
        self.close_pipe()
        self._process = None
        self.start()

    def _pipe(self) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin.fileno()


class WatchdogStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Runs a watchdog of this worker's event loop, from the start of the pool to the end of the process."""

    requires = ("celery.worker.components:Pool",)
    watchdog: Watchdog | None = None

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        settings = load_settings()
        if not settings.worker_stuck_after_s:
            return
        if os.getpid() == 1:  # signals from its own container do not reach it, and its group is every process
            logger.warning("watchdog_not_started reason=the worker is process 1 of its container: run it with --init")
            return
        queues = tuple(worker.app.amqp.queues.consume_from)
        WatchdogStep.watchdog = Watchdog(settings.worker_stuck_after_s, final_line(settings, worker.hostname, queues))
        WatchdogStep.watchdog.start()
        self._timer = worker.timer.call_repeatedly(FEED_S, WatchdogStep.watchdog.feed)
        call_while_connecting(WatchdogStep.watchdog.feed)

    def stop(self, worker: Any) -> None:
        """Stop feeding: from here on Celery's timers run in their own thread, even if the loop hangs."""
        if self._timer is not None:
            self._timer.cancel()
        if WatchdogStep.watchdog is not None:
            WatchdogStep.watchdog.feed(max(STOP_PATIENCE_S, load_settings().worker_stuck_after_s))

    terminate = stop


def close_pipe_in_pool_process(**_: Any) -> None:
    """Close the watchdog's pipe in a pool process that was just forked."""
    if WatchdogStep.watchdog is not None:
        WatchdogStep.watchdog.close_pipe()


def final_line(settings: Settings, node: str, queues: Sequence[str]) -> str:
    """Return the line that the watchdog writes before it kills the worker; it fills in time and silence."""
    next_step = "its supervisor restarts it"
    if not settings.supervised:
        own = ",".join(queue for queue in queues if queue != CONTROL_QUEUE) or CONTROL_QUEUE
        next_step = f"restart it: celery -A tasks worker -Q {own}"
    text = (
        f"worker_stuck node={node}: its event loop has not run for {watchdog.HOW_LONG} s, so process {os.getpid()} "
        f"and its pool are killed; {next_step}"
    )
    if settings.log_format == "json":
        entry = {"time": watchdog.WHEN, "level": "CRITICAL", "process": "Watchdog", "logger": __name__, "message": text}
        return json.dumps(entry, ensure_ascii=False)
    return f"{watchdog.WHEN} CRITICAL Watchdog {__name__}: {text}"
