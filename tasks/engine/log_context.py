"""Log context: the symbol, step and candle that a log line belongs to.

The symbol is an argument of the task, decoded before Celery logs anything; the candle is a header of the message.
Celery's signals set the context around each task, so Celery's own lines about the end of a task, and its traceback,
contain it too. A step sets its candle with `name_candle`.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, TypeVar

from celery import Task, current_app, signals
from msgspec import Struct

from trading.structs import replace

R = TypeVar("R")
T = TypeVar("T")

PREFIX = "tasks."

CANDLE_HEADER = "candle_id"
"""Header of a message between two steps: the correlation id of its newest candle."""


class LogContext(Struct, frozen=True):
    """The context in the log lines of a symbol's task.

    Attributes:
        stage: Name of the task without `tasks.`.
        correlation_id: Id of the newest candle of the step, `XAUUSD:1m:1774360800000`; while that is not known, the id
            of the tick that began the chain, or of the task if there is no chain.
    """

    symbol: str
    stage: str
    correlation_id: str

    def fields(self) -> dict[str, str]:
        return {"symbol": self.symbol, "stage": self.stage, "correlation_id": self.correlation_id}


_current: ContextVar[LogContext | None] = ContextVar("log_context", default=None)
_received: ContextVar[tuple[str, LogContext | None]] = ContextVar("received", default=("", None))
"""Id and context of the task that the worker's main process received last; Celery logs the id without arguments."""


def current() -> LogContext | None:
    """Return the context of the running task; None outside of a task or if it concerns no symbol."""
    return _current.get()


@contextmanager
def log_context(context: LogContext | None) -> Iterator[None]:
    """Set the context of the lines logged inside the block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def about_candle(candle_id: str) -> None:
    """Set the candle of the running step's context."""
    context = _current.get()
    if context is not None:
        _current.set(replace(context, correlation_id=candle_id))


class AddContext(logging.Filter):
    """Adds a `context` to each record; None if it belongs to no symbol."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = _current.get() or _of_celery(record)
        return True


def logged(request_class: type[R]) -> type[R]:
    """Decorate a class of requests: the main process's lines about the end of a task get its context."""
    for method in ("on_timeout", "on_failure", "revoked"):
        setattr(request_class, method, _in_context(getattr(request_class, method)))
    return request_class


def _in_context(method: Callable[..., T]) -> Callable[..., T]:
    @wraps(method)
    def call(request: Any, *args: Any, **kwargs: Any) -> T:
        with log_context(request.log_context):
            return method(request, *args, **kwargs)

    return call


class LoggedTask(Task):  # type: ignore[misc]  # Celery ships no types
    """A task whose log lines in the worker's main process contain its context."""

    Request = "tasks.engine.task_failures:LoggedRequest"


def received(request: Any) -> LogContext | None:
    """Return the context of a request that was just received, and keep it for Celery's next log line."""
    headers = request.request_dict
    context = context_of(
        request.name, request.id, request.root_id, request.args, request.kwargs, headers.get(CANDLE_HEADER)
    )
    _received.set((request.id, context))
    return context


def context_of(
    name: str, task_id: str, root_id: str | None, args: Any, kwargs: Any, candle_id: Any = None
) -> LogContext | None:
    """Return the context of a task by its arguments and headers; None if it concerns no symbol.

    Args:
        args: Unchecked arguments of the message; a foreign client may send any value.
        candle_id: Header `CANDLE_HEADER`; None if the message has none.
    """
    symbol = kwargs.get("symbol") if isinstance(kwargs, Mapping) else None
    if symbol is None and isinstance(args, (list, tuple)) and args and takes_symbol(name):
        symbol = args[0]
    if not isinstance(symbol, str):
        return None
    candle = candle_id if isinstance(candle_id, str) else None
    return LogContext(symbol, name.removeprefix(PREFIX), candle or root_id or task_id)


def name_candle(task: Task, candle_id: str) -> None:
    """Set the candle of a step: in its own log lines, and in a header of the next step's message."""
    about_candle(candle_id)
    if task.request.chain:
        options = task.request.chain[-1].setdefault("options", {})
        options["headers"] = {**options.get("headers", {}), CANDLE_HEADER: candle_id}


@lru_cache(maxsize=256)
def takes_symbol(name: str) -> bool:
    """Return whether the first argument of a task is its symbol."""
    task = current_app.tasks.get(name)
    return task is not None and next(iter(inspect.signature(task.run).parameters), None) == "symbol"


def _of_celery(record: logging.LogRecord) -> LogContext | None:
    """Return the context of the main process's log line about a received task."""
    about: Any = getattr(record, "data", None)
    task_id, context = _received.get()
    return context if isinstance(about, Mapping) and about.get("id") == task_id else None


def _begins(task: Task, task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    request = task.request
    _current.set(context_of(task.name, task_id, request.root_id, args, kwargs, request.get(CANDLE_HEADER)))


def _ends(**_: Any) -> None:
    _current.set(None)


signals.task_prerun.connect(_begins)
signals.task_postrun.connect(_ends)
