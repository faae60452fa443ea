"""The wrappers of every step: stale and poisonous deliveries end with a reason, and every event is published."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from celery import Celery, Task

from adapters.redis import keys
from tasks.engine import worker_context as runtime_module
from tasks.engine.routing import PRIORITY_STEPS, route
from tasks.engine.stage_runner import run_stage
from tasks.engine.stages import DELIVERY_LIMIT, FIRST_STAGE, STAGES
from tasks.engine.worker_context import Runtime
from tests.fixtures.apps.system import TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from trading.errors import Transient, UnknownSymbol
from trading.events.event import EventType
from trading.events.messages import NewCandle
from trading.services.chain import AdvanceSymbol, ChainOutcome, ChainResult
from trading.services.pipeline import SymbolPipeline

SYMBOL = "XAUUSD"
CANDLES = 120
FOREVER_MS = 2**52
Work = Callable[[SymbolPipeline], Any]


@dataclass
class Stage:
    """A step's task on a broker of its own, and the system that it belongs to."""

    system: TradingSystem
    app: Celery
    task: Task

    @property
    def runtime(self) -> Runtime:
        return runtime_module.runtime()

    @contextmanager
    def delivery(
        self,
        *,
        redelivered: bool = False,
        task_id: str = "tick:XAUUSD:1",
        symbol: str = SYMBOL,
        deadline_ms: int = FOREVER_MS,
    ) -> Iterator[None]:
        """Deliver a message that has three steps behind it."""
        self.task.push_request(
            id=task_id, delivery_info={"redelivered": redelivered}, chain=following(symbol, deadline_ms)
        )
        yield
        self.task.pop_request()

    def run(self, work: Work, *, deadline_ms: int = FOREVER_MS, symbol: str = SYMBOL, **delivery: Any) -> str:
        with self.delivery(symbol=symbol, deadline_ms=deadline_ms, **delivery):
            return run_stage(self.task, symbol, deadline_ms, work)

    def follow_up(self) -> Any:
        """Take the message that waits on the symbol's queue, None where there is none."""
        with self.app.connection_for_read() as connection, connection.SimpleQueue(SYMBOL) as queue:
            try:
                message = queue.get_nowait()
            except Empty:
                return None
            message.ack()
            return message

    def service_states(self) -> set[str]:
        fields: Any = self.runtime.stores.redis.hgetall(keys.service(self.system.settings.namespace, SYMBOL))
        return {json.loads(status)["state"] for status in fields.values()}

    def reasons_of(self, kind: EventType) -> list[str]:
        return [event.reason for _, _, event in self.runtime.bus.recent(1_000) if event.type is kind]


@pytest.fixture
def stage(make_system: Callable[..., TradingSystem], tmp_path: Path) -> Iterator[Stage]:
    path = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, CANDLES))
    hasty = {"name": "ema_cross", "params": {"fast": 2, "slow": 3, "atr_period": 2}}
    system = make_system({SYMBOL: file_symbol(path, strategy=hasty)})
    app = Celery("stage-test", broker=system.redis.url, set_as_current=False)
    app.conf.task_routes = (route,)
    app.conf.broker_transport_options = {"priority_steps": list(PRIORITY_STEPS), "queue_order_strategy": "priority"}
    app.conf.result_backend = None
    task = app.task(name=FIRST_STAGE, shared=False)(_step)
    runtime_module._runtime_of.cache_clear()
    with system.as_environment():
        yield Stage(system, app, task)
    runtime_module._runtime_of.cache_clear()
    app.close()


def following(symbol: str, deadline_ms: int) -> list[dict[str, Any]]:
    """Return the steps after the first one, as a message has them: the next one last."""
    kwargs = {"symbol": symbol, "deadline_ms": deadline_ms}
    return [{"task": name, "kwargs": kwargs} for name in reversed(STAGES[1:])]


def fetch(expected_ms: int | None = None) -> Work:
    return lambda to: to.fetch.handle(AdvanceSymbol(SYMBOL, expected_ms))


def whole_chain(to: SymbolPipeline) -> ChainResult:
    return to.advance(AdvanceSymbol(SYMBOL))


def never(_: SymbolPipeline) -> ChainResult:
    raise AssertionError("the step worked")


def end(reason: ChainOutcome, **fields: Any) -> Work:
    return lambda _: ChainResult(reason, **fields)


