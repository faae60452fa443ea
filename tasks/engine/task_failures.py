"""Record a step that takes too long, or whose process dies.

At the soft limit the step itself gets an exception that says so. At the hard limit, and when the process dies, only the
worker's main process is left to record it.
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
from adapters.redis.task_failures import TaskFailure, TaskFailureKind, record_task_failure
from configs.settings import load_settings, resolve_redis_url
from tasks.engine.log_context import logged, received
from tasks.engine.stages import STEPS
from trading.errors import Interrupted

logger = logging.getLogger(__name__)

NOTE_TIMEOUT_S = 0.5
"""The main process serves its whole pool: it waits no longer than this for a Redis that does not answer."""

_Gone = (exceptions.WorkerLostError, SystemExit, KeyboardInterrupt)
"""What a request is told when the process that ran it has gone."""


class SoftTimeLimitExceeded(
    exceptions.SoftTimeLimitExceeded,  # type: ignore[misc]  # billiard ships no types
    Interrupted,
):
    """A task still ran after its soft limit; says which one, which Celery's own does not."""

    def __init__(self, name: str, symbol: str, limit_s: float) -> None:
        super().__init__(name, symbol, limit_s)
        self.name = name
        self.symbol = symbol
        self.limit_s = limit_s

    def __str__(self) -> str:
        whose = f" of {self.symbol}" if self.symbol else ""
        return f"{self.name}{whose} still ran after {self.limit_s:g} s"


def raise_soft_limit(_number: int, _frame: FrameType | None) -> None:
    """Handle the signal of the soft limit in a pool process; one that comes after the task's end is too late."""
    if current_task:
        request = current_task.request
        _, soft_s = request.timelimit or (None, None)
        limit_s = soft_s or current_task.soft_time_limit or current_task.app.conf.task_soft_time_limit
        raise SoftTimeLimitExceeded(
            current_task.name, symbol_of(current_task.name, request.args, request.kwargs), limit_s
        )


@logged
class LoggedRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Has the lines of the worker's main process about a task carry the task's log context."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log_context = received(self)


@logged
class StepRequest(LoggedRequest):
    """Records a failure that its step cannot report. An error of the recording is logged and never reaches Celery."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if not soft and not state.should_terminate:
            text = f"TimeLimitExceeded: {self.task.name} still ran after {timeout:g} s; its process was killed"
            self._note(TaskFailureKind.HUNG, text)
        super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        if (text := self._loss(exc_info)) and not state.should_terminate:
            self._note(TaskFailureKind.LOST, text)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _loss(self, exc_info: Any) -> str:
        """Return how the process was lost; nothing where it was not, or where Redis was, and Celery ended the step."""
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

    def _note(self, kind: TaskFailureKind, text: str) -> None:
        try:
            symbol = symbol_of(self.task.name, self.args, self.kwargs)
            service = STEPS[self.task.name].service
            client, namespace = _redis()
            record_task_failure(
                client, namespace, symbol, TaskFailure(kind, service, self.task.name, now_ms(), text, self.id)
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, Celery has to go on with the message
            logger.warning("trouble_unwritten task_id=%s text=%s reason=%s", self.id, text, error)


def symbol_of(name: str, args: Any, kwargs: Any) -> str:
    """Return the symbol of a step, found as the router finds it; empty for every other task."""
    if name not in STEPS:
        return ""
    return str((kwargs or {}).get("symbol") or (args or [""])[0])


@lru_cache(maxsize=1)
def _redis() -> tuple[redis.Redis, str]:
    settings = load_settings()
    return connect_briefly(resolve_redis_url(settings), timeout_s=NOTE_TIMEOUT_S), settings.namespace
