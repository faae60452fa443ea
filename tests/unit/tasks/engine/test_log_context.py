"""The symbol, step and candle of a line, from the arguments and headers of the task's message."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Signature, signals, signature
from kombu.message import Message

from tasks import app, control, pipeline, reconcile
from tasks.engine.log_context import (
    CANDLE_HEADER,
    AddContext,
    LogContext,
    LoggedTask,
    current,
    log_context,
    logged,
    name_candle,
)
from tasks.engine.routing import route
from tasks.engine.task_failures import LoggedRequest, StepRequest

CANDLE = "XAUUSD:1m:1774360800000"
WITH_TASKS = (control, pipeline, reconcile)
"""Importing them makes their tasks known."""


@pytest.fixture
def running() -> Iterator[None]:
    """End what the test has begun."""
    yield
    signals.task_postrun.send(sender=None)


def begin(name: str, *args: Any, task_id: str = "id-1", root_id: str | None = None, **kwargs: Any) -> None:
    """Have Celery signal that a task begins; the argument `candle_id` is the message's header of that name."""
    task, headers = app.tasks[name], {CANDLE_HEADER: kwargs.pop(CANDLE_HEADER, None)}
    task.push_request(id=task_id, root_id=root_id, **headers)
    signals.task_prerun.send(sender=task, task_id=task_id, task=task, args=args, kwargs=kwargs)
    task.pop_request()


def request_of(name: str, args: Any, kwargs: Any, **headers: Any) -> Any:
    """Return the request that a worker's main process makes of a message."""
    sent = app.amqp.as_task_v2("id-1", name, (), {}, root_id="tick:XAUUSD:9")
    message = Message(
        body=json.dumps([args, kwargs, {}]),
        headers={**sent.headers, **headers},
        properties=sent.properties,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={},
        accept={"application/json"},
    )
    return (StepRequest if name == "tasks.execute" else LoggedRequest)(message, app=app, task=app.tasks[name])


def record(**extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": "x", **extra})
    AddContext().filter(made)
    return made


@pytest.mark.usefixtures("running")
def test_fetch_is_about_its_tick_until_it_has_found_its_candle() -> None:
    begin("tasks.fetch", task_id="tick:XAUUSD:9", root_id="tick:XAUUSD:9", symbol="XAUUSD", deadline_ms=1)
    assert current() == LogContext("XAUUSD", "fetch", "tick:XAUUSD:9")

    name_candle(app.tasks["tasks.fetch"], CANDLE)

    assert record().context == LogContext("XAUUSD", "fetch", CANDLE)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("stage", ["indicators", "strategy", "execute"])
def test_later_step_is_about_the_candle_of_its_header_from_its_beginning(stage: str) -> None:
    begin(f"tasks.{stage}", "{", root_id="tick:x:9", symbol="XAUUSD", deadline_ms=1, candle_id=CANDLE)

    assert current() == LogContext("XAUUSD", stage, CANDLE)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("candle_id", [None, "", 7, ["x"]])
def test_later_step_without_a_usable_header_is_about_its_tick(candle_id: Any) -> None:
    begin("tasks.indicators", "{", root_id="tick:XAUUSD:9", symbol="XAUUSD", deadline_ms=1, candle_id=candle_id)

    assert current() == LogContext("XAUUSD", "indicators", "tick:XAUUSD:9")


def test_step_puts_its_candle_into_the_header_of_the_next_message_beside_what_is_there() -> None:
    memory = Celery("log-context-test", broker="memory://", set_as_current=False)
    memory.conf.task_routes = (route,)
    common = {"symbol": "XAUUSD", "deadline_ms": 1}
    steps = [Signature(f"tasks.{name}", kwargs=common, app=memory) for name in ("execute", "strategy")]
    steps[1].set(headers={"epoch": 3})
    chain = json.loads(json.dumps(steps))
    task = app.tasks["tasks.indicators"]
    task.push_request(id="id-1", chain=chain)

    name_candle(task, CANDLE)

    task.pop_request()
    signature(chain[-1], app=memory).apply_async(("{}",), chain=chain[:-1])
    with memory.connection_for_read() as connection, connection.SimpleQueue("XAUUSD") as queue:
        headers = queue.get(timeout=60).headers
    assert (headers["task"], headers[CANDLE_HEADER], headers["epoch"]) == ("tasks.strategy", CANDLE, 3)
    memory.close()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("args", "kwargs"), [(("XAUUSD",), {}), ((), {"symbol": "XAUUSD"})])
