"""Hooks around every write and every call of the venue. They exist only in processes that a chaos run starts.

A place is named `<stage>.<object>.<method>.<before|in|after>`; the stage is the running Celery task, or `beat`.
"""

import functools
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from celery import signals
from celery.worker.request import Request

from tests.chaos.kill_points.places import GATE, hooked_methods, stage_of
from tests.chaos.kill_points.switchboard import Switchboard

SOCKET_PLACE = "director"
"""File with the path of the director's socket, which is elsewhere because such a path is limited to 107 bytes."""
BOARD_NAME = "switchboard"


class Hooks:
    """The place of this process, and its connection to the director."""

    def __init__(self, folder: Path) -> None:
        self._socket_path = (folder / SOCKET_PLACE).read_text(encoding="utf-8")
        self._board = Switchboard.open(folder / BOARD_NAME)
        self._line: tuple[int, socket.socket] | None = None
        self._names: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._reported: set[str] = set()
        self._main_pid = os.getpid()
        self.role = "?"
        self.stage = "start"
        self.symbol: str | None = None
        self.inside = "database.open"

    def reach(self, where: str, *, stage: str | None = None, symbol: str | None = None) -> None:
        """Note that the code is at a place, and wait there when the director is interested in it."""
        key = (stage or self.stage, where)
        name, encoded = self._names.get(key) or self._named(key)
        is_waiting = self._board.is_armed(encoded) or (name == GATE and self._board.is_gate_closed)
        if is_waiting or name not in self._reported:
            self._reported.add(name)
            self._wait_for_director(name, symbol or self.symbol)

    def wrap(self, owner: type, method: str, name: str) -> None:
        """Put the places before and after a method; what it commits is inside it."""
        plain = getattr(owner, method)

        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"{name}.before")
            outer, self.inside = self.inside, name
            try:
                return plain(*args, **kwargs)
            finally:
                self.inside = outer
                self.reach(f"{name}.after")

        setattr(owner, method, call)

    def wrap_still(self, owner: type) -> None:
        """Stop the market of a played source while the director requests it: it shows the cursor again."""
        plain = owner.newest  # type: ignore[attr-defined]  # of PlayedSource

        @functools.wraps(plain)
        def newest(source: Any, count: int, *, after_ms: int | None) -> Any:
            is_still = after_ms is not None and self._board.is_market_still
            step_ms = source._grid.length_ms
            return plain(source, count, after_ms=after_ms - step_ms if is_still and after_ms else after_ms)

        owner.newest = newest  # type: ignore[attr-defined]  # the same

    def _named(self, key: tuple[str, str]) -> tuple[str, bytes]:
        name = ".".join(key)
        self._names[key] = name, Switchboard.encoded(name)
        return self._names[key]

    def _wait_for_director(self, place: str, symbol: str | None) -> None:
        """Report to the director and wait for its reply; without a director continue at once."""
        pid = os.getpid()
        hit = {
            "place": place,
            "symbol": symbol,
            "role": self.role,
            "pid": pid,
            "main_pid": self._main_pid,
        }
        try:
            line = self._connected(pid)
            line.sendall(json.dumps(hit).encode() + b"\n")
            if not line.recv(16):
                self._hang_up()
        except OSError:
            self._hang_up()
        except BaseException:
            self._hang_up()  # a time limit of Celery interrupts the wait: its answer must not meet the next question
            raise

    def _connected(self, pid: int) -> socket.socket:
        if self._line is None or self._line[0] != pid:  # a forked child needs a line of its own
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._line = pid, line
            line.connect(self._socket_path)
        return self._line[1]

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line[1].close()
        self._line = None


def install(folder: Path) -> Hooks:
    """Hook all that is listed in `places`, at class level, and Celery's own signals."""
    hooks = Hooks(folder)
    for owner, methods in hooked_methods().items():
        for method, name in methods.items():
            if name == "source.newest":
                hooks.wrap_still(owner)
            hooks.wrap(owner, method, name)
    sa.event.listen(sa.engine.Engine, "commit", lambda _connection: hooks.reach(f"{hooks.inside}.in"))
    _hook_tasks(hooks)
    _hook_messages(hooks)
    return hooks


def _hook_tasks(hooks: Hooks) -> None:
    def begins(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], **_: Any) -> None:
        hooks.stage = stage_of(task.name)
        hooks.symbol = _symbol_of(args, kwargs)
        hooks.reach("task.run.before")

    def ends(**_: Any) -> None:
        hooks.reach("task.run.after")
        hooks.stage, hooks.symbol = "idle", None

    def child_began(**_: Any) -> None:
        hooks.stage = "idle"

    def named(instance: Any, **_: Any) -> None:
        hooks.role = str(instance.hostname).split("@", maxsplit=1)[0]

    def beat_began(**_: Any) -> None:
        hooks.role = hooks.stage = "beat"

    _connect(signals.task_prerun, begins)
    _connect(signals.task_postrun, ends)
    _connect(signals.worker_process_init, child_began)
    _connect(signals.celeryd_after_setup, named)
    _connect(signals.beat_init, beat_began)


def _hook_messages(hooks: Hooks) -> None:
    _connect(signals.before_task_publish, lambda **_: hooks.reach("message.publish.before"))
    _connect(signals.after_task_publish, lambda **_: hooks.reach("message.publish.after"))
    plain = Request.acknowledge

    @functools.wraps(plain)
    def acknowledge(request: Any) -> None:
        at: dict[str, Any] = {"stage": stage_of(request.name), "symbol": _symbol_of(request.args, request.kwargs)}
        hooks.reach("message.acknowledge.before", **at)
        plain(request)
        hooks.reach("message.acknowledge.after", **at)

    Request.acknowledge = acknowledge


def _connect(signal: Any, receiver: Callable[..., None]) -> None:
    signal.connect(receiver, weak=False)


def _symbol_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    found = kwargs.get("symbol") or (args[0] if args else None)
    return found if isinstance(found, str) else None
