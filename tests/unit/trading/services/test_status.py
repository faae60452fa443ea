"""The status of a service: the kind of its last error, its JSON, and what version 0.1.0 stored."""

import json
from typing import Any

import pytest

from tasks.engine.task_failures import SoftTimeLimitExceeded
from trading.errors import BadCandle, Broken, Rejected, Transient, UnknownSymbol
from trading.lifecycle import ServiceState
from trading.services.status import ErrorKind, ServiceStatus, error_kind
from trading.strategies import StrategyFault

CREATED = ServiceStatus(service_name="DataFetchingService", symbol="XAUUSD")
KEYS_OF_VERSION_0_1_0 = {
    "service_name",
    "symbol",
    "state",
    "is_healthy",
    "error_count",
    "uptime",
    "processed_count",
    "recovery_attempts",
    "last_error",
    "is_transient",
    "consecutive_errors",
}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SoftTimeLimitExceeded("tasks.strategy", "XAUUSD", 8), ErrorKind.TIME_LIMIT),
        (Transient("redis", "BadCandle: SoftTimeLimitExceeded"), ErrorKind.TRANSIENT),
        (BadCandle(5, "high is below low"), ErrorKind.BAD_CANDLE),
        (StrategyFault("mine:Mine", "signals", "ValueError"), ErrorKind.STRATEGY),
        (Rejected("config_change", "a position is open"), ErrorKind.REJECTED),
        (UnknownSymbol("GOLD", ("XAUUSD",)), ErrorKind.REJECTED),
        (Broken("SoftTimeLimitExceeded"), ErrorKind.INTERNAL),
        (ValueError("BadCandle: no"), ErrorKind.INTERNAL),
    ],
)
def test_error_kind_comes_from_the_class(error: Exception, expected: ErrorKind) -> None:
    assert error_kind(error) is expected


def test_status_that_was_never_reported_has_the_keys_of_every_version() -> None:
    present = KEYS_OF_VERSION_0_1_0 | {"error_kind", "rejected_count", "last_rejection"}
    assert set(CREATED.as_dict()) == present
    assert set(CREATED.reported(7).as_dict()) == present | {"reported_at_ms"}


@pytest.mark.parametrize("kind", ErrorKind)
def test_status_comes_back_from_its_json(kind: ErrorKind) -> None:
    status = CREATED.with_error("Transient: BadCandle", kind).reported(1_774_360_800_000)

    again = ServiceStatus.from_json(status.to_json())

    assert again == status
    assert (again.state, again.error_count, again.consecutive_errors) == (ServiceState.ERROR, 1, 1)
    assert json.loads(status.to_json())["is_transient"] is (kind is ErrorKind.TRANSIENT)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, None),
        ({"last_error": None, "is_transient": False}, None),
        ({"last_error": "Transient: feed: away", "is_transient": True}, ErrorKind.TRANSIENT),
        ({"last_error": "BadCandle: XAUUSD candle of ...: crossed", "is_transient": False}, ErrorKind.BAD_CANDLE),
        ({"last_error": "SoftTimeLimitExceeded: tasks.strategy still ran after 8 s"}, ErrorKind.TIME_LIMIT),
        ({"last_error": "TimeLimitExceeded: tasks.strategy still ran after 10 s"}, ErrorKind.TIME_LIMIT),
        ({"last_error": "WorkerLostError: the process of tasks.fetch died"}, ErrorKind.PROCESS_LOST),
        ({"last_error": "Terminated: the process was killed on request"}, ErrorKind.PROCESS_LOST),
        ({"last_error": "StrategyFault: strategy mine: ValueError"}, ErrorKind.STRATEGY),
        ({"last_error": "Rejected: config_change: a position is open"}, ErrorKind.REJECTED),
        ({"last_error": "ValueError: BadCandle:"}, ErrorKind.INTERNAL),
    ],
)
def test_status_of_version_0_1_0_has_the_kind_that_its_text_defines(
    stored: dict[str, Any], expected: ErrorKind | None
) -> None:
    text = json.dumps({"service_name": "DataFetchingService", "symbol": "XAUUSD", "state": "error", **stored})

    status = ServiceStatus.from_json(text)

    assert (status.error_kind, status.last_error) == (expected, stored.get("last_error"))
    assert status.is_outside is (expected in (ErrorKind.TRANSIENT, ErrorKind.BAD_CANDLE))
