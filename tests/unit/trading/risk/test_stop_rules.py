"""The allowed moves of a stop, and the earlier prices that explain a stop at the venue."""

import pytest

from trading.lifecycle import DesiredState
from trading.orders.orders import Leg, OpenOrder, Side, client_order_id, protective_order_id
from trading.portfolio.positions import Position, StopMove
from trading.risk.stop_rules import EntryStop, is_protected, unsent, why_not_moved
from trading.structs import replace

T0_MS = 1_774_360_800_000
ENTRY_ID = client_order_id("main", "XAUUSD", "cross", T0_MS, Leg.ENTRY)
LONG = Position("XAUUSD", "cross", 2.0, 100.0, T0_MS, stop_loss=97.0)
SHORT = replace(LONG, units=-2.0, stop_loss=103.0)
STOP = OpenOrder(protective_order_id(ENTRY_ID, Leg.STOP_LOSS), "v7", "XAUUSD", Side.SELL, 2.0, 95.0)
FIRST = StopMove("XAUUSD", "cross", T0_MS, ENTRY_ID, 95.0, 96.0, "trailing")
SECOND = replace(FIRST, open_ms=T0_MS + 60_000, before=96.0, after=97.0)
RUNNING = {"desired": DesiredState.RUNNING, "halted": None}


@pytest.mark.parametrize(
    ("position", "stop_loss", "entry_stop", "reason"),
    [
        (LONG, 99.0, 95.0, ""),
        (LONG, 95.0, 95.0, ""),
        (LONG, 94.9, 95.0, "94.9 is beyond 95, the stop that the entry came with"),
        (LONG, 10.0, None, ""),
        (LONG, 94.999991, 94.999992, "94.999991 is beyond 94.999992, the"),
        (SHORT, 101.0, 105.0, ""),
        (SHORT, 105.1, 105.0, "105.1 is beyond 105"),
        (LONG, 0.0, None, "a stop must be a positive price, not 0.0"),
        (LONG, float("nan"), None, "a stop must be a positive price, not nan"),
    ],
)
def test_stop_may_go_anywhere_but_beyond_the_one_that_the_entry_came_with(
    position: Position, stop_loss: float, entry_stop: float | None, reason: str
) -> None:
    why = why_not_moved(position, stop_loss, EntryStop(ENTRY_ID, entry_stop), **RUNNING)  # type: ignore[arg-type]
    assert why == "" if not reason else reason in why


def test_stop_of_a_paused_symbol_moves_and_of_a_stopped_or_halted_one_does_not() -> None:
    entry = EntryStop(ENTRY_ID, 95.0)

    assert why_not_moved(LONG, 98.0, entry, desired=DesiredState.PAUSED, halted=None) == ""
    assert why_not_moved(LONG, 98.0, entry, desired=DesiredState.STOPPED, halted=None) == "XAUUSD is stopped"
    halted = why_not_moved(LONG, 98.0, entry, desired=DesiredState.RUNNING, halted="2 here, 3 there")
    assert halted == "a person must look first: 2 here, 3 there"


def test_stop_of_a_position_that_no_order_of_ours_opened_stays() -> None:
    assert "no order of ours opened the 2 units" in why_not_moved(LONG, 98.0, None, **RUNNING)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resting", "is_explained"),
    [
        pytest.param([STOP], True, id="at_the_entrys_own"),
        pytest.param([replace(STOP, price=96.0)], True, id="at_an_earlier_one"),
        pytest.param([], False, id="gone"),
        pytest.param([replace(STOP, price=94.0)], False, id="somewhere_else"),
        pytest.param([replace(STOP, units=1.0)], False, id="for_a_part"),
        pytest.param([replace(STOP, side=Side.BUY)], False, id="on_the_other_side"),
        pytest.param([replace(STOP, client_order_id="by-hand")], False, id="of_somebody_else"),
    ],
)
def test_stop_that_rests_elsewhere_is_explained_by_a_move_from_there(
    resting: list[OpenOrder], *, is_explained: bool
) -> None:
    assert not is_protected(LONG, resting)
    assert unsent(LONG, resting, [FIRST, SECOND]) == (SECOND if is_explained else None)


def test_stop_that_is_gone_is_explained_only_by_a_move_that_was_to_place_the_first_one() -> None:
    placing = replace(FIRST, before=None, after=97.0)

    assert unsent(LONG, [], [placing]) == placing
    assert unsent(LONG, [], [replace(placing, after=96.0), SECOND]) is None


def test_stop_that_differs_is_not_explained_without_a_move_to_where_it_shall_rest() -> None:
    assert unsent(LONG, [STOP], []) is None
    assert unsent(LONG, [STOP], [FIRST]) is None, "that one ended at 96"
    assert unsent(LONG, [STOP], [replace(SECOND, strategy="other")]) is None
