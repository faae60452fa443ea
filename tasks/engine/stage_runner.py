"""Run a delivered step of the chain; `step_wrappers` lists all that wraps its service."""

from collections.abc import Callable
from typing import TypeVar

from celery import Task

from tasks.engine.delivery_checks import read_message
from tasks.engine.signatures import sign_next
from tasks.engine.step_wrappers import StepCall, run_step
from tasks.engine.worker_context import runtime
from trading.events.messages import M, Message
from trading.services.chain import ChainResult
from trading.services.pipeline import SymbolPipeline

Out = TypeVar("Out", bound=Message)


def run_stage(
    task: Task,
    symbol: str,
    deadline_ms: int,
    work: Callable[[SymbolPipeline], Out | ChainResult],
    *,
    text: str | None = None,
) -> str:
    """Run one step.

    Args:
        deadline_ms: Wall-clock time after which a newer tick replaces this step.
        work: Calls the step's service.
        text: The message that the step received, which must be signed; None for the first step, which receives none.

    Returns:
        JSON of the message for the next step, or the reason why the chain ends.

    Raises:
        InvalidMessage: The delivery or its message was rejected; nothing was executed.
    """
    here = runtime()
    outcome = run_step(StepCall(here, symbol, work, task, deadline_ms, text))
    if isinstance(outcome, ChainResult):
        return str(outcome)
    following = outcome.model_dump_json()
    sign_next(task, here.message_key, symbol=symbol, deadline_ms=deadline_ms, text=following)
    return following


def run_received(
    task: Task,
    kind: type[M],
    text: str,
    symbol: str,
    deadline_ms: int,
    work: Callable[[SymbolPipeline, M], Out | ChainResult],
) -> str:
    """Run a step that receives a message, as `run_stage`.

    Args:
        kind: The message that it takes.
        work: Calls the step's service with the message.
    """
    return run_stage(task, symbol, deadline_ms, lambda to: work(to, read_message(kind, text)), text=text)
