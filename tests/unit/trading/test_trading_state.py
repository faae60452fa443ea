"""The permissions of a symbol: one table over all combinations, and no second policy in any module."""

import ast
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from trading.lifecycle import DesiredState, PositionPolicy
from trading.trading_state import (
    DECISION_ORDER,
    UNSENT_ENTRY_ORDER,
    UNSENT_EXIT_ORDER,
    Cause,
    Processing,
    Restriction,
    TradingState,
    describe,
    describe_unsent,
    permissions,
)

ROOT = Path(__file__).parents[3]

RUNNING, PAUSED, STOPPED = DesiredState.RUNNING, DesiredState.PAUSED, DesiredState.STOPPED
ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
FULL, PROTECT, FLATTEN, NOTHING = Processing.FULL, Processing.PROTECT, Processing.FLATTEN, Processing.NOTHING
POLICIES: tuple[PositionPolicy, ...] = get_args(PositionPolicy)

# Written out by hand, so that the policy is held against a second source: by desired state, whether an incident halts
# it, policy of its quarantine and whether a drawdown is latched. Letters: n entries, x exits, m stop moves.
TABLE = {
    (RUNNING, False, None, False): (ACTIVE, "nxm", FULL, ""),
    (RUNNING, False, None, True): (REDUCING, "xm", FULL, "drawdown_latch"),
    (RUNNING, False, "hold", False): (REDUCING, "xm", PROTECT, "quarantined"),
    (RUNNING, False, "hold", True): (REDUCING, "xm", PROTECT, "quarantined"),
    (RUNNING, False, "flatten", False): (REDUCING, "xm", FLATTEN, "quarantined"),
    (RUNNING, False, "flatten", True): (REDUCING, "xm", FLATTEN, "quarantined"),
    (RUNNING, False, "alert", False): (REDUCING, "xm", NOTHING, "quarantined"),
    (RUNNING, False, "alert", True): (REDUCING, "xm", NOTHING, "quarantined"),
    (RUNNING, True, None, False): (HALTED, "", FULL, "halted"),
    (RUNNING, True, None, True): (HALTED, "", FULL, "halted"),
    (RUNNING, True, "hold", False): (HALTED, "", PROTECT, "halted"),
    (RUNNING, True, "hold", True): (HALTED, "", PROTECT, "halted"),
    (RUNNING, True, "flatten", False): (HALTED, "", FLATTEN, "halted"),
    (RUNNING, True, "flatten", True): (HALTED, "", FLATTEN, "halted"),
    (RUNNING, True, "alert", False): (HALTED, "", NOTHING, "halted"),
    (RUNNING, True, "alert", True): (HALTED, "", NOTHING, "halted"),
    (PAUSED, False, None, False): (REDUCING, "xm", FULL, "paused"),
    (PAUSED, False, None, True): (REDUCING, "xm", FULL, "paused"),
    (PAUSED, False, "hold", False): (REDUCING, "xm", PROTECT, "paused"),
    (PAUSED, False, "hold", True): (REDUCING, "xm", PROTECT, "paused"),
    (PAUSED, False, "flatten", False): (REDUCING, "xm", FLATTEN, "paused"),
    (PAUSED, False, "flatten", True): (REDUCING, "xm", FLATTEN, "paused"),
    (PAUSED, False, "alert", False): (REDUCING, "xm", NOTHING, "paused"),
    (PAUSED, False, "alert", True): (REDUCING, "xm", NOTHING, "paused"),
    (PAUSED, True, None, False): (HALTED, "", FULL, "halted"),
    (PAUSED, True, None, True): (HALTED, "", FULL, "halted"),
    (PAUSED, True, "hold", False): (HALTED, "", PROTECT, "halted"),
    (PAUSED, True, "hold", True): (HALTED, "", PROTECT, "halted"),
    (PAUSED, True, "flatten", False): (HALTED, "", FLATTEN, "halted"),
    (PAUSED, True, "flatten", True): (HALTED, "", FLATTEN, "halted"),
    (PAUSED, True, "alert", False): (HALTED, "", NOTHING, "halted"),
    (PAUSED, True, "alert", True): (HALTED, "", NOTHING, "halted"),
    (STOPPED, False, None, False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, None, True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "hold", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "hold", True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "flatten", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "flatten", True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "alert", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, False, "alert", True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, None, False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, None, True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "hold", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "hold", True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "flatten", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "flatten", True): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "alert", False): (HALTED, "", NOTHING, "stopped"),
    (STOPPED, True, "alert", True): (HALTED, "", NOTHING, "stopped"),
}


