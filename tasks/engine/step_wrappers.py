"""Everything that wraps a pipeline step, in order, outermost first.

| process | wrapper                                                           | registered by                    |
|---------|-------------------------------------------------------------------|----------------------------------|
| main    | `StepRequest`: records a killed step or a lost process            | `stages.step_options`, `Request` |
| main    | `LoggedRequest`: symbol and candle in Celery's own log lines      | `tasks.app`, `task_cls`          |
| pool    | `log_context`: symbol and candle in each log line of the step     | Celery's prerun, postrun signals |
| pool    | `DELIVERY_WRAPPERS`: the chain and this delivery                  | this module                      |
| pool    | `SERVICE_WRAPPERS`: the services of the symbol                    | this module                      |
| pool    | the service of the step                                           | `tasks.pipeline`                 |

A wrapper gets the call and the next wrapper, like a middleware; it may return without calling the next one. To add
one, write the function and add it to a list.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Generic, TypeVar

from celery import Task
from msgspec import Struct

from adapters.clock import now_ms
from tasks.engine.delivery_checks import check_delivery, check_signature, drop_followers
from tasks.engine.log_context import name_candle
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import DELIVERY_LIMIT, FIRST_STAGE, STEPS, TICK_LIFE_S
from tasks.engine.worker_context import Runtime
from trading.errors import InvalidMessage, TradingError
from trading.events.event import Event, EventType
from trading.events.messages import Message
from trading.incidents.descriptions import message_rejected
from trading.services.chain import ChainOutcome, ChainResult
from trading.services.pipeline import SymbolPipeline

logger = logging.getLogger(__name__)

_LONGEST_ID = 100
"""Characters of a task id that are recorded: a message can hold any text."""

Outcome = Message | ChainResult
"""Message for the next step, or the reason why the chain ends."""

Work = Callable[[SymbolPipeline], Outcome]
C = TypeVar("C", bound="ServiceCall")
Next = Callable[[C], Outcome]


class ServiceCall(Struct, frozen=True):
    """Work for the services of a symbol.

    Attributes:
        here: Configuration, stores and pipelines of this process.
        work: Calls the service.
    """

    here: Runtime
    symbol: str
    work: Work

    def pipeline(self, *, is_new: bool = False) -> SymbolPipeline:
        return pipeline_of(self.here, self.symbol, is_new=is_new)


class StepCall(ServiceCall, frozen=True):
    """A delivered step.

    Attributes:
        task: With the request of this delivery.
        deadline_ms: Wall-clock time after which a newer tick replaces this step.
        text: The message that it received; None for a first step.
    """

    task: Task
    deadline_ms: int
    text: str | None = None


class Wrapped(Generic[C]):
    """A call inside its wrappers, the first one outermost."""

    def __init__(self, wrappers: Sequence[Callable[[C, Next[C]], Outcome]], innermost: Next[C]) -> None:
        self.run: Next[C] = reduce(lambda run, wrapper: partial(_through, wrapper, run), reversed(wrappers), innermost)


def _through(wrapper: Callable[[C, Next[C]], Outcome], run: Next[C], call: C) -> Outcome:
    return wrapper(call, run)


def report_rejected(call: StepCall, run: Next[StepCall]) -> Outcome:
    """Count a rejected message, open an incident, and start nothing after it; the next tick does the symbol's work.

    Both belong to the symbol of the queue, which this worker serves: a forged message may name any other.
    """
    try:
        return run(call)
    except InvalidMessage as error:
        drop_followers(call.task)
        task, task_id = call.task.name, str(call.task.request.id)[:_LONGEST_ID]
        logger.error("message_rejected task=%s task_id=%s reason=%s", task, task_id, error)
        owner = (call.task.request.delivery_info or {}).get("routing_key", call.symbol)
        if isinstance(owner, str) and owner in call.here.system.symbols:
            _record_rejection(call.here, owner, task, task_id, error)
        raise


def _record_rejection(here: Runtime, symbol: str, task: str, task_id: str, error: InvalidMessage) -> None:
    try:
        pipeline = pipeline_of(here, symbol)
        pipeline.service(STEPS[task].service).reject(error)
        pipeline.incidents.open([message_rejected(symbol, task, task_id, error)])
        here.report(pipeline)
    except TradingError as failure:  # the rejection itself must end the step
        logger.warning("rejection_unrecorded symbol=%s task_id=%s reason=%s", symbol, task_id, failure)


def end_chain(call: StepCall, run: Next[StepCall]) -> Outcome:
    """End the chain if there is no next message; send another tick if the source has more candles."""
    outcome = run(call)
    if isinstance(outcome, ChainResult):
        call.task.request.chain = None
        if outcome.has_more:
            tick_id = f"more:{call.symbol}:{outcome.cursor_ms}"
            send_tick(call.task.app, call.symbol, tick_id=tick_id, life_s=TICK_LIFE_S, expected_ms=outcome.cursor_ms)
    return outcome


def name_candle_of_step(call: StepCall, run: Next[StepCall]) -> Outcome:
    """Set the candle in the log lines of this step and in a header of the next one."""
    outcome = run(call)
    if isinstance(outcome, Message):
        name_candle(call.task, outcome.correlation_id)
    return outcome


def check_delivered(call: StepCall, run: Next[StepCall]) -> Outcome:
    """Check queue, chain and signature of the message before anything of it is read."""
    check_delivery(call.task, call.symbol, call.deadline_ms)
    if call.task.name != FIRST_STAGE:
        key = call.here.message_key
        check_signature(call.task, key, symbol=call.symbol, deadline_ms=call.deadline_ms, text=call.text)
    return run(call)


def drop_expired(call: StepCall, run: Next[StepCall]) -> Outcome:
    """Drop a step that is past its deadline: a newer tick does its work."""
    if now_ms() > call.deadline_ms:
        return ChainResult(ChainOutcome.EXPIRED, "a newer tick takes over")
    return run(call)


def limit_redeliveries(call: StepCall, run: Next[StepCall]) -> Outcome:
    """Drop a message that killed its worker `DELIVERY_LIMIT` times; Redis has no such limit."""
    request = call.task.request
    if not (request.delivery_info or {}).get("redelivered"):
        return run(call)
    count = call.here.count_delivery(request.id)
    if count <= DELIVERY_LIMIT:
        return run(call)
    reason = f"{call.task.name} was delivered {count} times and never finished: dropped"
    logger.error("delivery_limit symbol=%s task_id=%s reason=%s", call.symbol, request.id, reason)
    call.here.bus.publish([Event(type=EventType.SERVICE_ERROR, symbol=call.symbol, reason=reason)])
    return ChainResult(ChainOutcome.POISONED, reason)


def store_statuses(call: C, run: Next[C]) -> Outcome:
    """Store the statuses of the services after an error, and after the first success that follows one."""
    was_healthy = call.pipeline().is_healthy
    try:
        outcome = run(call)
    except Exception as error:
        call.here.report_error(call.pipeline(), error)
        raise
    if not was_healthy:
        call.here.report(call.pipeline())
    return outcome


def publish_events(call: C, run: Next[C]) -> Outcome:
    """Publish the events that no commit has published."""
    outcome = run(call)
    pipeline = call.pipeline()
    if pipeline.outbox.waiting():
        call.here.flush(pipeline)
    return outcome


def rebuild_services(call: C, run: Next[C]) -> Outcome:
    """Rebuild the services if a restart was requested, and run the step again."""
    outcome = run(call)
    if isinstance(outcome, ChainResult) and outcome.reason is ChainOutcome.RESTARTED:
        call.pipeline(is_new=True)
        outcome = run(call)
    return outcome


def run_service(call: ServiceCall) -> Outcome:
    """Run the step's service: innermost."""
    return call.work(call.pipeline())


