"""Decisions as values: the text made of them, their JSON, and what version 0.1.0 wrote instead of them."""

from typing import Any

import msgspec
import pytest

from trading.events.decisions import (
    NO_SIGNAL,
    CandleDecision,
    DecisionKind,
    Decisions,
    RecordedSignal,
    decode,
    describe,
    encode,
    has_no_signal,
    has_too_few_rows,
    is_of_stops,
    not_executed,
    without_candle_counts,
)
from trading.events.legacy_text import read_decisions
from trading.events.messages import SignalGenerated
from trading_orchestrator.testing.candles import START_MS, SYMBOL, make_candles

BUY_SIGNAL = RecordedSignal("buy", 101.5, "crossed: up")
TOO_FEW_ROWS = CandleDecision(DecisionKind.TOO_FEW_ROWS, row_count=1, required_row_count=3)
WARMING_UP = msgspec.structs.replace(TOO_FEW_ROWS, candle_count=91, required_candle_count=204)
QUARANTINED = CandleDecision(DecisionKind.QUARANTINED, policy="hold")
SIGNAL = CandleDecision(DecisionKind.SIGNAL, signal=BUY_SIGNAL)
ACCEPTED = CandleDecision(DecisionKind.ACCEPTED, reason="buy 2 units at 101.5: crossed", signal=BUY_SIGNAL)
REJECTED = CandleDecision(DecisionKind.REJECTED, rule="paused", reason="no entries", signal=BUY_SIGNAL)
EXIT_REJECTED = CandleDecision(DecisionKind.REJECTED, rule="halted", reason="lost", exit_rule="trailing_stop")
RULED = CandleDecision(DecisionKind.REJECTED, rule="halted", reason="lost")
BEFORE = CandleDecision(DecisionKind.DECIDED_BEFORE, signal=BUY_SIGNAL)
MOVED = CandleDecision(DecisionKind.STOP_MOVED, reason="trailing_stop: 2", stop_before=95.0, stop_after=97.0)
PLACED = CandleDecision(DecisionKind.STOP_MOVED, reason="a level", stop_after=97.0)
KEPT = CandleDecision(DecisionKind.STOP_KEPT, reason="more room", stop_before=95.0, refusal="XAUUSD is stopped")
NO_PRICE = CandleDecision(DecisionKind.STOP_KEPT, reason="nan is no price", rule="stop_price", stop_before=95.0)


def of(one: CandleDecision, **changes: Any) -> CandleDecision:
    return msgspec.structs.replace(one, **changes)


TEXTS = [
    (NO_SIGNAL, "no signal"),
    ((TOO_FEW_ROWS,), "too few rows: 1 of 3"),
    ((QUARANTINED,), "quarantined (hold): nothing is decided"),
    ((SIGNAL,), "buy at 101.5: crossed: up"),
    ((ACCEPTED,), "buy 2 units at 101.5: crossed"),
    ((REJECTED,), "buy at 101.5: crossed: up -> refused by paused: no entries"),
    ((EXIT_REJECTED,), "exit -> refused by halted: lost"),
    ((BEFORE,), "buy at 101.5: crossed: up -> decided before"),
    ((MOVED,), "stop 95 -> 97: trailing_stop: 2"),
    ((PLACED,), "stop none -> 97: a level"),
    ((KEPT,), "the stop stays at 95: XAUUSD is stopped: more room"),
    ((NO_PRICE,), "the stop stays at 95: nan is no price"),
    ((of(ACCEPTED, is_dry_run=True),), "dry run, nothing sent: buy 2 units at 101.5: crossed"),
    ((of(MOVED, is_dry_run=True),), "dry run, nothing sent: stop 95 -> 97: trailing_stop: 2"),
    ((of(ACCEPTED, strategy="a"), of(MOVED, strategy="b-2")), f"a: {ACCEPTED.reason} | b-2: {describe((MOVED,))}"),
    (not_executed((SIGNAL,)), "buy at 101.5: crossed: up -> not executed, trade execution is not enabled"),
    (
        not_executed((of(SIGNAL, strategy="a"), of(REJECTED, strategy="b"))),
        "a: buy at 101.5: crossed: up | b: buy at 101.5: crossed: up -> refused by paused: no entries"
        " -> not executed, trade execution is not enabled",
    ),
]


@pytest.mark.parametrize(("decisions", "text"), TEXTS)
def test_describe_of_each_kind_is_a_text_that_names_what_was_decided(decisions: Decisions, text: str) -> None:
    assert describe(decisions) == text


