"""pytest-celery's nodes as processes of this machine: the same tests run without a Docker engine.

A node only uses its container, so an object with the container's methods around a process is enough.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import celery
from pytest_celery import CeleryTestWorker


@dataclass
class ProcessContainer:
    """Replaces a node's Docker container.

    Attributes:
        start: Starts the process; returns when it is ready.
        stop: Ends it in peace; returns when it has ended.
        die: Ends it as a crash does.
        celeryconfig: What Celery must know of the node: `url` and `host_url`, for a broker or a result backend.
    """

    name: str
    start: Callable[[], object]
    stop: Callable[[], object]
    die: Callable[[], object]
    log_path: Path
    celeryconfig: dict[str, Any] = field(default_factory=dict)
    status: str = "created"

    @property
    def id(self) -> str:
        """Its host; Docker's id is the host name of a container."""
        return socket.gethostname()

    def run(self) -> None:
        self.start()
        self.status = "running"

    def ready(self) -> bool:
        return self.status == "running"

    def logs(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def kill(self, signal: str = "SIGKILL") -> None:
        """End the process, as a crash does or, with any other signal, in peace."""
        (self.die if signal == "SIGKILL" else self.stop)()
        self.status = "exited"

    def restart(self, timeout: int = 10) -> None:
        """Start it anew, after a stop in peace if it still ran; `timeout` is Docker's and means nothing here."""
        if self.status == "running":
            self.stop()
        self.run()

    def reload(self) -> None:
        """Docker's objects must be told to look again; this one always knows."""

    def teardown(self) -> None:
        if self.status == "running":
            self.kill(signal="SIGTERM")


@dataclass
class WorkerProcessContainer(ProcessContainer):
    """The same for a worker."""

    queue: str = ""

    def worker_name(self) -> str:
        return self.queue

    def worker_queue(self) -> str:
        return self.queue

    def version(self) -> str:
        return str(celery.__version__)

    def log_level(self) -> str:
        return "INFO"


class ProcessWorker(CeleryTestWorker):  # type: ignore[misc]  # pytest-celery ships no types
    """A worker node whose host name may be longer than the twelve letters of a container's."""

    def hostname(self) -> str:
        return f"{self.worker_name}@{self.container.id}"
