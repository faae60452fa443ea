"""Format log lines as text or as one JSON object per line.

A message of the form `name key=value ...` is an event: JSON holds its name and fields separately.

A message is one line: control characters and line separators in it are escaped, so that no text of a strategy or a
message can look like another line. The lines of a traceback are indented.
"""

import json
import logging
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from celery.app import trace
from celery.utils.log import get_multiprocessing_logger

from configs.settings import load_settings
from tasks.engine.log_context import AddContext, LogContext

Fields = Mapping[str, Any]

_EVENT_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")
_FIELD = re.compile(r" ([a-z][a-z0-9_]*)=")
_PLACE = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[sdrgfi]")
_MESSAGE_TYPE = re.compile(r"'\{\"type\":\"([A-Z_]+)\"")
_TOOK = re.compile(r"in ([0-9.e-]+)s: ")

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_OF_CELERY = {
    trace.LOG_RECEIVED: "task_received",
    trace.LOG_SUCCESS: "task_succeeded",
    trace.LOG_FAILURE: "task_failed",
    trace.LOG_INTERNAL_ERROR: "task_failed",
    trace.LOG_IGNORED: "task_ignored",
    trace.LOG_REJECTED: "task_rejected",
    trace.LOG_RETRY: "task_retried",
}


class HumanFormatter(logging.Formatter):
    """Writes `2026-11-22 18:03:00.012 INFO    [XAUUSD fetch XAUUSD:1m:1774360800000] tasks.engine.stage_runner.

    Message`, in UTC.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d %H:%M:%S}.{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the same
        context = context_of(record)
        about = f"[{context.symbol} {context.stage} {context.correlation_id}] " if context else ""
        message = _of_task(record.message) if _is_of_celery(record) else record.message
        return f"{record.asctime} {record.levelname:<8}{escaped(f'{about}{record.name}: {message}')}"

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the same
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  # the same
        return _indented(super().formatStack(stack_info))

    def usesTime(self) -> bool:  # noqa: N802  # the same
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object.

    Keys: time (UTC, ISO 8601), level, process, logger, and event or message; in a symbol's task also symbol, stage and
    correlation_id; then the fields of an event, and error with a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        event = event_of(record)
        context = context_of(record)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": record.processName,
            "logger": record.name,
            **({"event": event[0]} if event else {"message": record.getMessage()}),
            **(context.fields() if context else {}),
        }
        entry |= {key: _plain(value) for key, value in (event[1] if event else {}).items() if key not in entry}
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return escaped(json.dumps(entry, ensure_ascii=False))


def escaped(text: str) -> str:
    """Return a text on one line: control characters, line separators and marks of direction as `\\n` or `\\u2028`."""
    return _UNSAFE.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def _indented(text: str) -> str:
    return "\n".join(f"  {escaped(line)}" for line in text.split("\n"))


def context_of(record: logging.LogRecord) -> LogContext | None:
    """Return the context that `AddContext` has added to a record."""
    context: LogContext | None = getattr(record, "context", None)
    return context


def event_of(record: logging.LogRecord) -> tuple[str, Fields] | None:
    """Return the name and the fields of an event; None for a text message."""
    if isinstance(name := getattr(record, "event", None), str):
        return name, getattr(record, "fields", {})
    if _is_of_celery(record):
        return _OF_CELERY[record.msg], _fields_of_task(record.data)  # type: ignore[attr-defined]  # Celery sets it
    if not isinstance(record.msg, str) or not isinstance(record.args, tuple):
        return None
    return _event_in(record.msg, record.args)


def _is_of_celery(record: logging.LogRecord) -> bool:
    """Return whether Celery logs the receipt or the end of a task."""
    return isinstance(getattr(record, "data", None), Mapping) and record.msg in _OF_CELERY


def _fields_of_task(about: Fields) -> dict[str, Any]:
    """Return Celery's fields of a task, under names with units."""
    fields = {"task": about.get("name"), "task_id": about.get("id")}
    if "runtime" in about:
        fields["runtime_s"] = round(about["runtime"], 4)
    if (returned := about.get("return_value", "None")) != "None":
        fields["returned"] = _of_task(returned).strip("'")
    if "exc" in about:
        fields["reason"] = about["exc"]
    return fields


def _event_in(text: str, args: tuple[Any, ...]) -> tuple[str, Fields] | None:
    """Return the event in a message and its arguments; a value that is one argument keeps its type."""
    parts = _parts(text)
    if parts is None or sum(places for _, _, places in parts[1]) != len(args):
        return None
    fields: dict[str, Any] = {}
    for key, value, places in parts[1]:
        mine, args = args[:places], args[places:]
        fields[key] = mine[0] if places == 1 and _PLACE.fullmatch(value) else value % mine
    return parts[0], fields


@lru_cache(maxsize=512)
def _parts(text: str) -> tuple[str, tuple[tuple[str, str, int], ...]] | None:
    """Split `name key=%s ...` into the name, and key, value and number of placeholders of each field."""
    name, *rest = _FIELD.split(text)
    if not _EVENT_NAME.match(name) or not (rest or "_" in name):
        return None
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return name, tuple((key, value, len(_PLACE.findall(value.replace("%%", "")))) for key, value in pairs)


def _of_task(text: str) -> str:
    """Return the text of a task's end with pipeline messages reduced to their type, and fewer digits."""
    text = _TOOK.sub(lambda found: f"in {float(found[1]):.4f} s: ", text, count=1)
    found = _MESSAGE_TYPE.search(text)
    return text[: found.start()] + found[1] if found else text


def _plain(value: Any) -> Any:
    """Return a JSON-safe value: an exception or a path as its text, NaN as its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


def format_as_set(logger: logging.Logger, **_: object) -> None:
    """Set the configured format on the handlers of a logger that Celery has set up."""
    formatter = JsonFormatter() if load_settings().log_format == "json" else HumanFormatter()
    for handler in [*logger.handlers, *get_multiprocessing_logger().handlers]:
        handler.setFormatter(formatter)
        if not any(isinstance(one, AddContext) for one in handler.filters):
            handler.addFilter(AddContext())
