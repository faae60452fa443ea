"""Stops that move: one move for each candle, recorded with its reason or its rejection."""

import pytest

from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders.intents import OrderUpdate
from trading.orders.orders import OrderState, Side
from trading.portfolio.positions import StopMove
from trading.ports.ledger import Ledger
from trading.risk.verdict import RiskDecision
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    OK,
    OTHER,
    SECOND,
    STRATEGY,
    SYMBOL,
    at,
    closed,
    decide,
    enter,
    fill_of,
    opened,
    position_of,
    protective_fill,
    request_of,
    view_of,
)
from trading_orchestrator.testing.contracts.ledger.subject import LedgerPart

HALT = Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "position", "2 here, 3 there", {"venue_units": 3.0})


def request_move(ledger: Ledger, stop_loss: float, *, minute: int = 2, strategy: str = STRATEGY) -> StopMove | None:
    """Request a move of the stop."""
    return ledger.move_stop(SYMBOL, strategy, at(minute), stop_loss, "trailing", correlation_id=f"c{minute}")


def moved(ledger: Ledger, stop_loss: float, *, minute: int = 2, strategy: str = STRATEGY) -> StopMove:
    """Move the stop, and return the move that was recorded."""
    move = request_move(ledger, stop_loss, minute=minute, strategy=strategy)
    assert move is not None
    return move


class StopMoveContract(LedgerPart):
    """The promises of `move_stop`."""

    def test_move_is_recorded_with_its_reason_and_the_position_has_the_stop(self, ledger: Ledger) -> None:
        entry = opened(ledger)
        before = position_of(ledger)

        move = moved(ledger, 95.0)

        assert move == StopMove(SYMBOL, STRATEGY, at(2), entry.client_order_id, 90.0, 95.0, "trailing")
        assert move.is_current
        assert position_of(ledger) == replace(before, stop_loss=95.0)
        assert ledger.stop_move(SYMBOL, STRATEGY, at(2)) == move
        assert ledger.stop_move(SYMBOL, STRATEGY, at(3)) is None
        assert list(ledger.stop_moves(SYMBOL)) == [move]
        assert list(ledger.stop_moves(OTHER)) == []

    def test_move_of_a_candle_asked_again_is_the_earlier_one_whatever_is_asked_for(self, ledger: Ledger) -> None:
        opened(ledger)
        first, second = moved(ledger, 95.0), moved(ledger, 96.0, minute=3)

        again = ledger.move_stop(SYMBOL, STRATEGY, at(2), 99.0, "another", correlation_id="c")

        assert again == first
        assert again is not None
        assert (again.is_current, second.is_current) == (False, True)
        assert position_of(ledger).stop_loss == 96.0

    def test_move_of_a_closed_position_comes_back_as_it_was_and_is_not_current(self, ledger: Ledger) -> None:
        opened(ledger)
        first = moved(ledger, 95.0)
        closed(ledger)

        again = moved(ledger, 95.0)

        assert again == first
        assert not again.is_current
        assert list(ledger.stop_moves(SYMBOL)) == []
        assert request_move(ledger, 95.0, minute=7) is None

    def test_move_to_where_the_stop_is_and_of_nothing_and_of_the_past_is_not_recorded(self, ledger: Ledger) -> None:
        assert request_move(ledger, 95.0) is None
        opened(ledger)
        assert request_move(ledger, 90.0) is None
        assert request_move(ledger, 95.0, minute=4) is not None
        assert request_move(ledger, 96.0, minute=3) is None, "a later candle moved it"
        decide(ledger, at(8), OK)
        assert request_move(ledger, 96.0, minute=7) is None, "a later candle was decided on"

        assert position_of(ledger).stop_loss == 95.0
        recorded = [ledger.stop_move(SYMBOL, STRATEGY, at(minute)) for minute in (2, 3, 4, 7)]
        assert [move is None for move in recorded] == [True, True, False, True]

    def test_move_on_the_candle_that_was_decided_on_is_recorded(self, ledger: Ledger) -> None:
        opened(ledger)
        decide(ledger, at(2), OK)

        assert moved(ledger, 95.0).refusal == ""

    def test_move_of_a_position_without_a_stop_is_its_first_one(self, ledger: Ledger) -> None:
        opened(ledger, replace(request_of(), stop_loss=None))
        move = moved(ledger, 50.0)

        assert (move.before, move.after, move.refusal) == (None, 50.0, "")
        assert position_of(ledger).stop_loss == 50.0

    @pytest.mark.parametrize(("side", "stop_loss"), [(Side.BUY, 89.9), (Side.SELL, 110.1)])
    def test_move_beyond_the_stop_that_the_entry_came_with_is_recorded_as_refused(
        self, ledger: Ledger, side: Side, stop_loss: float
    ) -> None:
        opened(ledger, replace(request_of(side=side), stop_loss=100 - side.sign * 10.0))
        tighter = moved(ledger, 100 - side.sign * 5.0, minute=2)
        looser = moved(ledger, 100 - side.sign * 7.0, minute=3)
        refused = moved(ledger, stop_loss, minute=4)

        assert (tighter.refusal, looser.refusal) == ("", "")
        assert "the stop that the entry came with" in refused.refusal
        assert not refused.is_current
        assert request_move(ledger, 100.0, minute=4) == refused
        assert position_of(ledger).stop_loss == 100 - side.sign * 7.0
        assert list(ledger.stop_moves(SYMBOL)) == [tighter, looser]

    @pytest.mark.parametrize("state", list(DesiredState))
    def test_move_is_allowed_while_the_symbol_is_paused_and_not_while_it_is_stopped(
        self, ledger: Ledger, state: DesiredState
    ) -> None:
        opened(ledger)
        ledger.set_desired(SYMBOL, state, reason="test")
        is_refused = state is DesiredState.STOPPED

        assert bool(moved(ledger, 95.0).refusal) is is_refused
        assert position_of(ledger).stop_loss == (90.0 if is_refused else 95.0)

    def test_move_of_a_halted_symbol_is_refused_with_the_incident(self, ledger: Ledger) -> None:
        opened(ledger)
        ledger.open_incidents([HALT])

        assert moved(ledger, 95.0).refusal == "a person must look first: 2 here, 3 there"

    def test_move_of_a_position_that_no_order_of_ours_opened_is_refused(self, ledger: Ledger) -> None:
        ledger.record_fills(SYMBOL, [replace(fill_of(request_of()), client_order_id="by-hand")])
        move = moved(ledger, 95.0)

        assert (move.entry_id, move.is_current) == ("", False)
        assert "no order of ours opened" in move.refusal

    def test_move_never_holds_less_of_the_account_than_was_judged(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of(), risk=20.0).request
        ledger.record_fills(SYMBOL, [fill_of(entry, price=108.0)])
        assert view_of(ledger).open_risk == pytest.approx(36.0)

        moved(ledger, 95.0)
        assert view_of(ledger).open_risk == pytest.approx(26.0), "two units, 13 above the stop"
        moved(ledger, 107.0, minute=3)
        assert view_of(ledger).open_risk == pytest.approx(20.0)