def test_table_holds_each_combination() -> None:
    assert set(TABLE) == set(product(DesiredState, [False, True], [None, *POLICIES], [False, True]))


@pytest.mark.parametrize("case", TABLE)
def test_permissions_of_each_combination_are_as_the_table_defines(
    case: tuple[DesiredState, bool, PositionPolicy | None, bool],
) -> None:
    desired, is_halted, policy, is_latched = case
    state, allowed, processing, rule = TABLE[case]

    found = permissions(
        desired,
        halted="no fill of ours" if is_halted else None,
        policy=policy,
        latched="12 % lost" if is_latched else None,
    )

    assert (found.state, found.processing) == (state, processing)
    assert (found.entries, found.exits, found.stop_moves) == ("n" in allowed, "x" in allowed, "m" in allowed)
    assert [why.rule for why in found.restrictions[:1]] == ([rule] if rule else [])
    assert found.why_no_entries == (found.restrictions[0] if rule else None)


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("order", [DECISION_ORDER, UNSENT_EXIT_ORDER, UNSENT_ENTRY_ORDER, DECISION_ORDER[::-1]])
def test_permissions_name_what_stands_against_an_exit_in_whatever_order(
    case: tuple[DesiredState, bool, PositionPolicy | None, bool], order: tuple[Cause, ...]
) -> None:
    desired, is_halted, policy, is_latched = case
    halted, latched = ("a" if is_halted else None), ("b" if is_latched else None)

    found = permissions(desired, halted=halted, policy=policy, latched=latched, order=order)

    ending = [
        cause
        for cause in order
        if (cause is Cause.STOPPED and desired is STOPPED) or (cause is Cause.INCIDENT and is_halted)
    ]
    assert [why.cause for why in (found.why_no_exits, found.why_no_stop_moves) if why] == ending[:1] * 2
    assert (found.exits, found.stop_moves) == (not ending, not ending)
    assert found.state is permissions(desired, halted=halted, policy=policy, latched=latched).state


@pytest.mark.parametrize("policy", POLICIES)
def test_quarantine_with_nothing_open_is_not_processed(policy: PositionPolicy) -> None:
    with_position = permissions(RUNNING, policy=policy)
    without = permissions(RUNNING, policy=policy, has_exposure=False)

    assert without.processing is NOTHING
    assert (without.state, without.exits) == (with_position.state, with_position.exits)
    assert permissions(PAUSED, has_exposure=False).processing is FULL


def test_quarantine_of_which_only_the_reason_is_known_lets_nothing_in() -> None:
    found = permissions(RUNNING, quarantined="hung 3 times")

    assert (found.entries, found.exits) == (False, True)
    assert found.restrictions == (Restriction(Cause.QUARANTINED, "hung 3 times", "hold"),)


def test_reconciliation_names_the_incident_first_for_exits_and_the_desired_state_first_for_entries() -> None:
    of_exit = permissions(STOPPED, halted="a", order=UNSENT_EXIT_ORDER).why_no_exits
    of_entry = permissions(PAUSED, halted="a", order=UNSENT_ENTRY_ORDER).why_no_entries

    assert of_exit == Restriction(Cause.INCIDENT, "a")
    assert of_entry == Restriction(Cause.PAUSED)


@pytest.mark.parametrize(
    ("why", "words", "unsent"),
    [
        (Restriction(Cause.STOPPED), "XAUUSD is stopped", "the symbol is stopped"),
        (Restriction(Cause.PAUSED), "XAUUSD is paused: no entries", "the symbol is paused"),
        (Restriction(Cause.INCIDENT, "a"), "a person must look first: a", "the symbol is halted: a"),
        (Restriction(Cause.QUARANTINED, "b", "hold"), "no entries: b", "b"),
        (Restriction(Cause.DRAWDOWN, "c"), "a person must look first: c", "c"),
    ],
)
def test_restriction_in_words_stays_as_it_is_stored(why: Restriction, words: str, unsent: str) -> None:
    assert (describe(why, "XAUUSD"), describe_unsent(why)) == (words, unsent)


