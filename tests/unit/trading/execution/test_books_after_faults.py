"""The books are the same after faults of the venue, and after a crash at any write."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.venues.fault_injection.venue import Faults
from tests.fakes import Crash, Databases, Desk, Fuse
from tests.unit.trading.execution.desks import BUY, CLOSE, LINE, SELL, SHOWN, comparable, make_desk
from trading.errors import Transient
from trading_orchestrator.testing.candles import SYMBOL

PLAN = {SHOWN: BUY, SHOWN + 2: SELL, SHOWN + 5: BUY, SHOWN + 8: CLOSE, SHOWN + 9: SELL}
UNTIL = SHOWN + 16


def run(databases: Databases, fuse: Fuse, faults: Faults, step: int) -> tuple[Desk, int]:
    desk, crashes = make_desk(databases, PLAN, fuse=fuse, faults=faults, max_signal_age_s=3_600.0), 0
    while desk.cursor != UNTIL - 1:
        missing = UNTIL - desk.source.shown
        try:
            desk.advance(show=min(step, missing) if desk.cursor == desk.source.shown - 1 else 0)
        except Crash:
            crashes += 1
            desk.restart()
        except Transient:
            continue  # the next tick goes on
    return desk, crashes


@pytest.mark.parametrize("outcomes", [{}, {"rejection_probability": 0.3, "partial_order_probability": 0.4}])
@pytest.mark.parametrize("seed", range(3))
def test_books_with_a_faulty_venue_are_those_of_one_that_only_has_the_same_outcomes(
    databases: Databases, seed: int, outcomes: dict[str, float]
) -> None:
    honest = Faults(seed=seed, split_fill_probability=0.5, **outcomes)
    expected, _ = run(databases, Fuse(), honest, 1)
    expected_books = comparable(expected)
    assert expected_books["fills"]

    lied, _ = run(databases, Fuse(), Faults(seed=seed, **{**LINE, **outcomes}), 1)

    assert comparable(lied) == expected_books
    assert expected_books["incidents"] == []


@settings(max_examples=25, deadline=None)
@example(seed=3, at=9, after=False, step=4)
@given(seed=st.integers(0, 3), at=st.integers(1, 120), after=st.booleans(), step=st.sampled_from([1, 4]))
def test_books_with_a_faulty_venue_and_a_crash_at_any_write_are_the_same(
    reference: Callable[[int, int], dict[str, Any]], databases: Databases, seed: int, at: int, after: bool, step: int
) -> None:
    expected_books = reference(seed, step)
    faults = Faults(seed=seed, **LINE, rejection_probability=0.2, partial_order_probability=0.3)
    cut, crashes = run(databases, Fuse(at, after=after), faults, step)

    assert crashes <= 1
    assert comparable(cut) == expected_books
    assert len(set(cut.venue.submitted)) == len({row["client_order_id"] for row in sent_orders(cut)})


def sent_orders(desk: Desk) -> list[dict[str, Any]]:
    rows = desk.ledger.orders(SYMBOL, limit=1_000)
    return [row for row in rows if row["leg"] in ("entry", "exit") and row["venue_order_id"] is not None]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], dict[str, Any]]:
    """The books of a run without a crash and without faults of the line, for each seed and step."""
    apart = Databases(tmp_path_factory.mktemp("reference"))
    known: dict[tuple[int, int], dict[str, Any]] = {}

    def books(seed: int, step: int) -> dict[str, Any]:
        if (seed, step) not in known:
            faults = Faults(
                seed=seed, split_fill_probability=0.5, rejection_probability=0.2, partial_order_probability=0.3
            )
            known[seed, step] = comparable(run(apart, Fuse(), faults, step)[0])
        return known[seed, step]

    return books
