"""Which symbol, step and candle a log line belongs to.

The context is set by Celery's own signals around each task, so that Celery's lines about its end, and the traceback of
one that fails, carry it too. A step that has found its candle names it with `about_candle`.
"""

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any, TypeVar

from celery import Task, current_app, signals

from trading.events import correlation_id

R = TypeVar("R")
T = TypeVar("T")

PREFIX = "tasks."
_NAMES_SYMBOL = re.compile(r"'symbol': '([^']+)'")
_FIRST_TEXT = re.compile(r"[(\[]'([^']+)'")
_CANDLES = re.compile(r'"symbol":"([^"]+)","timeframe":"([^"]+)","after_ms":-?\d+,"candles":\[\[')
_CANDLES_END = "]]"


@dataclass(frozen=True, slots=True)
class LogContext:
    """What a line of a symbol's task carries.

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
        about = context_of_texts(request.name, request.id, request.root_id, request.argsrepr, request.kwargsrepr)
        with log_context(about):
            return method(request, *args, **kwargs)

    return call


def context_of(
    name: str, task_id: str, root_id: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> LogContext | None:
    """Return the context of a task by its arguments, None when it concerns no symbol."""
    first = args[0] if args else None
    symbol = kwargs.get("symbol") or (first if takes_symbol(name) else None)
    if not isinstance(symbol, str):
        return None
    candle = candle_in(first) if isinstance(first, str) else None
    return LogContext(symbol, name.removeprefix(PREFIX), candle or root_id or task_id)


def context_of_texts(
    name: str, task_id: str, root_id: str | None, args: str | None, kwargs: str | None
) -> LogContext | None:
    """Return the context of a task by what its message says of its arguments, as text that may be cut off."""
    found = _NAMES_SYMBOL.search(kwargs or "") or (_FIRST_TEXT.match(args or "") if takes_symbol(name) else None)
    if found is None:
        return None
    return LogContext(found[1], name.removeprefix(PREFIX), candle_in(args or "") or root_id or task_id)


def candle_in(message: str) -> str | None:
    """Return the correlation id that a message between two steps names, without reading the whole of it.

    None when it is no such message, or cut off before the end of its candles.
    """
    head = _CANDLES.search(message)
    end = message.find(_CANDLES_END, head.end()) if head else -1
    if head is None or end < 0:
        return None
    row = message[message.rindex("[", 0, end) + 1 : end]
    return correlation_id(head[1], head[2], int(float(row.split(",", 1)[0])))


@lru_cache(maxsize=256)
def takes_symbol(name: str) -> bool:
    """Return whether the first argument of a task is its symbol."""
    task = current_app.tasks.get(name)
    return task is not None and next(iter(inspect.signature(task.run).parameters), None) == "symbol"


def _of_celery(record: logging.LogRecord) -> LogContext | None:
    """Return the context of a line that the worker's main process writes when it has received a task."""
    about: Any = getattr(record, "data", None)
    if not isinstance(about, Mapping) or not isinstance(about.get("name"), str):
        return None
    return context_of_texts(about["name"], str(about.get("id")), None, about.get("args"), about.get("kwargs"))


def _begins(task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], **_: Any) -> None:
    _current.set(context_of(task.name, task_id, task.request.root_id, args, kwargs))


def _ends(**_: Any) -> None:
    _current.set(None)


signals.task_prerun.connect(_begins)
signals.task_postrun.connect(_ends)