class StopRefusalContract(LedgerPart):
    """The promises of `refuse_stop`."""

    def test_refused_move_leaves_the_stop_where_it_was_before(self, ledger: Ledger) -> None:
        opened(ledger)
        first, second = moved(ledger, 95.0), moved(ledger, 96.0, minute=3)

        refused = ledger.refuse_stop(second, "the venue refused it: too near")

        assert refused == replace(second, refusal="the venue refused it: too near")
        assert ledger.stop_move(SYMBOL, STRATEGY, at(3)) == refused
        assert request_move(ledger, 96.0, minute=3) == refused
        assert position_of(ledger).stop_loss == 95.0
        assert list(ledger.stop_moves(SYMBOL)) == [first]
        again = ledger.stop_move(SYMBOL, STRATEGY, at(2))
        assert again is not None
        assert again.is_current
        assert request_move(ledger, 97.0, minute=4) is not None

    def test_refused_move_that_is_not_current_stays_as_it_is_recorded(self, ledger: Ledger) -> None:
        opened(ledger)
        first, second = moved(ledger, 95.0), moved(ledger, 96.0, minute=3)

        answer = ledger.refuse_stop(first, "too near")

        assert (answer, answer.refusal, answer.is_current) == (first, "", False)
        assert position_of(ledger).stop_loss == 96.0
        assert list(ledger.stop_moves(SYMBOL)) == [first, second]

    def test_refused_move_of_a_position_that_has_ended_stays_as_it_is_recorded(self, ledger: Ledger) -> None:
        opened(ledger)
        move = moved(ledger, 95.0)
        closed(ledger)

        assert ledger.refuse_stop(move, "no open position").refusal == ""
        assert not position_of(ledger).is_open

    def test_refused_move_twice_keeps_the_first_reason(self, ledger: Ledger) -> None:
        opened(ledger)
        move = moved(ledger, 95.0)
        first = ledger.refuse_stop(move, "too near")

        assert ledger.refuse_stop(move, "another") == first
        assert position_of(ledger).stop_loss == 90.0


