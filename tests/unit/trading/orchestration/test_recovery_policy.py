"""The recovery policy: the steps for an unhealthy symbol, their times, and their end."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.orchestration.diagnosis import HealthIssue, HealthIssueKind
from trading.orchestration.recovery_policy import Action, EscalationState, RecoveryPolicy, RecoveryStep, escalate

TERMS = RecoveryPolicy(interval_s=60)
MINUTE_MS = 60_000
FAILED = HealthIssue(HealthIssueKind.STEP_FAILED, "ValueError: no", "StrategyEvaluationService")
OUTSIDE = HealthIssue(HealthIssueKind.OUTSIDE_FAILED, "Transient: feed: away", "DataFetchingService")
STALLED = HealthIssue(HealthIssueKind.NO_PROGRESS, "no chain has ended well for 300 s")
UNSERVED = HealthIssue(HealthIssueKind.NO_CONSUMER, "no worker consumes its queue")


def play(
    found: Sequence[HealthIssue],
    *,
    minutes: int,
    escalation: EscalationState | None = None,
    policy: RecoveryPolicy = TERMS,
) -> tuple[EscalationState, list[tuple[int, Action]]]:
    """Look once a minute at a symbol that stays as sick as it is."""
    escalation = escalation or EscalationState()
    taken = []
    for minute in range(1, minutes + 1):
        escalation, action = escalate(escalation, found, now_ms=minute * MINUTE_MS, progress_ms=None, policy=policy)
        if action is not None:
            taken.append((minute, action))
    return escalation, taken


def rungs(taken: list[tuple[int, Action]]) -> list[tuple[int, RecoveryStep, int]]:
    return [(minute, action.step, action.attempt) for minute, action in taken]


def test_step_that_always_fails_is_restarted_three_times_then_its_symbol_then_quarantined() -> None:
    _, taken = play([FAILED], minutes=16)

    assert rungs(taken) == [
        (1, RecoveryStep.RESTART_SERVICE, 1),
        (2, RecoveryStep.RESTART_SERVICE, 2),
        (4, RecoveryStep.RESTART_SERVICE, 3),
        (8, RecoveryStep.RESTART_SYMBOL, 1),
        (16, RecoveryStep.QUARANTINE, 1),
    ]
    assert "3 service and 1 symbol restart(s) did not help: ValueError: no" in taken[-1][1].reason


def test_outside_that_stays_away_is_reported_once_and_never_leads_to_quarantine() -> None:
    _, taken = play([OUTSIDE, STALLED], minutes=600)

    assert {action.step for _, action in taken} == {RecoveryStep.RESTART_SERVICE, RecoveryStep.NOTIFY}
    assert [minute for minute, action in taken if action.step is RecoveryStep.NOTIFY] == [8]
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(taken)) <= 16


def test_stall_without_a_failing_service_restarts_the_symbol_at_once() -> None:
    _, taken = play([STALLED], minutes=2)

    assert rungs(taken) == [(1, RecoveryStep.RESTART_SYMBOL, 1), (2, RecoveryStep.QUARANTINE, 1)]


def test_queue_without_a_worker_is_reported_and_nothing_is_restarted() -> None:
    _, taken = play([UNSERVED, STALLED], minutes=60)

    assert rungs(taken) == [(1, RecoveryStep.NOTIFY, 1)]


def test_success_after_an_action_ends_the_course_and_resets_the_count() -> None:
    escalation, _ = play([FAILED], minutes=2)
    before, nothing = escalate(escalation, (), now_ms=3 * MINUTE_MS, progress_ms=2 * MINUTE_MS - 1, policy=TERMS)
    after, recovered = escalate(before, (), now_ms=4 * MINUTE_MS, progress_ms=3 * MINUTE_MS, policy=TERMS)

    assert nothing is None, "no chain has ended well since the last restart, so it is not known to have helped"
    assert before == escalation
    assert recovered is not None
    assert recovered.step is RecoveryStep.RECOVERED
    assert (after.kind, after.service_attempts, after.actions) == ("", 0, 0)
    assert after.restarts_ms == escalation.restarts_ms, "what the budget counts stays"


def test_error_that_went_away_before_anything_was_done_leaves_no_trace() -> None:
    sick = EscalationState(kind="step_failed", reason="once", since_ms=1)

    assert escalate(sick, (), now_ms=2, progress_ms=None, policy=TERMS) == (EscalationState(), None)


def test_restarts_that_never_last_use_up_the_budget_of_the_symbol() -> None:
    escalation, taken = EscalationState(), []
    for minute in range(1, 61):
        escalation, action = escalate(escalation, [FAILED], now_ms=minute * MINUTE_MS, progress_ms=None, policy=TERMS)
        taken += [action] if action else []
        escalation, _ = escalate(
            escalation, (), now_ms=minute * MINUTE_MS + 30_000, progress_ms=minute * MINUTE_MS + 1, policy=TERMS
        )
    assert [action.step for action in taken[:13]] == [RecoveryStep.RESTART_SERVICE] * 12 + [RecoveryStep.QUARANTINE]
    assert "12 restarts within an hour did not last" in taken[12].reason


def test_restarts_of_an_hour_ago_count_no_more() -> None:
    escalation = EscalationState(restarts_ms=tuple(range(12)))
    after, action = escalate(escalation, [FAILED], now_ms=3_600_000 + 12, progress_ms=None, policy=TERMS)

    assert action is not None
    assert action.step is RecoveryStep.RESTART_SERVICE
    assert after.restarts_ms == (3_600_012,)


def test_budget_of_the_account_stops_restarts_and_reports_once() -> None:
    escalation, first = escalate(
        EscalationState(), [FAILED], now_ms=1, progress_ms=None, policy=TERMS, account_restarts=TERMS.account_budget
    )
    _, second = escalate(
        escalation, [FAILED], now_ms=10**9, progress_ms=None, policy=TERMS, account_restarts=TERMS.account_budget
    )

    assert first is not None
    assert first.step is RecoveryStep.NOTIFY
    assert "60 restarts of all symbols within an hour" in first.reason
    assert second is None


def test_failing_step_goes_before_a_feed_that_is_away() -> None:
    escalation, action = escalate(EscalationState(), [OUTSIDE, FAILED], now_ms=1, progress_ms=None, policy=TERMS)

    assert escalation.kind == "step_failed"
    assert action is not None
    assert action.issue == FAILED


def test_attempts_at_the_outside_do_not_count_against_a_step_that_fails_later() -> None:
    escalation, _ = play([OUTSIDE], minutes=8)
    _, taken = play([FAILED], minutes=40, escalation=escalation)

    assert [action.step for _, action in taken][:3] == [RecoveryStep.RESTART_SERVICE] * 3


found = st.lists(
    st.builds(HealthIssue, st.sampled_from(list(HealthIssueKind)), st.just("why"), st.sampled_from(["", "a"])),
    max_size=3,
)


@given(st.lists(st.tuples(found, st.booleans(), st.integers(1, 600)), max_size=200))
def test_no_storm_whatever_happens(looks: list[tuple[list[HealthIssue], bool, int]]) -> None:
    escalation, now_ms, restarts = EscalationState(), 1_000, []
    for sicknesses, has_progress, wait_s in looks:
        now_ms += wait_s * 1000
        before = escalation
        progress_ms = now_ms if has_progress else None
        escalation, action = escalate(escalation, sicknesses, now_ms=now_ms, progress_ms=progress_ms, policy=TERMS)
        if action is None:
            continue
        assert action.step is RecoveryStep.RECOVERED or now_ms >= before.next_ms, "nothing is done before its time"
        if action.step in (RecoveryStep.RESTART_SERVICE, RecoveryStep.RESTART_SYMBOL):
            assert action.issue is not None
            assert not action.issue.kind.is_of_worker
            restarts.append(now_ms)
        if action.step is RecoveryStep.QUARANTINE:
            assert action.issue is not None
            assert not action.issue.kind.is_outside
    for at_ms in restarts:
        assert sum(at_ms <= other < at_ms + 3_600_000 for other in restarts) <= TERMS.symbol_budget


@pytest.mark.parametrize("kind", list(HealthIssueKind))
def test_each_issue_has_a_first_step(kind: HealthIssueKind) -> None:
    _, action = escalate(EscalationState(), [HealthIssue(kind, "why")], now_ms=1, progress_ms=None, policy=TERMS)

    assert action is not None


def test_fence_in_the_future_is_notified_once_and_restarts_nothing() -> None:
    ahead = HealthIssue(HealthIssueKind.FENCE_AHEAD, "its fence lies in the year 2200")
    _, taken = play([ahead, STALLED], minutes=600)

    assert rungs(taken) == [(1, RecoveryStep.NOTIFY, 1)]