COMPARED = {"desired", "halted", "latched", "quarantine", "quarantined"}
"""Names of what the policy is made of."""

ALLOWED = {
    "the policy": {"trading/trading_state.py"},
    "the store is made to agree with the ledger": {"trading/services/data_fetching/service.py"},
    "fields are packed and unpacked": {"adapters/ledger/queries/restrictions.py", "adapters/symbol_store/redis.py"},
    "the state that is shown of a symbol, and its transitions": {
        "trading/orchestration/symbol_orchestrator.py",
        "adapters/wiring/symbol_status.py",
    },
    "which symbols a command for all of them is for": {
        "trading/orchestration/multi_symbol_orchestrator.py",
        "tasks/control.py",
    },
    "a reload holds and releases only what no operator has paused or stopped": {
        "adapters/ledger/desired_states.py",
        "tasks/reload.py",
        "tasks/engine/worker_context.py",
    },
    "a migration of what an older version stored": {"adapters/ledger/migrations/versions/0006_held_by.py"},
    "words and colours for a reader": {
        "trading/backtest/explanation/explanation.py",
        "trading/backtest/headline.py",
        "trading/services/pipeline.py",
        "tasks/status_log.py",
        "trading_orchestrator/cli/operate/flatten.py",
        "trading_orchestrator/cli/inspect/status.py",
        "worker/checks/database.py",
        "trading_orchestrator/launcher/status_table.py",
    },
}
"""Modules that compare these, by why they are no second policy."""


def comparing_modules() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for package in ("trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator")
        for path in (ROOT / package).rglob("*.py")
        if "testing" not in path.parts  # contract suites assert what each state allows
        and any(map(_compares, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }


def _compares(node: ast.AST) -> bool:
    """Return whether a node compares or branches on a desired state, or on one of the names of the policy."""
    if isinstance(node, ast.Compare):
        return any(map(_is_of_policy, (node.left, *node.comparators)))
    if isinstance(node, ast.Match):
        return _is_of_policy(node.subject)
    if isinstance(node, ast.MatchValue):
        return _is_of_policy(node.value)
    tested = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
    tested += node.values[:-1] if isinstance(node, ast.BoolOp) else []  # the last is what comes out, as a default does
    return any(map(_is_of_policy, tested))


def _is_of_policy(node: ast.expr) -> bool:
    """Return whether an expression is a member of DesiredState, or an attribute or variable of the policy."""
    if isinstance(node, ast.UnaryOp):
        return _is_of_policy(node.operand)
    if isinstance(node, ast.Set | ast.Tuple | ast.List):
        return any(map(_is_of_policy, node.elts))
    if isinstance(node, ast.Attribute):
        of_class = isinstance(node.value, ast.Name) and node.value.id == "DesiredState"
        return of_class or node.attr in COMPARED
    return isinstance(node, ast.Name) and node.id in COMPARED


def test_no_module_but_the_policy_decides_what_a_desired_state_or_a_quarantine_means() -> None:
    assert comparing_modules() == set.union(*ALLOWED.values())


@pytest.mark.parametrize(
    "code",
    [
        "if memory.desired is DesiredState.STOPPED: pass",
        "x = view.halted is not None",
        "if seen.quarantine: pass",
        "x = ours.halted or 'the symbol is stopped'",
        "x = desired in {DesiredState.PAUSED}",
        "match state:\n case DesiredState.PAUSED: pass",
        "x = 1 if not halted else 2",
    ],
)
def test_search_finds_a_decision_of_its_own(code: str) -> None:
    assert any(map(_compares, ast.walk(ast.parse(code))))


def test_unprotected_position_stops_entries_alone_and_is_named_after_a_quarantine() -> None:
    permitted = permissions(RUNNING, unprotected="2 units have no stop")
    assert (permitted.state, permitted.entries, permitted.exits, permitted.stop_moves) == (REDUCING, False, True, True)
    assert permitted.processing is FULL
    why = permitted.why_no_entries
    assert why is not None
    assert (why.rule, describe(why, "XAUUSD"), describe_unsent(why)) == ("unprotected", *["2 units have no stop"] * 2)

    both = permissions(RUNNING, quarantined="hung", unprotected="2 units have no stop", latched="lost too much")
    assert [one.rule for one in both.restrictions] == ["quarantined", "unprotected", "drawdown_latch"]
