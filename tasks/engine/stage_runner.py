"""Run a delivered step of the chain; `step_wrappers` lists all that wraps its service."""

from collections.abc import Callable
from typing import TypeVar

from celery import Task

from tasks.engine.step_wrappers import StepCall, run_step
from tasks.engine.worker_context import runtime
from trading.events.messages import Message
from trading.services.chain import ChainResult
from trading.services.pipeline import SymbolPipeline

Out = TypeVar("Out", bound=Message)


def run_stage(task: Task, symbol: str, deadline_ms: int, work: Callable[[SymbolPipeline], Out | ChainResult]) -> str:
    """Run one step.

    Args:
        deadline_ms: Wall-clock time after which a newer tick replaces this step.
        work: Calls the step's service.

    Returns:
        JSON of the message for the next step, or the reason why the chain ends.
    """
    outcome = run_step(StepCall(runtime(), symbol, work, task, deadline_ms))
    return str(outcome) if isinstance(outcome, ChainResult) else outcome.model_dump_json()
