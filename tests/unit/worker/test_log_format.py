"""The format of a log line: as text, and as one JSON object."""

import json
import logging
import sys
from typing import Any

import pytest
from celery.app import trace

from tasks.engine.log_context import AddContext, LogContext, log_context
from worker.log_format import HumanFormatter, JsonFormatter

CONTEXT = LogContext("XAUUSD", "fetch", "XAUUSD:1m:1774360800000")


def record(text: str, *args: Any, context: LogContext | None = None, **extra: Any) -> logging.LogRecord:
    """Return a record as a handler gets it."""
    made = logging.LogRecord("tasks.engine.stage_runner", logging.INFO, "", 0, text, args, None)
    made.__dict__.update(extra)
    made.created, made.msecs = 1_774_360_800.012, 12.0
    with log_context(context):
        AddContext().filter(made)
    return made


def as_json(text: str, *args: Any, **extra: Any) -> dict[str, Any]:
    line = JsonFormatter().format(record(text, *args, **extra))
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def message_fields(text: str, *args: Any, **extra: Any) -> dict[str, Any]:
    """Return what a line says beside when, where and by whom it was written."""
    found = as_json(text, *args, **extra)
    return {key: value for key, value in found.items() if key not in {"time", "level", "process", "logger"}}


def test_json_line_has_time_in_utc_level_process_and_logger() -> None:
    assert as_json("hello there") == {
        "time": "2026-03-24T14:00:00.012+00:00",
        "level": "INFO",
        "process": "MainProcess",
        "logger": "tasks.engine.stage_runner",
        "message": "hello there",
    }


@pytest.mark.parametrize(
    ("text", "args", "fields"),
    [
        ("tick_failed reason=%s retry_s=%s", ("redis: gone", 0.5), {"reason": "redis: gone", "retry_s": 0.5}),
        ("beat_leads epoch=%s", (7,), {"epoch": 7}),
        ("beat_stopped", (), {}),
        ("refused reason=delivered again task=%s", ("tasks.x",), {"reason": "delivered again", "task": "tasks.x"}),
        (
            "told reason=%s: for tests, never with money",
            ("x=1 y=2",),
            {"reason": "x=1 y=2: for tests, never with money"},
        ),
        ("done share=%.1f%% of=%s", (12.34, "all"), {"share": "12.3%", "of": "all"}),
        ("failed error=%s", (ValueError("a b=c"),), {"error": "a b=c"}),
        ("odd ratio=%s", (float("nan"),), {"ratio": "nan"}),
    ],
)
def test_json_line_of_an_event_has_its_name_and_its_fields(text: str, args: Any, fields: dict[str, Any]) -> None:
    assert message_fields(text, *args) == {"event": text.split(maxsplit=1)[0], **fields}


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("Connected to %s", ("redis://",)),
        ("event bus on %s:%s, channel %s", ("a", 1, "b")),
        ("hello", ()),
        ("reason=%s", ("x",)),
    ],
)
def test_json_line_in_words_stays_a_message(text: str, args: Any) -> None:
    assert message_fields(text, *args) == {"message": text % args}


def test_json_line_of_an_event_never_hides_what_every_line_has() -> None:
    found = as_json("beat_leads level=%s symbol=%s", "high", "BTCUSD", context=CONTEXT)

    assert (found["level"], found["symbol"], found["event"]) == ("INFO", "XAUUSD", "beat_leads")


def test_json_line_in_a_task_has_symbol_stage_and_correlation_id() -> None:
    assert message_fields("report_failed reason=%s", "x", context=CONTEXT) == {
        "event": "report_failed",
        "symbol": "XAUUSD",
        "stage": "fetch",
        "correlation_id": "XAUUSD:1m:1774360800000",
        "reason": "x",
    }


def test_json_line_of_an_error_has_the_traceback_in_one_field() -> None:
    try:
        raise ValueError("no such price")
    except ValueError:
        found = as_json("broken", exc_info=sys.exc_info())

    assert found["error"].startswith("Traceback (most recent call last)")
    assert found["error"].endswith("ValueError: no such price")


def test_line_with_fields_of_its_own_gives_them_in_json_and_its_text_to_people() -> None:
    extra: dict[str, Any] = {"event": "status", "fields": {"balance": 1.5, "symbols": [{"symbol": "XAUUSD"}]}}

    assert message_fields("%s", "status balance 1.50", **extra) == {"event": "status", **extra["fields"]}
    assert HumanFormatter().format(record("%s", "status balance 1.50", **extra)).endswith(": status balance 1.50")


ABOUT = {"id": "tick:XAUUSD:9", "name": "tasks.fetch", "args": "()", "kwargs": "{'symbol': 'XAUUSD', 'deadline_ms': 1}"}


