"""Which symbol, step and candle a log line belongs to.

The symbol is an argument of the task, which Celery has decoded by the time it logs anything; the candle is a header of
the message. Celery's own signals set the context around each task, so that Celery's lines about its end, and the
traceback of one that fails, carry it too. A step that has found its candle names it with `name_candle`.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeVar

from celery import Task, current_app, signals

from trading.structs import replace

R = TypeVar("R")
T = TypeVar("T")

PREFIX = "tasks."

CANDLE_HEADER = "candle_id"
"""Header of a message between two steps: the correlation id of its newest candle."""


@dataclass(frozen=True, slots=True)
class LogContext:
    """The context in the log lines of a symbol's task.

    Attributes:
        stage: Name of the task without `tasks.`.
        correlation_id: Of the newest candle that the step is about, `XAUUSD:1m:1774360800000`; while that is not known,
            the id of the tick that began the chain, or of the task where there is no chain.
    """

    symbol: str
    stage: str
    correlation_id: str

    def fields(self) -> dict[str, str]:
        return {"symbol": self.symbol, "stage": self.stage, "correlation_id": self.correlation_id}


_current: ContextVar[LogContext | None] = ContextVar("log_context", default=None)
_received: ContextVar[tuple[str, LogContext | None]] = ContextVar("received", default=("", None))
"""Id and context of the task that the worker's main process received last: Celery logs the id, not the arguments."""


def current() -> LogContext | None:
    """Return the context of the task that runs here, None outside of one or where it concerns no symbol."""
    return _current.get()


@contextmanager
def log_context(context: LogContext | None) -> Iterator[None]:
    """Have the lines written meanwhile carry a context."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def about_candle(candle_id: str) -> None:
    """Name the candle that the running step has turned out to be about."""
    context = _current.get()
    if context is not None:
        _current.set(replace(context, correlation_id=candle_id))


class AddContext(logging.Filter):
    """Gives each record a `context`, None where it belongs to no symbol."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = _current.get() or _of_celery(record)
        return True


def logged(request_class: type[R]) -> type[R]:
    """Have what a worker's main process logs about the end of a task carry its context; for a class of requests."""
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
    """A task whose lines in the worker's main process carry its context."""

    Request = "tasks.engine.task_failures:LoggedRequest"


def received(request: Any) -> LogContext | None:
    """Return the context of a request that was just received, and keep it for the line that Celery logs next."""
    headers = request.request_dict
    context = context_of(
        request.name, request.id, request.root_id, request.args, request.kwargs, headers.get(CANDLE_HEADER)
    )
    _received.set((request.id, context))
    return context


def context_of(
    name: str, task_id: str, root_id: str | None, args: Any, kwargs: Any, candle_id: Any = None
) -> LogContext | None:
    """Return the context of a task by its arguments and headers, None when it concerns no symbol.

    Args:
        args: As the message has them: a message of a foreign client may hold anything.
        candle_id: The header `CANDLE_HEADER`; None where the message has none.
    """
    symbol = kwargs.get("symbol") if isinstance(kwargs, Mapping) else None
    if symbol is None and isinstance(args, (list, tuple)) and args and takes_symbol(name):
        symbol = args[0]
    if not isinstance(symbol, str):
        return None
    candle = candle_id if isinstance(candle_id, str) else None
    return LogContext(symbol, name.removeprefix(PREFIX), candle or root_id or task_id)


def name_candle(task: Task, candle_id: str) -> None:
    """Name the candle that a step is about: in its own lines, and in a header of the next step's message."""
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
    """Return the context of the line that the worker's main process logs about a task that it has received."""
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
