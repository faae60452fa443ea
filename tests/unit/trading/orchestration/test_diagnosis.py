"""Observations of a symbol, and the health issues that follow from them."""

from typing import Any

import pytest

from trading.lifecycle import DesiredState, ServiceState
from trading.orchestration.diagnosis import HealthIssueKind, HealthSnapshot, TaskFailure, WorkerHeartbeat, diagnose
from trading.services.status import ErrorKind, ServiceStatus
from trading.structs import replace

NOW_MS = 1_774_360_800_000
WORKER = WorkerHeartbeat("XAUUSD@here", age_s=1.0, up_s=3_000.0)


RUNNING = ServiceStatus(service_name="StrategyEvaluationService", symbol="XAUUSD", state=ServiceState.RUNNING)


WELL = HealthSnapshot(
    now_ms=NOW_MS,
    desired=DesiredState.RUNNING,
    services=(RUNNING,),
    reported_ms=NOW_MS - 100_000,
    progress_ms=NOW_MS - 10_000,
    stale_s=120.0,
    workers=(WORKER,),
    began_ms=NOW_MS - 3_600_000,
)


def kinds(seen: HealthSnapshot, **more: int) -> list[HealthIssueKind]:
    return [issue.kind for issue in diagnose(seen, **more)]


def failing(error: str, kind: ErrorKind = ErrorKind.INTERNAL) -> HealthSnapshot:
    return replace(WELL, services=(RUNNING.with_error(error, kind),), reported_ms=NOW_MS - 1_000)


def test_symbol_that_decides_is_healthy() -> None:
    assert diagnose(WELL) == ()


def test_step_that_raised_is_named_with_its_service_and_error() -> None:
    [issue] = diagnose(failing("ValueError: no"))

    assert issue.kind is HealthIssueKind.STEP_FAILED
    assert (issue.service, issue.reason) == ("StrategyEvaluationService", "ValueError: no")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ErrorKind.TIME_LIMIT, HealthIssueKind.STEP_HUNG),
        (ErrorKind.PROCESS_LOST, HealthIssueKind.STEP_LOST),
        (ErrorKind.TRANSIENT, HealthIssueKind.OUTSIDE_FAILED),
        (ErrorKind.BAD_CANDLE, HealthIssueKind.OUTSIDE_FAILED),
        (ErrorKind.STRATEGY, HealthIssueKind.STEP_FAILED),
        (ErrorKind.REJECTED, HealthIssueKind.STEP_FAILED),
        (ErrorKind.INTERNAL, HealthIssueKind.STEP_FAILED),
    ],
)
def test_error_is_judged_by_its_kind_whatever_its_text(kind: ErrorKind, expected: HealthIssueKind) -> None:
    for text in ("BadCandle: SoftTimeLimitExceeded", "Transient: away", "8 s"):
        assert kinds(failing(text, kind)) == [expected]


@pytest.mark.parametrize("is_hung", [True, False])
def test_process_that_ended_in_a_step_is_reported_once_beside_its_status(is_hung: bool) -> None:
    failure = TaskFailure("StrategyEvaluationService", is_hung, "killed after 15 s", NOW_MS - 1_000)
    seen = replace(failing("TimeLimitExceeded: 15 s"), failures=(failure,))

    assert kinds(seen) == [HealthIssueKind.STEP_HUNG if is_hung else HealthIssueKind.STEP_LOST]


def test_trouble_before_the_last_success_is_over() -> None:
    failure = TaskFailure("StrategyEvaluationService", True, "killed after 15 s", NOW_MS - 20_000)

    assert kinds(replace(WELL, failures=(failure,))) == []


def test_error_from_before_the_last_action_is_no_news() -> None:
    assert kinds(failing("ValueError: no"), acted_ms=NOW_MS - 500) == []


def test_closed_market_may_be_silent_and_its_feed_away() -> None:
    seen = replace(failing("Transient: feed: away", ErrorKind.TRANSIENT), is_open=False, progress_ms=NOW_MS - 9_000_000)

    assert kinds(seen) == []
    assert kinds(replace(WELL, is_open=False, feed="newest candle is 3 hours old")) == []