def test_stage_past_its_deadline_ends_with_that_reason_and_does_nothing(stage: Stage) -> None:
    answer = stage.run(never, deadline_ms=time.time_ns() // 1_000_000 - 1)

    assert answer == "expired: a newer tick takes over"
    assert stage.follow_up() is None


def test_stage_before_its_deadline_works(stage: Stage) -> None:
    deadline_ms = time.time_ns() // 1_000_000 + 60_000

    assert NewCandle.model_validate_json(stage.run(fetch(), deadline_ms=deadline_ms)).symbol == SYMBOL


def test_stage_that_hands_on_leaves_the_rest_of_the_chain(stage: Stage) -> None:
    with stage.delivery():
        answer = run_stage(stage.task, SYMBOL, FOREVER_MS, fetch())
        chain = stage.task.request.chain

    assert NewCandle.model_validate_json(answer).timeframe == "1m"
    assert [step["task"] for step in reversed(chain)] == list(STAGES[1:])


@pytest.mark.parametrize("reason", list(ChainOutcome))
def test_stage_that_ends_early_drops_the_rest_of_the_chain_and_reports_why(stage: Stage, reason: ChainOutcome) -> None:
    if reason is ChainOutcome.RESTARTED:
        stage.run(fetch())
    with stage.delivery():
        answer = run_stage(stage.task, SYMBOL, FOREVER_MS, end(reason, detail="because"))
        chain = stage.task.request.chain

    assert chain is None
    assert answer == f"{reason}: because"


def test_stage_redelivered_more_than_the_limit_is_dropped_with_an_event(stage: Stage) -> None:
    works = [stage.run(whole_chain, redelivered=True) for _ in range(DELIVERY_LIMIT)]
    dropped = stage.run(never, redelivered=True)
    other = stage.run(whole_chain, redelivered=True, task_id="tick:XAUUSD:2")

    assert not any(answer.startswith("poisoned") for answer in [*works, other])
    assert dropped.startswith("poisoned: tasks.fetch was delivered")
    [event] = stage.reasons_of(EventType.SERVICE_ERROR)
    assert event == dropped.removeprefix("poisoned: ")


def test_stage_delivered_for_the_first_time_is_not_counted(stage: Stage) -> None:
    for _ in range(DELIVERY_LIMIT + 2):
        assert not stage.run(whole_chain).startswith("poisoned")

    redis: Any = stage.runtime.stores.redis
    assert not redis.exists(keys.deliveries(stage.system.settings.namespace, "tick:XAUUSD:1"))


def test_stage_that_ends_with_more_to_come_sends_a_tick_with_the_cursor_that_it_saw(stage: Stage) -> None:
    stage.run(end(ChainOutcome.NO_SIGNAL, has_more=True, cursor_ms=1_774_360_800_000))

    message = stage.follow_up()
    assert message is not None
    _, kwargs, embedded = message.payload
    assert message.headers["task"] == FIRST_STAGE
    assert message.headers["id"] == "more:XAUUSD:1774360800000"
    assert (kwargs["symbol"], kwargs["expected_ms"]) == (SYMBOL, 1_774_360_800_000)
    assert len(embedded["chain"]) == len(STAGES) - 1
    assert stage.follow_up() is None


def test_stage_follow_up_after_another_chain_moved_on_is_superseded(stage: Stage) -> None:
    stage.run(whole_chain)
    message = stage.follow_up()
    assert message is not None
    _, kwargs, _ = message.payload
    stage.run(whole_chain)

    assert stage.run(fetch(kwargs["expected_ms"])) == "superseded: another chain has moved on"


def test_stage_without_a_new_candle_records_that_the_source_was_queried(stage: Stage) -> None:
    for _ in range(CANDLES):
        stage.run(whole_chain)
    state: Any = stage.runtime.stores.redis
    key = keys.state(stage.system.settings.namespace, SYMBOL)
    state.hdel(key, "fetched_at_ms")

    assert stage.run(fetch()) == "no-new-candle"
    assert state.hexists(key, "fetched_at_ms")


def test_stage_that_fails_reports_the_unhealthy_service_and_the_next_success_that_it_is_healthy(stage: Stage) -> None:
    stage.run(whole_chain)
    candles = stage.runtime.pipeline(SYMBOL).fetch._candles
    source = candles._source
    candles._source = _Silent()  # type: ignore[assignment]  # answers nothing
    candles._sleep_s = lambda _: None

    with pytest.raises(Transient):
        stage.run(fetch())
    assert stage.service_states() == {"error", "running"}
    assert len(stage.reasons_of(EventType.SERVICE_ERROR)) == 1

    candles._source = source
    stage.run(whole_chain)
    assert stage.service_states() == {"running"}
    assert stage.reasons_of(EventType.SERVICE_STARTED)[-1] == "recovered at attempt 1"


def test_stage_of_a_symbol_that_was_restarted_builds_its_services_anew_and_works(stage: Stage) -> None:
    stage.run(whole_chain)
    before = stage.runtime.pipeline(SYMBOL)
    stage.runtime.stores.store.request_restart(SYMBOL)

    answer = stage.run(fetch())

    assert NewCandle.model_validate_json(answer).symbol == SYMBOL
    assert stage.runtime.pipeline(SYMBOL) is not before


def test_stage_of_an_unknown_symbol_reports_which_are_known(stage: Stage) -> None:
    with pytest.raises(UnknownSymbol, match="known are: XAUUSD"):
        stage.run(never, symbol="XAUSD")


def test_stage_publishes_each_event_of_a_whole_run_once(stage: Stage) -> None:
    for _ in range(CANDLES):
        stage.run(whole_chain)

    ledger = stage.runtime.stores.ledger
    filled = stage.reasons_of(EventType.ORDER_FILLED)
    assert len(filled) == len(ledger.fills(SYMBOL))
    assert filled
    assert len(stage.system.journal(SYMBOL)) == CANDLES
    assert stage.runtime.pipeline(SYMBOL).outbox.waiting() == ()


def _step() -> None:
    """Only its name and its requests count: the tests hand the work to `run_stage` themselves."""


class _Silent:
    """A source that never answers."""

    def newest(self, count: int, *, after_ms: int | None) -> Any:
        raise Transient("exchange", "no answer")
