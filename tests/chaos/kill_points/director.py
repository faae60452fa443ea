"""The director: receives each hit on an armed place, and kills the process while it is there."""

import json
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.kill_points.hooks import BOARD_NAME, SOCKET_PLACE
from tests.chaos.kill_points.places import GATE
from tests.chaos.kill_points.switchboard import Switchboard

_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Hit:
    """A process that has reached a place.

    Attributes:
        role: The worker's node name without its host, such as `XAUUSD` or `control`, or `beat`.
        main_pid: Of the worker; the same as `pid` where the worker itself, or beat, has come there.
    """

    place: str
    symbol: str | None
    role: str
    pid: int
    main_pid: int


@dataclass
class Shot:
    """One planned act: at the `nth` hit of `place`, `fire` is called while the code waits there.

    Attributes:
        following: Armed in the same moment, for what can only be reached after this.
    """

    place: str
    nth: int
    fire: Callable[[Hit], None]
    following: "Shot | None" = None
    hit: Hit | None = None
    fired_s: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)


class Director:
    """Serves the hooks of one system, from a thread for each process."""

    def __init__(self, folder: Path) -> None:
        self.board = Switchboard.make(folder / BOARD_NAME)
        self.seen: set[str] = set()
        self._shot: Shot | None = None
        self._lock = threading.Lock()
        self._at_gate: dict[int, str] = {}
        self._socket_folder = tempfile.TemporaryDirectory(prefix="chaos-")
        socket_path = f"{self._socket_folder.name}/socket"
        (folder / SOCKET_PLACE).write_text(socket_path, encoding="utf-8")
        self._server = _Server(socket_path, _Line)
        self._server.director = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def arm(self, shot: Shot) -> None:
        """Plan a kill; it takes the place of the one before."""
        with self._lock:
            self._shot = shot
            self.board.arm([shot.place])

    def disarm(self) -> None:
        with self._lock:
            self._shot = None
            self.board.arm([])

    def close_gate(self) -> None:
        """Have each symbol wait before its next candle."""
        self.board.is_gate_closed = True

    def open_gate(self) -> None:
        self.board.is_gate_closed = False

    def waiting_at_gate(self) -> set[str]:
        """Return the symbols that wait now."""
        with self._lock:
            return set(self._at_gate.values())

    def stop(self) -> None:
        self.board.is_gate_closed = False
        self.disarm()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._socket_folder.cleanup()

    def answer(self, hit: Hit, line: socket.socket) -> None:
        """Return when the process may continue."""
        with self._lock:
            self.seen.add(hit.place)
            shot = self._due(hit)
            if shot is not None:
                shot.fired_s = time.monotonic()
                shot.fire(hit)
                shot.hit = hit
                shot.done.set()
        if hit.place == GATE and hit.symbol is not None:
            self._wait_at_gate(hit, hit.symbol, line)

    def _due(self, hit: Hit) -> Shot | None:
        shot = self._shot
        if shot is None or hit.place != shot.place:
            return None
        shot.nth -= 1
        if shot.nth > 0:
            return None
        self._shot = shot.following
        self.board.arm([shot.following.place] if shot.following else [])
        return shot

    def _wait_at_gate(self, hit: Hit, symbol: str, line: socket.socket) -> None:
        while self.board.is_gate_closed and _is_there(line):
            with self._lock:
                self._at_gate[hit.pid] = symbol
            time.sleep(_LOOK_S)
        with self._lock:
            self._at_gate.pop(hit.pid, None)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    director: Director


class _Line(socketserver.StreamRequestHandler):
    """One process; it ends with the process."""

    server: _Server

    def handle(self) -> None:
        try:
            while text := self.rfile.readline():
                self.server.director.answer(Hit(**json.loads(text)), self.connection)
                self.connection.sendall(b"go\n")
        except OSError:
            return  # it was killed while it waited


def _is_there(line: socket.socket) -> bool:
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
