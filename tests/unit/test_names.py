"""The code keeps to the field's terms: names that were replaced do not come back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator", "tests", "benchmarks")
READERS_OF_OLD_DATA = ("/migrations/",)

REPLACED = {
    "Adopt": "UpdateOrder",
    "AdoptionWish": "AdoptionRequest",
    "AllButLast": "EqualIgnoringLastField",
    "Asked": "EntryRequest",
    "AskedSignal": "RecordedSignal",
    "CheckedVenue": "ValidatedVenue",
    "Chronicle": "BatchCommitter",
    "Course": "EscalationState",
    "Crew": "WorkerAssignment",
    "Decided": "DecisionResult",
    "Deed": "Transaction",
    "End": "ChainResult",
    "EndReason": "ChainOutcome",
    "Errand": "ScheduledMessage",
    "ExitWatch": "ExitEvaluator",
    "FeedMemory": "FeedHistory",
    "FeedTrouble": "FeedIssue",
    "FileTape": "InMemoryCandles",
    "Flattened": "FlattenResult",
    "Flooded": "FloodedQueue",
    "Freshness": "SignalAgeLimit",
    "Guard": "WatchdogStep",
    "Happening": "EventRecord",
    "Harm": "SymbolFault",
    "HighWater": "HighWaterMark",
    "IncidentTeller": "IncidentPublisher",
    "Lack": "IncompleteReason",
    "LadderTerms": "RecoveryPolicy",
    "Leave": "WaitForVenue",
    "LeaveStop": "WaitForStop",
    "LedgerSide": "LedgerSnapshot",
    "LedgerView": "AccountSnapshot",
    "LetGo": "AbandonOrder",
    "Levels": "BracketPrices",
    "Looked": "SeriesSummary",
    "LyingVenue": "FaultInjectingVenue",
    "Mark": "OrderUpdate",
    "Misbehaving": "FaultyCode",
    "Observation": "HealthSnapshot",
    "OrderFate": "OrderOutcome",
    "Patience": "RetryBudget",
    "Planned": "PlannedOrder",
    "RedisStandings": "RedisSymbolRecords",
    "Rhythm": "Interval",
    "Ruling": "RiskDecisionRecord",
    "Rung": "RecoveryStep",
    "Scribe": "HeartbeatWriter",
    "SendStop": "ResendStop",
    "Settlement": "OrderManager",
    "Shown": "FeedSnapshot",
    "Sickness": "HealthIssue",
    "SicknessKind": "HealthIssueKind",
    "SimulatedTape": "SimulatedCandles",
    "Staff": "WorkerPool",
    "Standing": "StatusView",
    "Stranger": "OtherProgram",
    "SymbolComponents": "SymbolRuntime",
    "SymbolDesk": "SymbolAccess",
    "SymbolMemory": "SymbolSnapshot",
    "TELL": "NOTIFY",
    "Tape": "CandleSeries",
    "Tell": "RaiseIncident",
    "TroubleKind": "TaskFailureKind",
    "VERBS": "COMMANDS",
    "VenueSide": "VenueSnapshot",
    "Verbs": "Commands",
    "Verdict": "RiskDecision",
    "Wake": "AdvanceSymbol",
    "Wanted": "KillPlan",
    "Weight": "Severity",
    "Wish": "FlattenRequest",
    "Withdraw": "CancelOrder",
    "WorkerSeen": "WorkerHeartbeat",
    "Written": "Recorded",
    "_as_asked": "_in_named_format",
    "_asked": "_cause_text",
    "_chronicle": "_committer",
    "_go_on_counting": "_advance_sequences",
    "_is_alone": "_is_only_strategy",
    "_patience": "_retry_budget",
    "_settlement": "_order_manager",
    "_tell": "_report",
    "_teller": "_publisher",
    "_telling_driver_errors": "_translated_driver_errors",
    "_tells_apart": "_distinguishes_rows",
    "_told": "_reported",
    "born": "initial_intent",
    "climb": "escalate",
    "crew_processes": "assignment_processes",
    "crews": "first_assignments",
    "deed": "transaction",
    "deeds": "transactions",
    "explain_replay": "explain_backtest",
    "feed_memory": "feed_history",
    "feed_trouble": "feed_issue",
    "first_crews": "first_assignments",
    "forget_troubles": "forget_task_failures",
    "heard": "received",
    "in_this_process": "MultiSymbolTradingOrchestrator.local",
    "is_alone": "is_only_strategy",
    "is_wanted": "is_selected",
    "judge_of": "signal_evaluator",
    "last_words": "final_line",
    "let_go_in_pool_process": "close_pipe_in_pool_process",
    "liar": "venue",
    "mark_told": "mark_published",
    "misdeeds": "fault_count",
    "note_built": "record_built",
    "note_fetch": "record_fetch",
    "note_launcher": "record_launcher",
    "note_trouble": "record_task_failure",
    "noted": "record",
    "of_the_cluster": "MultiSymbolTradingOrchestrator.connect",
    "of_verdict": "decision_events",
    "pass_over": "skip_disabled",
    "read_troubles": "read_task_failures",
    "said_ms": "last_action_ms",
    "untell": "retract_incident",
    "until_a_person_came": "until_operator_change",
    "untold": "unpublished",
    "who_answers": "server_at",
    "who_listens": "listener_on",
    "without_what_came_before": "with_common_start",
    "words_of": "describe_order",
    "words_of_move": "describe_stop_move",
    "written_down": "persistence_check",
}
"""Present name by the name that it replaced."""


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.alias(name=name):
                yield node.lineno, name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name


def replaced_names(text: str) -> list[str]:
    return [
        f"line {line}: {name} is {REPLACED[name]}" for line, name in identifiers(ast.parse(text)) if name in REPLACED
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_that_were_replaced_are_not_used(folder: str) -> None:
    files = [
        file for file in (ROOT / folder).rglob("*.py") if not any(part in str(file) for part in READERS_OF_OLD_DATA)
    ]
    assert files
    found = {str(file.relative_to(ROOT)): names for file in files if (names := replaced_names(file.read_text()))}
    assert found == {}


def test_replaced_name_is_found_wherever_it_is_an_identifier() -> None:
    name, present = next(iter(REPLACED.items()))
    for text in (f"class {name}: ...", f"x = {name}", f"x.{name}", f"from y import {name}", f"def f({name}): ..."):
        assert replaced_names(text) == [f"line 1: {name} is {present}"]
    assert replaced_names(f"x = {name!r}") == []
