"""Exit rules, pure: where they want a stop, what they never do, and which of several answers stands."""

import math
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import Broken
from trading.exits.exit_rules import BreakEven, ExitRules, ExitTerms, RuleExit, RuleStop, TrailingStop
from trading.orders.orders import Side
from trading.risk.sizing import levels_of
from trading.strategies import ExitNow, MoveStop, PositionView
from trading.strategies.signal import Refusal, Signal, SignalSide

ENTRY = 100.0
TRAILING = ExitTerms(trailing_stop=TrailingStop(distance=2.0))


class Hook:
    """Answers what it was made with, and keeps the rows that it received."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.rows: list[Mapping[str, float]] = []

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        self.rows.append(row)
        return self.answer  # type: ignore[return-value]  # wrong answers are tried too


def held(side: Side = Side.BUY, *, stop: float | None = None, entry: float = ENTRY) -> PositionView:
    return PositionView(side, 2.0, entry, 0, stop)


def rules(terms: ExitTerms | None = None, answer: object = None, *, tick: float | None = None) -> ExitRules:
    return ExitRules(terms or ExitTerms(), None if answer is None else Hook(answer), tick)


def evaluated_on(one: ExitRules, close: float, position: PositionView) -> RuleExit | RuleStop | Refusal | None:
    return one.evaluated(close, {"close": close}, position)


def stop_of(answer: RuleExit | RuleStop | Refusal | None) -> float | None:
    assert answer is None or isinstance(answer, RuleStop)
    return None if answer is None else answer.stop_loss


@pytest.mark.parametrize(
    ("side", "stop", "close", "expected"),
    [
        (Side.BUY, None, 101.0, 99.0),
        (Side.BUY, 98.0, 101.0, 99.0),
        (Side.BUY, 99.0, 101.0, None),
        (Side.BUY, 99.5, 101.0, None),
        (Side.SELL, 102.0, 99.0, 101.0),
        (Side.SELL, 100.5, 99.0, None),
    ],
)
def test_trailing_stop_follows_the_close_and_never_goes_back(
    side: Side, stop: float | None, close: float, expected: float | None
) -> None:
    assert stop_of(evaluated_on(rules(TRAILING), close, held(side, stop=stop))) == expected


@pytest.mark.parametrize(("side", "beyond"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_trailing_stop_waits_for_the_profit_from_which_it_begins(side: Side, beyond: int) -> None:
    terms = ExitTerms(trailing_stop=TrailingStop(distance_fraction=0.01, from_profit_fraction=0.03))

    assert evaluated_on(rules(terms), ENTRY + beyond * 2.99, held(side, stop=ENTRY - beyond * 9)) is None
    found = stop_of(evaluated_on(rules(terms), ENTRY + beyond * 3.0, held(side, stop=ENTRY - beyond * 9)))
    assert found == pytest.approx((ENTRY + beyond * 3.0) * (1 - beyond * 0.01))


@pytest.mark.parametrize(("side", "beyond"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_break_even_moves_the_stop_once_to_the_entry_price_and_what_covers_costs(side: Side, beyond: int) -> None:
    terms = ExitTerms(break_even=BreakEven(from_profit=2.0, offset_fraction=0.001))
    first = held(side, stop=ENTRY - beyond * 5)

    assert evaluated_on(rules(terms), ENTRY + beyond * 1.9, first) is None
    found = stop_of(evaluated_on(rules(terms), ENTRY + beyond * 2.0, first))
    assert found == pytest.approx(ENTRY + beyond * 0.1)
    assert evaluated_on(rules(terms), ENTRY + beyond * 4.0, held(side, stop=found)) is None


def test_break_even_waits_while_its_stop_would_be_at_the_close_or_beyond() -> None:
    terms = ExitTerms(break_even=BreakEven(from_profit=1.0, offset_fraction=0.02))

    assert evaluated_on(rules(terms), ENTRY + 2.0, held(stop=95.0)) is None
    assert stop_of(evaluated_on(rules(terms), ENTRY + 2.5, held(stop=95.0))) == pytest.approx(102.0)


@pytest.mark.parametrize(("side", "close", "expected"), [(Side.BUY, 101.037, 99.05), (Side.SELL, 98.963, 100.95)])
def test_stop_is_rounded_to_the_tick_towards_the_market(side: Side, close: float, expected: float) -> None:
    assert stop_of(evaluated_on(rules(TRAILING, tick=0.05), close, held(side))) == expected


def test_stop_that_rounding_leads_back_to_where_it_rests_is_not_moved() -> None:
    assert evaluated_on(rules(TRAILING, tick=1.0), 101.0, held(stop=99.0)) is None
    assert evaluated_on(rules(TRAILING, tick=1.0), 100.9, held(stop=99.0)) is None
    assert stop_of(evaluated_on(rules(TRAILING, tick=1.0), 101.1, held(stop=99.0))) == 100.0


@pytest.mark.parametrize(("side", "price"), [(SignalSide.BUY, 95.03), (SignalSide.SELL, 104.97)])
def test_hook_that_requests_the_price_that_the_entry_requested_requests_the_same_stop(
    side: SignalSide, price: float
) -> None:
    signal = Signal(strategy="hooked", side=side, open_ms=0, price=ENTRY, reason="", stop_loss=price)
    rests = levels_of(signal, 0.1).stop_loss

    assert (
        evaluated_on(rules(None, MoveStop(price, "as at entry"), tick=0.1), ENTRY, held(Side(side.value), stop=rests))
        is None
    )


@pytest.mark.parametrize(
    ("side", "price_of_stop", "close", "expected"),
    [
        (Side.BUY, 100.97, 101.0, 100.95),
        (Side.BUY, 100.97, 100.98, 100.95),
        (Side.BUY, 100.93, 101.0, 100.95),
        (Side.SELL, 99.03, 99.0, 99.05),
        (Side.BUY, 0.4, 0.9, 0.4),
    ],
)
def test_stop_that_rounding_alone_would_lead_to_the_close_goes_to_the_tick_before(
    side: Side, price_of_stop: float, close: float, expected: float
) -> None:
    tick = 1.0 if close < 1 else 0.05
    assert stop_of(evaluated_on(rules(None, MoveStop(price_of_stop, "near"), tick=tick), close, held(side))) == expected


prices = st.floats(10.0, 1_000.0)


@given(
    closes=st.lists(prices, min_size=1, max_size=40),
    entry=prices,
    side=st.sampled_from(list(Side)),
    first=st.none() | st.floats(0.01, 0.5),
    terms=st.sampled_from(
        [
            ExitTerms(trailing_stop=TrailingStop(distance=3.0)),
            ExitTerms(trailing_stop=TrailingStop(distance_fraction=0.02, from_profit=1.0)),
            ExitTerms(break_even=BreakEven(from_profit_fraction=0.01, offset=0.5)),
            ExitTerms(trailing_stop=TrailingStop(distance=9.0), break_even=BreakEven(from_profit=4.0)),
        ]
    ),
    tick=st.sampled_from([None, 0.01, 0.5, 7.0]),
)
def test_rules_never_loosen_a_stop_and_never_lead_it_to_the_close_or_beyond(
    closes: list[float], entry: float, side: Side, first: float | None, terms: ExitTerms, tick: float | None
) -> None:
    stop = None if first is None else entry * (1 - side.sign * first)
    for close in closes:
        position = held(side, stop=stop, entry=entry)
        found = stop_of(evaluated_on(rules(terms, tick=tick), close, position))
        if found is None:
            continue
        assert stop is None or (found - stop) * side.sign > 0
        assert (close - found) * side.sign > 0
        assert min(abs(found - price_of_stop.stop_loss) for price_of_stop in terms.answers(close, position)) < (
            tick or 1e-9
        )
        assert tick is None or math.isclose(found / tick, round(found / tick), abs_tol=1e-6) or found < tick
        stop = found


def test_hook_is_called_with_its_row_and_names_itself() -> None:
    hook = Hook(MoveStop(99.0, "a level"))

    found = ExitRules(ExitTerms(), hook).evaluated(101.0, {"close": 101.0, "level": 99.0}, held(stop=95.0))

    assert found == RuleStop("manage_position", 99.0, "manage_position: a level")
    assert hook.rows == [{"close": 101.0, "level": 99.0}]


def test_hook_without_a_row_of_indicators_is_not_called_and_the_rules_are() -> None:
    one = rules(TRAILING, ExitNow("never"))

    assert stop_of(one.evaluated(101.0, None, held())) == 99.0


def test_exit_goes_before_a_stop_and_the_tighter_stop_before_the_other() -> None:
    assert evaluated_on(rules(TRAILING, ExitNow("enough")), 101.0, held()) == RuleExit(
        "manage_position", "manage_position: enough"
    )
    assert stop_of(evaluated_on(rules(TRAILING, MoveStop(98.0, "low")), 101.0, held())) == 99.0
    assert stop_of(evaluated_on(rules(TRAILING, MoveStop(100.0, "high")), 101.0, held())) == 100.0
    assert stop_of(evaluated_on(rules(TRAILING, MoveStop(102.0, "low")), 99.0, held(Side.SELL))) == 101.0


def test_hook_may_loosen_where_no_rule_answers() -> None:
    assert stop_of(evaluated_on(rules(TRAILING, MoveStop(97.0, "room")), 100.0, held(stop=99.0))) == 97.0


@pytest.mark.parametrize(("side", "close"), [(Side.BUY, 101.0), (Side.BUY, 100.5), (Side.SELL, 101.0)])
def test_stop_of_a_hook_that_the_close_is_at_or_beyond_is_an_exit(side: Side, close: float) -> None:
    found = evaluated_on(rules(None, MoveStop(101.0, "a level")), close, held(side, stop=None))

    assert isinstance(found, RuleExit)
    assert found.rule == "manage_position"
    assert found.reason.startswith("manage_position: a level; the close of 10")
    assert found.reason.endswith("is at or beyond a stop at 101")


def test_stop_of_a_hook_where_it_rests_already_changes_nothing() -> None:
    assert evaluated_on(rules(None, MoveStop(99.0, "again")), 101.0, held(stop=99.0)) is None


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 0.0, -5.0])
def test_stop_of_a_hook_that_is_no_price_is_rejected_and_a_rule_still_counts(price: float) -> None:
    found = evaluated_on(rules(None, MoveStop(price, "oops")), 101.0, held(stop=95.0))

    assert isinstance(found, Refusal)
    assert found.reason == f"{price} is no price of a stop: manage_position: oops"
    assert stop_of(evaluated_on(rules(TRAILING, MoveStop(price, "oops")), 101.0, held(stop=95.0))) == 99.0


@pytest.mark.parametrize("answer", [99.0, "exit", (99.0, "why")])
def test_hook_that_answers_something_else_is_rejected_with_what_it_may_answer(answer: object) -> None:
    expected = re.escape(f"manage_position: answered {answer!r}; allowed: ExitNow, MoveStop with a number")
    with pytest.raises(Broken, match=expected):
        evaluated_on(rules(None, answer), 101.0, held())


def test_stop_that_is_too_large_for_a_float_is_no_number() -> None:
    with pytest.raises(Broken, match="answered a MoveStop; allowed: ExitNow, MoveStop with a number"):
        evaluated_on(rules(None, MoveStop(10**400, "far")), 101.0, held())


def test_rules_without_terms_and_hook_have_nothing_to_evaluate() -> None:
    assert not rules()
    assert rules(TRAILING)
    assert rules(None, ExitNow("x"))