@pytest.mark.parametrize(
    ("text", "about", "expected"),
    [
        (trace.LOG_RECEIVED, {**ABOUT, "eta": None}, {"event": "task_received"}),
        (
            trace.LOG_SUCCESS,
            {**ABOUT, "runtime": 0.0123456, "return_value": '\'{"type":"NEW_CANDLE","symbol":"XAU...'},
            {"event": "task_succeeded", "runtime_s": 0.0123, "returned": "NEW_CANDLE"},
        ),
        (
            trace.LOG_SUCCESS,
            {**ABOUT, "runtime": 1.5, "return_value": "'no-new-candle'"},
            {"event": "task_succeeded", "runtime_s": 1.5, "returned": "no-new-candle"},
        ),
        (
            trace.LOG_SUCCESS,
            {**ABOUT, "runtime": 1.5, "return_value": "None"},
            {"event": "task_succeeded", "runtime_s": 1.5},
        ),
        (
            trace.LOG_FAILURE.strip(),
            {**ABOUT, "description": "raised unexpected", "exc": "ValueError('x')"},
            {"event": "task_failed", "reason": "ValueError('x')"},
        ),
    ],
)
def test_json_line_of_celery_about_a_task_is_an_event_with_its_context(
    text: str, about: dict[str, Any], expected: dict[str, Any]
) -> None:
    task = {"task": "tasks.fetch", "task_id": "tick:XAUUSD:9"}

    assert message_fields(text, about, data=about, context=CONTEXT) == {**CONTEXT.fields(), **task, **expected}


def test_human_line_names_symbol_step_and_candle_before_the_logger() -> None:
    assert HumanFormatter().format(record("report_failed reason=%s", "x", context=CONTEXT)) == (
        "2026-03-24 14:00:00.012 INFO    [XAUUSD fetch "
        "XAUUSD:1m:1774360800000] tasks.engine.stage_runner: report_failed reason=x"
    )


def test_human_line_outside_of_a_task_has_no_brackets() -> None:
    assert (
        HumanFormatter().format(record("hello")) == "2026-03-24 14:00:00.012 INFO    tasks.engine.stage_runner: hello"
    )


def test_human_line_of_a_step_shows_the_kind_of_its_message_and_not_all_of_it() -> None:
    about = {**ABOUT, "runtime": 0.012345678, "return_value": '\'{"type":"NEW_CANDLE","symbol":"XAU...'}

    assert (
        HumanFormatter()
        .format(record(trace.LOG_SUCCESS, about, data=about))
        .endswith("tasks.engine.stage_runner: Task tasks.fetch[tick:XAUUSD:9] succeeded in 0.0123 s: NEW_CANDLE")
    )


def test_human_line_of_an_error_is_followed_by_its_traceback() -> None:
    try:
        raise ValueError("no such price")
    except ValueError:
        lines = HumanFormatter().format(record("broken", exc_info=sys.exc_info())).splitlines()

    assert lines[0].endswith("tasks.engine.stage_runner: broken")
    assert lines[-1] == "  ValueError: no such price"


FORGED = "x\n2026-03-24 14:00:00.012 INFO    root: order filled\r\x1b[2Kgone\x85\u2028\u2029\u202eback\ud800\x00\x7f"


@pytest.mark.parametrize("text", ["strategy_failed reason=%s", "words about %s"])
def test_line_with_control_characters_stays_one_line_of_printable_text(text: str) -> None:
    human = HumanFormatter().format(record(text, FORGED))
    line = JsonFormatter().format(record(text, FORGED))

    for written in (human, line):
        assert written.splitlines() == [written]
        assert written.isprintable()
        written.encode()
    assert r"x\n2026" in human
    assert r"\u001b[2Kgone\u0085\u2028\u2029\u202eback\ud800\u0000\u007f" in human
    found = json.loads(line)
    assert FORGED in (found["reason"] if "reason" in found else found["message"])


def test_line_of_a_forged_symbol_stays_one_line() -> None:
    context = LogContext("XAU\nUSD", "fetch", "id\u2028id")

    human = HumanFormatter().format(record("hello", context=context))

    assert human.splitlines() == [human]
    assert r"[XAU\nUSD fetch id\u2028id]" in human


def test_traceback_of_a_forging_error_is_indented_line_by_line() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        human = HumanFormatter().format(record("broken", exc_info=sys.exc_info()))
        line = JsonFormatter().format(record("broken", exc_info=sys.exc_info()))

    first, *rest = human.split("\n")
    assert first.endswith(": broken")
    assert all(one.startswith("  ") and one.isprintable() for one in rest)
    assert line.isprintable()
    assert json.loads(line)["error"].endswith(FORGED)
