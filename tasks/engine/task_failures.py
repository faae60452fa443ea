"""Record a step that takes too long, or whose process dies.

At the soft limit the step itself gets an exception. At the hard limit, and when the process dies, only the worker's
main process can record it.
"""

import logging
from functools import lru_cache
from types import FrameType
from typing import Any

import redis
from billiard import exceptions
from billiard.einfo import ExceptionWithTraceback
from celery import current_task
from celery.worker import state
from celery.worker.request import Request

from adapters.clock import now_ms
from adapters.redis.client import connect_briefly
from adapters.redis.last_errors import record_error
from adapters.redis.task_failures import ERROR_KIND, TaskFailure, TaskFailureKind, record_task_failure
from configs.settings import Settings, load_settings, resolve_redis_url
from tasks.engine.log_context import logged, received
from tasks.engine.stages import STEPS
from trading.errors import Interrupted
from trading.services.status import LastError

logger = logging.getLogger(__name__)

RECORD_TIMEOUT_S = 0.5
"""Time limit of a write; a longer wait for Redis would block the main process and its whole pool."""

_Gone = (exceptions.WorkerLostError, SystemExit, KeyboardInterrupt)
"""Exceptions that a request gets when its process has died."""


class SoftTimeLimitExceeded(
    exceptions.SoftTimeLimitExceeded,  # type: ignore[misc]  # billiard ships no types
    Interrupted,
):
    """A task still ran after its soft limit; names the task, unlike Celery's own exception."""

    def __init__(self, name: str, symbol: str, limit_s: float) -> None:
        super().__init__(name, symbol, limit_s)
        self.name = name
        self.symbol = symbol
        self.limit_s = limit_s

    def __str__(self) -> str:
        owner = f" of {self.symbol}" if self.symbol else ""
        return f"{self.name}{owner} still ran after {self.limit_s:g} s"


def raise_soft_limit(_number: int, _frame: FrameType | None) -> None:
    """Handle the soft limit's signal in a pool process; a signal after the end of the task is ignored."""
    if current_task:
        request = current_task.request
        _, soft_s = request.timelimit or (None, None)
        limit_s = soft_s or current_task.soft_time_limit or current_task.app.conf.task_soft_time_limit
        raise SoftTimeLimitExceeded(
            current_task.name, symbol_of(current_task.name, request.args, request.kwargs), limit_s
        )


@logged
class LoggedRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Adds a task's log context to the main process's lines about it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log_context = received(self)


@logged
class StepRequest(LoggedRequest):
    """Records failures that a step cannot report itself. Errors while recording are logged and never reach Celery.

    Time limits, start time and name in the message are ignored: the table of the steps has them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.task.name
        self.time_limits = (None, None)
        self._eta = None
        self._request_dict.update(timelimit=[None, None], eta=None, shadow=None)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if not soft and not state.should_terminate:
            text = f"TimeLimitExceeded: {self.task.name} still ran after {timeout:g} s; its process was killed"
            self._record(TaskFailureKind.HUNG, text)
        super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        if (text := self._loss(exc_info)) and not state.should_terminate:
            self._record(TaskFailureKind.LOST, text)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _loss(self, exc_info: Any) -> str:
        """Return how the process was lost; empty if it was not, or if Celery ended the step because Redis was lost."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if self._already_cancelled:
            return ""
        if isinstance(error, exceptions.Terminated):
            return f"Terminated: the process of {self.task.name} was killed on request (signal {error})"
        if isinstance(error, _Gone):
            how = error if isinstance(error, exceptions.WorkerLostError) else repr(error)
            return f"WorkerLostError: the process of {self.task.name} died: {how}"
        return ""

    def _record(self, kind: TaskFailureKind, text: str) -> None:
        try:
            symbol = symbol_of(self.task.name, self.args, self.kwargs)
            service = STEPS[self.task.name].service
            client, settings = _redis()
            failure = TaskFailure(kind, service, self.task.name, now_ms(), text, self.id)
            record_task_failure(client, settings.namespace, symbol, failure)
            last = LastError(service=service, text=text, kind=ERROR_KIND[kind], at_ms=failure.at_ms)
            record_error(client, settings.namespace, symbol, last, kept_s=settings.errors_kept_s)
        except Exception as error:  # noqa: BLE001  # Celery must continue with the message after any error
            logger.warning("task_failure_unrecorded task_id=%s text=%s reason=%s", self.id, text, error)


def symbol_of(name: str, args: Any, kwargs: Any) -> str:
    """Return the symbol of a step by the router's rule; empty for every other task."""
    if name not in STEPS:
        return ""
    return str((kwargs or {}).get("symbol") or (args or [""])[0])


@lru_cache(maxsize=1)
def _redis() -> tuple[redis.Redis, Settings]:
    settings = load_settings()
    return connect_briefly(resolve_redis_url(settings), timeout_s=RECORD_TIMEOUT_S), settings
