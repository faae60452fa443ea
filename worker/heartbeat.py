"""Write each worker's heartbeat: the event loop makes it, and a thread writes it to Redis.

A slow or unavailable Redis therefore never blocks the loop, and a hung loop makes no newer heartbeat.
"""

import logging
import os
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.worker.state import active_requests

from adapters.clock import now_ms
from adapters.redis.client import connect_briefly
from adapters.redis.heartbeats import BEAT_S, RunningStep, WorkerBeat, forget_heartbeat, write_heartbeat
from configs.settings import load_settings, resolve_redis_url
from tasks.engine.task_failures import symbol_of
from trading.errors import Transient

logger = logging.getLogger(__name__)

END_S = 3.0
"""Time limit of the last write: a second to connect, one for the response, and a margin."""


class HeartbeatWriter:
    """Writes the newest heartbeat of a node in its own thread; older pending ones are skipped."""

    def __init__(self, url: str, namespace: str, node: str) -> None:
        self._client = connect_briefly(url)
        self._namespace = namespace
        self._node = node
        self._beats: queue.SimpleQueue[WorkerBeat | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.trouble = ""
        """Error of the last write; the thread does not log it, because a fork may happen at any moment."""

    def start(self) -> None:
        self._thread.start()

    def write(self, beat: WorkerBeat) -> None:
        self._beats.put(beat)

    def stop(self) -> None:
        """Remove the heartbeat and end the thread."""
        self._beats.put(None)
        self._thread.join(END_S)

    def _run(self) -> None:
        while (beat := self._newest()) is not None:
            try:
                write_heartbeat(self._client, self._namespace, beat)
                self.trouble = ""
            except Transient as trouble:
                self.trouble = str(trouble)
        try:
            forget_heartbeat(self._client, self._namespace, self._node)
        except Transient as trouble:
            self.trouble = str(trouble)
        self._client.close()

    def _newest(self) -> WorkerBeat | None:
        beat = self._beats.get()
        while beat is not None and not self._beats.empty():
            beat = self._beats.get()
        return beat


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Writes a heartbeat from the event loop's timer and removes it at a clean stop."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._timers: list[Any] = []
        self._writer: HeartbeatWriter | None = None
        self._logged = ""

    def start(self, worker: Any) -> None:
        settings = load_settings()
        self._is_supervised = settings.supervised
        self._started_ms = now_ms()
        self._folder = str(Path.cwd())
        self._writer = HeartbeatWriter(resolve_redis_url(settings), settings.namespace, worker.hostname)
        self._writer.start()
        self._timers = [
            worker.timer.call_after(0, self._beat, (worker,)),
            worker.timer.call_repeatedly(BEAT_S, self._beat, (worker,)),
        ]

    def stop(self, worker: Any) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._writer is not None:
            self._writer.stop()

    terminate = stop

    def _beat(self, worker: Any) -> None:
        assert self._writer is not None
        self._writer.write(
            WorkerBeat(
                node=worker.hostname,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=tuple(sorted(worker.app.amqp.queues.consume_from)),
                at_ms=now_ms(),
                started_ms=self._started_ms,
                is_supervised=self._is_supervised,
                running=tuple(running_step(request) for request in tuple(active_requests)),
                folder=self._folder,
            )
        )
        if (trouble := self._writer.trouble) != self._logged:
            self._logged = trouble
            logger.warning("heartbeat_%s", f"unwritten reason={trouble}" if trouble else "written again")


def running_step(request: Any) -> RunningStep:
    """Return the heartbeat's entry of a request that the pool is running."""
    name = request.task.name
    return RunningStep(request.id, name, symbol_of(name, request.args, request.kwargs), int(request.time_start * 1000))