def pipeline_of(here: Runtime, symbol: str, *, is_new: bool = False) -> SymbolPipeline:
    """Return the services of a symbol; if they cannot be built, store a status with the error."""
    try:
        return here.rebuild(symbol) if is_new else here.pipeline(symbol)
    except Exception as error:
        here.report_unbuilt(symbol, error)
        raise


DELIVERY_WRAPPERS = (
    report_rejected,
    end_chain,
    name_candle_of_step,
    check_delivered,
    drop_expired,
    limit_redeliveries,
)
"""Wrappers that need the task of a delivery."""

SERVICE_WRAPPERS = (store_statuses, publish_events, rebuild_services)
"""Wrappers that run without Celery too, see `tasks.orchestrators.local`."""

_STEP: Wrapped[StepCall] = Wrapped((*DELIVERY_WRAPPERS, *SERVICE_WRAPPERS), run_service)
_SERVICE: Wrapped[ServiceCall] = Wrapped(SERVICE_WRAPPERS, run_service)


def run_step(call: StepCall) -> Outcome:
    """Run a delivered step inside all wrappers."""
    return _STEP.run(call)


def run_work(call: ServiceCall) -> Outcome:
    """Run work for a symbol's services inside the wrappers that need no delivery."""
    return _SERVICE.run(call)
