"""What every step of the chain does around its service: refuse stale deliveries, end or go on, keep nothing unsaid."""

import logging
from collections.abc import Callable
from typing import TypeVar

from celery import Task

from adapters.clock import now_ms
from tasks.engine.log_context import name_candle
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import DELIVERY_LIMIT, TICK_LIFE_S
from tasks.engine.worker_context import Runtime, runtime
from trading.events.event import Event, EventType
from trading.events.messages import Message
from trading.services.chain import ChainOutcome, ChainResult
from trading.services.pipeline import SymbolPipeline

logger = logging.getLogger(__name__)
Out = TypeVar("Out", bound=Message)


def run_stage(task: Task, symbol: str, deadline_ms: int, work: Callable[[SymbolPipeline], Out | ChainResult]) -> str:
    """Run one step.

    Args:
        deadline_ms: Wall-clock time after which the step gives way to a newer tick.
        work: Calls the step's service.

    Returns:
        The JSON of the message for the next step, or why the chain ends here.
    """
    here = runtime()
    refusal = _refusal(task, here, symbol, deadline_ms)
    outcome = refusal or work_on(here, symbol, work)
    if isinstance(outcome, ChainResult):
        task.request.chain = None
        _ended(task, here, symbol, outcome)
        return str(outcome)
    name_candle(task, outcome.correlation_id)
    return outcome.model_dump_json()


def work_on(here: Runtime, symbol: str, work: Callable[[SymbolPipeline], Out | ChainResult]) -> Out | ChainResult:
    """Have a symbol's services do some work, built anew where that was asked for; an error is written down first."""
    pipeline = pipeline_of(here, symbol)
    was_sick = not pipeline.is_healthy
    try:
        outcome = work(pipeline)
        if isinstance(outcome, ChainResult) and outcome.reason is ChainOutcome.RESTARTED:
            pipeline = pipeline_of(here, symbol, is_new=True)
            outcome = work(pipeline)
    except Exception:
        here.report(pipeline)
        raise
    if was_sick:
        here.report(pipeline)
    elif pipeline.outbox.waiting():
        here.flush(pipeline)
    return outcome


def pipeline_of(here: Runtime, symbol: str, *, is_new: bool = False) -> SymbolPipeline:
    """Return a symbol's services; where they can't be built, that is written down."""
    try:
        return here.rebuild(symbol) if is_new else here.pipeline(symbol)
    except Exception as error:
        here.report_unbuilt(symbol, error)
        raise


def _refusal(task: Task, here: Runtime, symbol: str, deadline_ms: int) -> ChainResult | None:
    if now_ms() > deadline_ms:
        return ChainResult(ChainOutcome.EXPIRED, "a newer tick takes over")
    if not (task.request.delivery_info or {}).get("redelivered"):
        return None
    count = here.count_delivery(task.request.id)
    if count <= DELIVERY_LIMIT:
        return None
    reason = f"{task.name} was delivered {count} times and never finished: dropped"
    logger.error("delivery_limit symbol=%s task_id=%s reason=%s", symbol, task.request.id, reason)
    here.bus.publish([Event(type=EventType.SERVICE_ERROR, symbol=symbol, reason=reason)])
    return ChainResult(ChainOutcome.POISONED, reason)


def _ended(task: Task, here: Runtime, symbol: str, result: ChainResult) -> None:
    if result.has_more:
        tick_id = f"more:{symbol}:{result.cursor_ms}"
        send_tick(task.app, symbol, tick_id=tick_id, life_s=TICK_LIFE_S, expected_ms=result.cursor_ms)