def test_control_task_is_about_the_symbol_that_it_is_given(args: tuple[str, ...], kwargs: dict[str, str]) -> None:
    begin("tasks.pause_symbol", *args, **kwargs)

    assert current() == LogContext("XAUUSD", "pause_symbol", "id-1")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("name", "args"), [("tasks.pause_all", ("a reason",)), ("tasks.resolve_incident", (7, "x"))])
def test_task_of_all_symbols_has_no_context(name: str, args: tuple[Any, ...]) -> None:
    begin(name, *args)

    assert current() is None
    assert record().context is None  # type: ignore[attr-defined]


def test_task_that_has_ended_leaves_nothing_to_the_next_line() -> None:
    begin("tasks.fetch", symbol="XAUUSD", deadline_ms=1)

    signals.task_postrun.send(sender=None)

    assert current() is None


def test_line_about_a_task_that_was_received_carries_the_context_of_its_message() -> None:
    request = request_of("tasks.indicators", ["{"], {"symbol": "XAUUSD"}, candle_id=CANDLE)

    assert record(data={"id": request.id}).context == LogContext("XAUUSD", "indicators", CANDLE)  # type: ignore[attr-defined]
    assert record(data={"id": "another"}).context is None  # type: ignore[attr-defined]
    assert record().context is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "symbol"),
    [
        ("tasks.fetch", [], {"symbol": "XAUUSD", "deadline_ms": 1}, "XAUUSD"),
        ("tasks.fetch", ["XAUUSD", 1], {}, "XAUUSD"),
        ("tasks.pause_symbol", ["XAUUSD"], {}, "XAUUSD"),
        ("tasks.pause_symbol", ["XAU 'USD', x"], {}, "XAU 'USD', x"),
        ("tasks.pause_all", ["XAUUSD"], {}, None),
        ("tasks.status", [], {}, None),
        ("tasks.status", [7], {"symbol": None}, None),
        ("tasks.status", {"0": 1}, [], None),
        ("tasks.status", None, None, None),
    ],
)
def test_request_of_any_client_has_the_symbol_of_its_arguments(
    name: str, args: Any, kwargs: Any, symbol: str | None
) -> None:
    found = request_of(name, args, kwargs).log_context

    assert (found.symbol if found else None) == symbol


def test_every_task_makes_requests_that_carry_a_context() -> None:
    names = [name for name in app.tasks if name.startswith("tasks.")]

    assert names
    assert all(isinstance(app.tasks[name], LoggedTask) for name in names)
    assert {app.tasks[name].Request for name in names} == {
        "tasks.engine.task_failures:LoggedRequest",
        "tasks.engine.task_failures:StepRequest",
    }


def test_request_that_logs_in_the_main_process_does_so_in_the_context_of_its_task() -> None:
    expected = LogContext("XAUUSD", "execute", "tick:XAUUSD:9")

    @logged
    class Request:
        log_context = expected

        def on_timeout(self, soft: bool) -> object:
            return soft, current()

        def on_failure(self) -> None:
            raise ValueError("no")

        def revoked(self) -> object:
            return current()

    assert Request().on_timeout(True) == (True, expected)
    assert Request().revoked() == expected
    with pytest.raises(ValueError, match="no"):
        Request().on_failure()
    assert current() is None
    assert request_of("tasks.execute", ["{"], {"symbol": "XAUUSD"}).log_context == expected


def test_context_of_a_block_ends_with_it() -> None:
    with log_context(LogContext("a", "b", "c")):
        assert current() == LogContext("a", "b", "c")
    assert current() is None
