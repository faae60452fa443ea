"""Which symbol, step and candle a line belongs to, by the task that runs and by what Celery tells of one."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import signals

from tasks import app, control, pipeline, reconcile
from tasks.log_context import (
    AddContext,
    LogContext,
    about_candle,
    candle_in,
    context_of_texts,
    current,
    log_context,
    logged,
)
from trading.events import IndicatorsUpdated, Message, NewCandle, Regime, SignalGenerated, SignalSide
from trading.events import Signal as TradeSignal
from trading.lifecycle import DesiredState

CANDLES = [[1_774_360_800_000.0 + at * 60_000, 1.5, 2.5, 0.5, 2.0, 7.0] for at in range(3)]
COMMON: dict[str, Any] = {
    "symbol": "BTC.USD-T_1",
    "timeframe": "1m",
    "after_ms": 1_774_360_740_000,
    "as_of_ms": 1_774_361_000_000,
    "desired": DesiredState.RUNNING,
    "has_exposure": False,
}
WITH_TASKS = (control, pipeline, reconcile)
"""Importing them makes their tasks known."""

ROWS: Any = (["a"], [[1, 2.0, 3.0]])
REASONED = TradeSignal(
    strategy="s", open_ms=1, side=SignalSide.BUY, price=1.0, reason='it\'s "candles":[[1.0]],"as_of_ms" in words'
)


def messages(count: int) -> list[Message]:
    candles, regimes = CANDLES[:count], [Regime.UNKNOWN] * count
    return [
        NewCandle(**COMMON, candles=candles, regime=Regime.UNKNOWN),
        IndicatorsUpdated(**COMMON, candles=candles, rows=ROWS, regimes=regimes),
        SignalGenerated(**COMMON, candles=candles, signals=[REASONED], regimes=regimes, decisions=["x"] * count),
    ]


@pytest.fixture
def running() -> Iterator[None]:
    """End what the test has begun."""
    yield
    signals.task_postrun.send(sender=None)


def begin(name: str, *args: Any, task_id: str = "id-1", root_id: str | None = None, **kwargs: Any) -> None:
    """Have Celery tell that a task begins."""
    task = app.tasks[name]
    task.push_request(id=task_id, root_id=root_id)
    signals.task_prerun.send(sender=task, task_id=task_id, task=task, args=args, kwargs=kwargs)
    task.pop_request()


def record(**extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": "x", **extra})
    AddContext().filter(made)
    return made


@pytest.mark.parametrize("count", [1, 3])
def test_candle_in_a_message_is_the_one_that_the_message_names(count: int) -> None:
    for message in messages(count):
        assert candle_in(message.model_dump_json()) == message.correlation_id
        assert candle_in(repr((message.model_dump_json(),))) == message.correlation_id


@pytest.mark.parametrize("text", ["", "XAUUSD", "{}", '{"type":"NEW_CANDLE","symbol":"XAUUSD"'])
def test_candle_in_another_text_is_none(text: str) -> None:
    assert candle_in(text) is None


def test_candle_in_a_message_that_is_cut_off_within_its_candles_is_none() -> None:
    whole = messages(3)[0].model_dump_json()

    assert candle_in(whole[: whole.index('"as_of_ms"') - 3]) is None


@pytest.mark.usefixtures("running")
def test_fetch_is_about_its_tick_until_it_has_found_its_candle() -> None:
    begin("tasks.fetch", task_id="tick:XAUUSD:9", root_id="tick:XAUUSD:9", symbol="XAUUSD", deadline_ms=1)
    assert current() == LogContext("XAUUSD", "fetch", "tick:XAUUSD:9")

    about_candle("XAUUSD:1m:1774360800000")

    assert record().context == LogContext("XAUUSD", "fetch", "XAUUSD:1m:1774360800000")  # type: ignore[attr-defined]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("stage", ["indicators", "strategy", "execute"])
def test_later_step_is_about_the_candle_of_its_message_from_its_beginning(stage: str) -> None:
    message = messages(3)[0]

    begin(f"tasks.{stage}", message.model_dump_json(), root_id="tick:x:9", symbol=message.symbol, deadline_ms=1)

    assert current() == LogContext(message.symbol, stage, message.correlation_id)


@pytest.mark.usefixtures("running")
def test_later_step_with_a_message_that_can_not_be_read_is_about_its_tick() -> None:
    begin("tasks.indicators", "{", root_id="tick:XAUUSD:9", symbol="XAUUSD", deadline_ms=1)

    assert current() == LogContext("XAUUSD", "indicators", "tick:XAUUSD:9")


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


def test_line_about_a_task_that_was_received_carries_what_its_message_says() -> None:
    message = messages(1)[0]
    about = {
        "id": "uuid",
        "name": "tasks.indicators",
        "args": repr((message.model_dump_json(),)),
        "kwargs": repr({"symbol": message.symbol, "deadline_ms": 1}),
    }

    found = record(data=about).context  # type: ignore[attr-defined]

    assert found == LogContext(message.symbol, "indicators", message.correlation_id)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "symbol"),
    [
        ("tasks.fetch", "()", "{'symbol': 'XAUUSD', 'deadline_ms': 1}", "XAUUSD"),
        ("tasks.fetch", "['XAUUSD', 1]", "{}", "XAUUSD"),
        ("tasks.pause_symbol", "('XAUUSD',)", "{}", "XAUUSD"),
        ("tasks.pause_all", "('XAUUSD',)", "{}", None),
        ("tasks.unknown", "('XAUUSD',)", "{}", None),
        ("tasks.status", "", "", None),
        ("tasks.status", None, None, None),
    ],
)
def test_symbol_is_read_from_the_text_of_a_tasks_arguments(
    name: str, args: str | None, kwargs: str | None, symbol: str | None
) -> None:
    found = context_of_texts(name, "id-1", None, args, kwargs)

    assert (found.symbol if found else None) == symbol


def test_request_that_logs_in_the_main_process_does_so_in_the_context_of_its_task() -> None:
    @logged
    class Request:
        name, id, root_id = "tasks.execute", "uuid", "tick:XAUUSD:9"
        argsrepr, kwargsrepr = "('...',)", "{'symbol': 'XAUUSD'}"

        def on_timeout(self, soft: bool) -> object:
            return soft, current()

        def on_failure(self) -> None:
            raise ValueError("no")

        def revoked(self) -> object:
            return current()

    expected = LogContext("XAUUSD", "execute", "tick:XAUUSD:9")
    assert Request().on_timeout(True) == (True, expected)
    assert Request().revoked() == expected
    with pytest.raises(ValueError, match="no"):
        Request().on_failure()
    assert current() is None


def test_context_of_a_block_ends_with_it() -> None:
    with log_context(LogContext("a", "b", "c")):
        assert current() == LogContext("a", "b", "c")
    assert current() is None
