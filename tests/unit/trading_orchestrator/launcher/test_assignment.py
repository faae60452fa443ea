"""The assignment of symbols to workers: no symbol is omitted or moved, and no worker serves more than its share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_orchestrator.launcher.assignment import Plan, WorkerAssignment, first_assignments, plan

SYMBOLS = st.lists(st.sampled_from([f"S{at}" for at in range(9)]), unique=True)


def parsed(*parts: str) -> tuple[WorkerAssignment, ...]:
    """Return assignments from `name=A,B`."""
    pairs = [part.split("=") for part in parts]
    return tuple(WorkerAssignment(name, tuple(symbols.split(","))) for name, symbols in pairs)


def test_assignments_of_a_start_keep_the_order_and_are_named_after_their_first_symbol() -> None:
    assert first_assignments(["A", "B", "C"], 2) == parsed("A+1=A,B", "C=C")


def test_fewer_than_one_symbol_per_worker_is_rejected() -> None:
    with pytest.raises(ValueError, match="symbols_per_worker is 0"):
        first_assignments(["A"], 0)


def test_symbol_that_comes_gets_a_worker_of_its_own_where_each_has_one() -> None:
    planned = plan(parsed("A=A"), ["A", "B"], 1)

    assert planned == Plan(parsed("A=A", "B=B"), started=parsed("B=B"))


def test_symbol_that_comes_joins_the_first_worker_with_room() -> None:
    planned = plan(parsed("A+1=A,B", "C=C"), ["A", "B", "C", "D"], 2)

    assert planned == Plan(parsed("A+1=A,B", "C=C,D"), joined=((parsed("C=C,D")[0], "D"),))


def test_symbols_that_come_together_share_a_new_worker_that_is_informed_of_none_of_them() -> None:
    planned = plan(parsed("A=A"), ["A", "B", "C", "D"], 2)

    assert planned.assignments == parsed("A=A,B", "C=C,D")
    assert planned.started == parsed("C=C,D")
    assert [symbol for _, symbol in planned.joined] == ["B"]


def test_worker_whose_only_symbol_goes_ends_and_one_that_shares_continues() -> None:
    planned = plan(parsed("A=A", "B+1=B,C"), ["C"], 2)

    assert planned == Plan(parsed("B+1=C"), ended=parsed("A=A"), left=((parsed("B+1=C")[0], "B"),))


def test_symbol_that_comes_back_does_not_take_the_name_of_a_worker_that_serves_others_or_ends() -> None:
    assert plan(parsed("A=B"), ["B", "A"], 1).started == parsed("A-2=A")
    assert plan(parsed("A=B"), ["A"], 1).started == parsed("A-2=A")


@given(before=SYMBOLS, steps=st.lists(SYMBOLS, max_size=4), share=st.integers(1, 4))
def test_after_any_changes_each_symbol_has_one_worker_and_those_that_stayed_were_not_moved(
    before: list[str], steps: list[list[str]], share: int
) -> None:
    now = first_assignments(before, share)
    for configured in steps:
        planned = plan(now, configured, share)
        served = [symbol for assignment in planned.assignments for symbol in assignment.symbols]
        assert sorted(served) == sorted(configured)
        assert all(1 <= len(assignment.symbols) <= share for assignment in planned.assignments)
        names = [assignment.name for assignment in (*planned.assignments, *planned.ended)]
        assert len(set(names)) == len(names)
        was = {symbol: assignment.name for assignment in now for symbol in assignment.symbols}
        is_now = {symbol: assignment.name for assignment in planned.assignments for symbol in assignment.symbols}
        assert all(is_now[symbol] == was[symbol] for symbol in configured if symbol in was)
        now = planned.assignments