class StopReadContract(LedgerPart):
    """The promises of `stop_move` and `stop_moves`, and which stop fills leave."""

    def test_rest_of_an_entry_that_fills_after_the_move_leaves_the_moved_stop(self, ledger: Ledger) -> None:
        entry = enter(ledger, request_of()).request
        ledger.record_fills(SYMBOL, [fill_of(entry, units=0.5)])
        ledger.mark(OrderUpdate(entry.client_order_id, OrderState.ACCEPTED, "v1"))
        moved(ledger, 95.0)
        ledger.record_fills(SYMBOL, [fill_of(entry, 2, units=1.5, market_ms=at(3))])

        assert (position_of(ledger).units, position_of(ledger).stop_loss) == (2.0, 95.0)

    def test_next_position_begins_with_the_stop_of_its_own_entry(self, ledger: Ledger) -> None:
        opened(ledger)
        moved(ledger, 95.0)
        closed(ledger)
        entry = opened(ledger, request_of(open_ms=at(9)), 3)

        assert position_of(ledger).stop_loss == 90.0
        move = moved(ledger, 93.0, minute=11)
        assert (move.entry_id, move.before) == (entry.client_order_id, 90.0)
        assert list(ledger.stop_moves(SYMBOL)) == [move]

    def test_stop_that_fills_after_it_was_moved_ends_the_position(self, ledger: Ledger) -> None:
        entry = opened(ledger)
        moved(ledger, 95.0)
        ledger.record_fills(SYMBOL, [protective_fill(entry, price=95.0)])

        assert not position_of(ledger).is_open
        assert view_of(ledger).open_risk == 0.0
        assert list(ledger.stop_moves(SYMBOL)) == []

    def test_stop_moves_of_two_strategies_come_oldest_first(self, ledger: Ledger) -> None:
        opened(ledger)
        opened(ledger, request_of(strategy=SECOND), 2)
        moves = [
            moved(ledger, 95.0, minute=2),
            moved(ledger, 94.0, minute=3, strategy=SECOND),
            moved(ledger, 96.0, minute=4),
        ]

        assert list(ledger.stop_moves(SYMBOL)) == moves

    def test_second_entry_of_a_position_has_its_own_stop_and_the_moves_of_both_are_kept(self, ledger: Ledger) -> None:
        opened(ledger)
        first = moved(ledger, 95.0)
        later = opened(ledger, replace(request_of(open_ms=at(3)), stop_loss=88.0), 2)
        assert position_of(ledger).stop_loss == 88.0

        second = moved(ledger, 96.0, minute=5)

        assert (second.entry_id, second.before) == (later.client_order_id, 88.0)
        assert list(ledger.stop_moves(SYMBOL)) == [first, second]

    def test_written_candles_name_the_move_before_the_decision(self, ledger: Ledger) -> None:
        opened(ledger)
        first, second = moved(ledger, 95.0), moved(ledger, 96.0, minute=3)

        everything = ledger.decisions_since(SYMBOL, [STRATEGY, "other"], at(0))

        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(3)) == {(STRATEGY, at(3)): second}
        assert everything == {(STRATEGY, at(0)): RiskDecision(OK.rule, OK.reason), (STRATEGY, at(2)): first} | {
            (STRATEGY, at(3)): second
        }
        moves = [one for _, one in sorted(everything.items(), key=lambda item: item[0]) if isinstance(one, StopMove)]
        assert [move.is_current for move in moves] == [False, True]
        assert ledger.decisions_since(SYMBOL, ["other"], at(0)) == {}
        assert ledger.decisions_since(SYMBOL, [STRATEGY], at(4)) == {}
