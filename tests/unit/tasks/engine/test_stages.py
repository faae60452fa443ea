"""The flow's one table, and the tick that runs through it."""

import re
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from celery import Celery

import celeryconfig
from tasks import app as real_app
from tasks import control, pipeline, reconcile
from tasks.engine import stages
from tasks.engine.routing import route
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import FIRST_STAGE, HARD_LIMIT_S, RECONCILE, SOFT_LIMIT_S, STAGES, STEPS, TICK_LIFE_S
from trading.services.data_fetching import DataFetchingService
from trading.services.indicator_calculation import IndicatorCalculationService
from trading.services.strategy_evaluation import StrategyEvaluationService
from trading.services.trade_execution import TradeExecutionService

_numbers = count()


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app on a broker in this process."""
    app = Celery("flow-test", broker="memory://", set_as_current=False)
    app.conf.task_routes = (route,)
    yield app
    app.close()


def sent(app: Celery, **options: Any) -> Any:
    """Send a tick to a queue that no other test uses, and return its message."""
    symbol = f"SYMBOL-{next(_numbers)}"
    send_tick(app, symbol, tick_id=f"tick:{symbol}:7", **options)
    with app.connection_for_read() as connection, connection.SimpleQueue(symbol) as queue:
        return queue.get(timeout=60)


def test_flow_names_the_tasks_that_exist_in_the_order_of_the_module() -> None:
    tasks = [pipeline.fetch, pipeline.indicators, pipeline.strategy, pipeline.execute]

    assert [task.name for task in tasks] == list(STAGES)
    assert STAGES[0] == FIRST_STAGE
    assert all(name in (stages.__doc__ or "") for name in STAGES)


def documented_limits() -> dict[str, tuple[int, int]]:
    """Return what the table in the module's docstring says: soft and hard limit of each task, in seconds."""
    lines = re.findall(r"^\| (tasks\.\w+) .*\| (\d+) s / (\d+) s +\|$", stages.__doc__ or "", flags=re.MULTILINE)
    return {name: (int(soft_s), int(hard_s)) for name, soft_s, hard_s in lines}


def test_flow_limits_are_those_of_the_tasks_and_of_the_table_that_people_read() -> None:
    tasks = [pipeline.fetch, pipeline.indicators, pipeline.strategy, pipeline.execute, reconcile.reconcile]
    limits = {name: (step.soft_s, step.hard_s) for name, step in STEPS.items()}

    assert list(STEPS) == [*STAGES, RECONCILE]
    assert {task.name: (task.soft_time_limit, task.time_limit) for task in tasks} == limits
    assert documented_limits() == limits
    assert all(soft_s < hard_s for soft_s, hard_s in limits.values())


def test_flow_names_the_services_that_the_steps_run() -> None:
    services = [DataFetchingService, IndicatorCalculationService, StrategyEvaluationService, TradeExecutionService]

    assert [STEPS[stage].service for stage in STAGES] == [service.__name__ for service in services]
    assert STEPS[RECONCILE].service == TradeExecutionService.__name__


def test_flow_redelivery_comes_after_the_longest_limit_and_before_a_tick_is_too_old() -> None:
    longest_s = max(step.hard_s for step in STEPS.values())

    assert longest_s == HARD_LIMIT_S < celeryconfig.visibility_timeout
    assert (celeryconfig.task_soft_time_limit, celeryconfig.task_time_limit) == (SOFT_LIMIT_S, HARD_LIMIT_S)
    assert TICK_LIFE_S >= HARD_LIMIT_S


def test_flow_control_tasks_have_the_names_that_a_user_calls() -> None:
    names = (
        "pause_symbol",
        "resume_symbol",
        "start_symbol",
        "stop_symbol",
        "restart_symbol",
        "pause_all",
        "resume_all",
    )

    for name in (*names, "status"):
        task = getattr(control, name)
        assert task.name == f"tasks.{name}"
        assert task.ignore_result is False
        assert task.name in real_app.tasks


def test_tick_is_the_first_step_with_the_three_others_behind_it(app: Celery) -> None:
    message = sent(app, life_s=30.0)

    _, kwargs, embedded = message.payload
    rest = [step["task"] for step in reversed(embedded["chain"])]
    assert [message.headers["task"], *rest] == list(STAGES)
    assert message.headers["id"] == message.headers["root_id"] == f"tick:{kwargs['symbol']}:7"
    assert all(step["kwargs"]["symbol"] == kwargs["symbol"] for step in embedded["chain"])


@pytest.mark.parametrize("life_s", [0.5, 300.0])
def test_tick_steps_share_a_deadline_that_does_not_depend_on_the_interval(app: Celery, life_s: float) -> None:
    before_ms = time.time_ns() // 1_000_000
    message = sent(app, life_s=life_s)
    after_ms = time.time_ns() // 1_000_000

    _, kwargs, embedded = message.payload
    deadlines = {kwargs["deadline_ms"], *(step["kwargs"]["deadline_ms"] for step in embedded["chain"])}
    [deadline_ms] = deadlines
    assert before_ms <= deadline_ms - TICK_LIFE_S * 1000 <= after_ms
    assert message.headers["expires"] is not None


@pytest.mark.parametrize("expected_ms", [None, 1_774_360_800_000])
def test_tick_carries_the_cursor_that_its_sender_saw(app: Celery, expected_ms: int | None) -> None:
    _, kwargs, _ = sent(app, life_s=1.0, expected_ms=expected_ms).payload

    assert kwargs["expected_ms"] == expected_ms