@pytest.mark.parametrize(
    ("decisions", "text"),
    [
        ((MOVED, REJECTED), f"{describe((MOVED,))}; {describe((REJECTED,))}"),
        ((RULED,), "lost"),
        ((CandleDecision(DecisionKind.UNKNOWN, text="it rained"),), "it rained"),
    ],
)
def test_describe_of_what_has_no_single_form_in_version_0_1_0(decisions: Decisions, text: str) -> None:
    assert describe(decisions) == text


@pytest.mark.parametrize(("decisions", "_text"), TEXTS)
def test_decisions_as_json_and_back_are_the_same(decisions: Decisions, _text: str) -> None:
    assert decode(encode(decisions)) == decisions


def test_json_of_the_journal_stays_as_it_is() -> None:
    assert encode(NO_SIGNAL) == b'[{"kind":"no_signal"}]'
    assert encode((of(REJECTED, strategy="a"),)) == (
        b'[{"kind":"rejected","strategy":"a","reason":"no entries","rule":"paused",'
        b'"signal":{"side":"buy","price":101.5,"reason":"crossed: up"}}]'
    )


def test_a_candle_reports_nothing_where_no_strategy_gave_a_signal_whether_executed_or_not() -> None:
    assert has_no_signal(NO_SIGNAL)
    assert has_no_signal(not_executed(NO_SIGNAL))
    assert not has_no_signal((TOO_FEW_ROWS,))
    assert not has_no_signal((MOVED,))


def test_kinds_of_a_candle_are_those_of_all_its_decisions() -> None:
    assert has_too_few_rows((TOO_FEW_ROWS,))
    assert not has_too_few_rows(NO_SIGNAL)
    assert is_of_stops((MOVED, KEPT))
    assert not is_of_stops((MOVED, REJECTED))


@pytest.mark.parametrize(("decisions", "text"), TEXTS)
def test_text_of_version_0_1_0_is_read_as_the_kinds_that_it_reports_of(decisions: Decisions, text: str) -> None:
    read = read_decisions(text)

    assert describe(read) == text
    assert [(one.kind, one.strategy, one.is_dry_run, one.is_executed) for one in read] == [
        (one.kind, one.strategy, one.is_dry_run, one.is_executed) for one in decisions
    ]
    named = [(one.rule, made.rule) for one, made in zip(read, decisions, strict=True) if one.kind == "rejected"]
    assert all(rule == expected for rule, expected in named)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: buy 1 units: x | y | b: stop 1 -> 2: z", [("a", "buy 1 units: x | y"), ("b", "stop 1 -> 2: z")]),
        ("buy at 5: x | b: y", [("", "buy at 5: x | b: y")]),
        ("it rained", [("", "it rained")]),
        ("", [("", "")]),
    ],
)
def test_text_of_version_0_1_0_is_cut_where_a_strategy_is_named(text: str, expected: list[tuple[str, str]]) -> None:
    read = read_decisions(text)

    assert [(one.strategy, one.text) for one in read] == expected
    assert describe(read) == text


def message(decisions: list[Any]) -> dict[str, Any]:
    return {
        "symbol": SYMBOL,
        "timeframe": "1m",
        "after_ms": START_MS - 60_000,
        "candles": make_candles(len(decisions)).rows(),
        "as_of_ms": START_MS,
        "desired": "running",
        "has_exposure": True,
        "signals": [],
        "regimes": ["unknown"] * len(decisions),
        "decisions": decisions,
    }


def test_message_of_version_0_1_0_on_its_way_is_read() -> None:
    found = SignalGenerated.model_validate(message(["too few rows: 1 of 3", "no signal", "sell at 5: crossed"]))

    assert found.decisions[:2] == [(TOO_FEW_ROWS,), NO_SIGNAL]
    assert found.decisions[2][0].kind is DecisionKind.SIGNAL
    assert SignalGenerated.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("wrong", [7, {"kind": "no_signal"}, [{"kind": "a mood"}], [{}]])
def test_message_with_decisions_that_are_none_is_rejected(wrong: object) -> None:
    with pytest.raises(ValueError, match="decisions"):
        SignalGenerated.model_validate(message([wrong]))


def test_candle_before_the_window_is_complete_reports_the_candles_and_those_needed() -> None:
    assert describe((WARMING_UP,)) == "warming up: 91 of 204 candles"
    assert describe(without_candle_counts((WARMING_UP,))) == "too few rows: 1 of 3"
    assert decode(encode((WARMING_UP,))) == (WARMING_UP,)