def test_closed_market_does_not_hide_a_symbol_that_nobody_serves() -> None:
    seen = replace(WELL, is_open=False, progress_ms=NOW_MS - 9_000_000)

    assert kinds(seen) == [HealthIssueKind.NO_PROGRESS]


def test_silence_counts_from_the_last_success_or_from_the_beginning() -> None:
    assert kinds(replace(WELL, progress_ms=NOW_MS - 121_000)) == [HealthIssueKind.NO_PROGRESS]
    assert kinds(replace(WELL, progress_ms=None, began_ms=NOW_MS - 100_000)) == []
    assert kinds(replace(WELL, progress_ms=None, began_ms=NOW_MS - 121_000)) == [HealthIssueKind.NO_PROGRESS]


def test_worker_that_has_just_begun_is_given_time() -> None:
    late = replace(WELL, progress_ms=NOW_MS - 900_000)

    assert kinds(late) == [HealthIssueKind.NO_PROGRESS]
    assert kinds(replace(late, workers=(replace(WORKER, up_s=30.0),))) == []


def test_queue_without_a_worker_is_reported_after_a_while() -> None:
    assert kinds(replace(WELL, workers=())) == [], "a worker may be starting"
    assert kinds(replace(WELL, workers=(), progress_ms=NOW_MS - 30_000)) == [HealthIssueKind.NO_CONSUMER]


def test_worker_without_a_sign_of_life_is_stuck_and_one_that_moves_hides_it() -> None:
    silent = replace(WORKER, age_s=40.0)
    seen = replace(WELL, workers=(silent,), progress_ms=NOW_MS - 30_000)

    assert kinds(seen) == [HealthIssueKind.WORKER_STUCK]
    assert kinds(replace(seen, workers=(silent, WORKER))) == []


def test_single_process_has_no_workers_to_miss() -> None:
    assert kinds(replace(WELL, workers=None, progress_ms=NOW_MS - 100_000)) == []


def test_flood_is_reported_when_it_does_not_shrink() -> None:
    flood = replace(WELL, queued=5_000)

    assert kinds(flood) == [], "the first look knows no growth"
    assert kinds(flood, queued_before=4_000) == [HealthIssueKind.QUEUE_GROWS]
    assert kinds(flood, queued_before=6_000) == []


def test_feed_that_shows_nothing_new_in_an_open_market_is_silent() -> None:
    assert kinds(replace(WELL, feed="newest candle is 5 minutes old")) == [HealthIssueKind.FEED_SILENT]


@pytest.mark.parametrize("seen", [{"desired": DesiredState.STOPPED}, {"quarantine": "hold"}])
def test_symbol_that_is_not_to_run_is_never_unhealthy(seen: dict[str, Any]) -> None:
    assert kinds(replace(failing("ValueError: no"), workers=(), **seen)) == []


def test_cause_comes_before_what_follows_from_it() -> None:
    seen = replace(failing("ValueError: no"), progress_ms=NOW_MS - 999_000)

    assert kinds(seen) == [HealthIssueKind.STEP_FAILED, HealthIssueKind.NO_PROGRESS]


def test_fence_in_the_future_is_an_issue_of_a_symbol_that_answers_every_tick() -> None:
    [issue] = diagnose(replace(WELL, ahead="its fence lies in the year 2200"))

    assert (issue.kind, issue.reason) == (HealthIssueKind.FENCE_AHEAD, "its fence lies in the year 2200")
    assert issue.kind.needs_operator
    assert not issue.kind.is_notice


def test_rejected_message_is_a_notice() -> None:
    [issue] = diagnose(replace(WELL, rejected="incident 7"))

    assert (issue.kind, issue.reason) == (HealthIssueKind.MESSAGE_REJECTED, "incident 7")
    assert issue.kind.is_notice
