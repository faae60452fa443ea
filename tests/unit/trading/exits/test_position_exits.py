"""Exit rules in the fourth stage: which positions are evaluated when, and the effect."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.backtest.backtest import run_backtest
from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.strategies.exits import WILFUL
from tests.unit.trading.exits.exit_desks import (
    AT_CLOSE,
    BUY,
    CLOSE_IT,
    RISING,
    SELL,
    SHOWN,
    TRAILING,
    legs,
    make_desk,
    resting,
    rising,
    stops_moved,
)
from trading.events.decisions import DecisionKind
from trading.events.event import EventType
from trading.formatting import format_price
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, LOW, Candles
from trading.orders.orders import Leg, protective_order_id
from trading.services.trade_execution import MOST_WATCHED
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles, place_of


def stop_of(desk: Desk) -> float | None:
    (position,) = desk.ledger.positions()
    return position.stop_loss


def test_stop_follows_the_close_at_ledger_and_venue_and_the_journal_reports_it(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})

    desk.play(SHOWN + 4)

    assert desk.journal[SHOWN].startswith("buy 2 units at 105")
    assert desk.journal[SHOWN + 1] == "stop 103 -> 104.5: trailing_stop: 1 below the close of 105.5"
    assert desk.journal[SHOWN + 2] == "stop 104.5 -> 105: trailing_stop: 1 below the close of 106"
    assert stop_of(desk) == 105.5
    assert resting(desk) == [105.5]
    moved = desk.events_of(EventType.POSITION_MODIFIED)
    assert [event.details["stop_loss"] for event in moved] == [104.5, 105.0, 105.5]


def test_position_that_opens_at_the_next_candle_is_evaluated_at_that_candle(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, venue={"kind": "paper", "fill_at": "next_open"})

    desk.play(SHOWN + 2)

    assert legs(desk) == ["entry"]
    assert desk.journal[SHOWN + 1].startswith("stop 103 -> 104.5: ")


def test_stop_that_was_moved_at_a_candle_acts_from_the_next_one_on(databases: Databases) -> None:
    series = rising()
    series.values[SHOWN + 2, LOW] = 104.6  # below the stop of this candle's own close, above that of the one before
    series.values[SHOWN + 3, LOW] = 104.9
    desk = make_desk(databases, {SHOWN: BUY}, series)

    desk.play(SHOWN + 3)
    assert legs(desk) == ["entry"]
    desk.play(SHOWN + 4)

    assert legs(desk) == ["entry", "stop_loss"]
    assert desk.paper.fills(SYMBOL, after=0)[-1].price == 105.0
    assert len(desk.events_of(EventType.STOP_LOSS_HIT)) == 1


def test_entry_without_a_stop_gets_its_first_one_from_the_rule(databases: Databases) -> None:
    config = system_config(planned({SHOWN: SELL}), venue=AT_CLOSE, exits=TRAILING)
    desk = Desk(databases, config, rising(step=-RISING), shown=SHOWN)
    desk.advance()

    desk.play(SHOWN + 2)

    assert desk.journal[SHOWN + 1] == "stop none -> 95.5: trailing_stop: 1 above the close of 94.5"
    assert resting(desk) == [95.5]
    desk.pipeline.reconcile()
    assert desk.ledger.incidents_of(SYMBOL) == []


def test_signal_to_close_goes_before_the_rules(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE_IT})

    desk.play(SHOWN + 3)

    assert desk.journal[SHOWN + 2].startswith("close 2 units at 106")
    assert stops_moved(desk) == [("103", "104.5")]


def test_signal_in_the_direction_of_the_position_does_not_keep_its_stop_from_following(databases: Databases) -> None:
    desk = make_desk(databases, dict.fromkeys(range(SHOWN, SHOWN + 9), BUY))

    desk.play(SHOWN + 4)

    moved, refused = desk.journal[SHOWN + 3].split("; ", 1)
    assert moved == "stop 105 -> 105.5: trailing_stop: 1 below the close of 106.5"
    assert refused.startswith("buy at 106.5: planned -> refused by position_open")
    assert stop_of(desk) == 105.5


@pytest.mark.parametrize(("on_opposite_signal", "is_evaluated"), [("ignore", True), ("close", False)])
def test_opposite_signal_keeps_the_rules_from_being_evaluated_where_it_ends_the_position(
    databases: Databases, on_opposite_signal: str, *, is_evaluated: bool
) -> None:
    risk = {"sizing": "fixed_units", "units": 2.0, "on_opposite_signal": on_opposite_signal}
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 1: SELL}, risk=risk)

    desk.play(SHOWN + 2)

    assert desk.journal[SHOWN + 1].startswith("stop 103 -> 104.5" if is_evaluated else "close 2 units")


def test_dry_run_moves_nothing_and_reports_it(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 2)
    dry = system_config(planned({}), services={"trade_execution": {"execution_mode": "dry"}})
    desk.config = desk.config.model_copy(update={"services": dry.services})
    desk.restart()

    desk.play(SHOWN + 3)

    assert (
        desk.journal[SHOWN + 2] == "dry run, nothing sent: stop 104.5 -> 105: trailing_stop: 1 below the close of 106"
    )
    assert (stop_of(desk), resting(desk)) == (104.5, [104.5])


def test_paused_symbol_has_its_stop_moved(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 1)
    desk.want(DesiredState.PAUSED)

    desk.play(SHOWN + 3)

    assert stops_moved(desk) == [("103", "104.5"), ("104.5", "105")]


def test_halted_symbol_keeps_its_stop_and_reports_why(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 1)
    desk.ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "x", "another hand")])

    desk.play(SHOWN + 2)

    assert desk.journal[SHOWN + 1].startswith("the stop stays at 103: a person must look first: another hand: trailing")
    assert (stop_of(desk), resting(desk)) == (103.0, [103.0])


def test_symbol_that_is_quarantined_is_not_evaluated(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 1)
    desk.ledger.set_quarantine(SYMBOL, "hold", cause="test", reason="test")
    desk.store.set_quarantine(SYMBOL, "hold")

    desk.play(SHOWN + 3)

    assert desk.journal[SHOWN + 2] == "quarantined (hold): nothing is decided"
    assert stop_of(desk) == 103.0


@pytest.mark.parametrize("batch", [1, 500])
def test_trade_reports_the_rule_that_ended_it_or_had_moved_the_stop_that_was_hit(batch: int) -> None:
    strategy = {"name": WILFUL, "params": {"fast": 3, "slow": 8, "atr_period": 2}}
    config = system_config(strategy, exits={"trailing_stop": {"distance": 0.8}})

    trades = run_backtest(config, {SYMBOL: make_candles(600, seed=3)}, batch=batch).trades

    legs = {(trade.exit_reason, (trade.exit_order_id or "--").split("-")[2]) for trade in trades}
    assert legs >= {("trailing_stop", "s"), ("manage_position", "s"), ("manage_position", "x")}


def test_stop_of_one_strategy_does_not_hide_that_anothers_rests_elsewhere_or_is_gone(databases: Databases) -> None:
    strategy = planned({SHOWN: BUY}, stop_distance=2.0)
    both = {"one": strategy, "two": strategy}
    desk = Desk(databases, system_config(None, strategies=both, venue=AT_CLOSE, exits=TRAILING), rising(), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 3)
    moves = [move for move in desk.ledger.stop_moves(SYMBOL) if move.strategy == "two"]
    assert moves[0].before is not None
    assert resting(desk) == [moves[-1].after] * 2

    desk.paper.move_stop(moves[-1].entry_id, moves[0].before, at_place(SHOWN + 2))  # sent late by a process that froze
    desk.pipeline.reconcile()

    assert resting(desk) == [moves[-1].after] * 2
    desk.paper.cancel(protective_order_id(moves[-1].entry_id, Leg.STOP_LOSS))
    desk.venue.silent = {"move_stop"}
    desk.pipeline.reconcile()
    assert [one.kind for one in desk.ledger.incidents_of(SYMBOL)] == [IncidentKind.UNPROTECTED]


def test_long_batch_with_an_open_position_is_closed_in_parts(databases: Databases) -> None:
    series = rising(MOST_WATCHED + 60, step=0.02)
    desk = make_desk(databases, {SHOWN: BUY}, series)
    desk.advance(show=1)

    ends = [desk.advance(show=MOST_WATCHED + 20), desk.advance()]

    assert [(place_of(result.cursor_ms), result.has_more) for result in ends] == [
        (SHOWN + MOST_WATCHED, True),
        (SHOWN + MOST_WATCHED + 20, False),
    ]
    journal = desk.journal
    assert sum(text.startswith("stop ") for text in journal.values()) > MOST_WATCHED / 2
    other = make_desk(databases, {SHOWN: BUY}, series)
    other.play(SHOWN + MOST_WATCHED + 21)
    assert other.journal == journal


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    distance=st.floats(0.2, 3.0),
    first=st.none() | st.floats(0.2, 3.0),
    side=st.sampled_from([BUY, SELL]),
    batch=st.sampled_from([1, 3, 500]),
)
def test_trailing_stop_is_what_a_naive_walk_over_the_candles_makes_of_it(
    seed: int, distance: float, first: float | None, side: str, batch: int
) -> None:
    series = make_candles(120, seed=seed)
    params = {} if first is None else {"stop_distance": first}
    config = system_config(
        planned({SHOWN: side}, **params), venue=AT_CLOSE, exits={"trailing_stop": {"distance": distance}}
    )

    found = run_backtest(config, {SYMBOL: series}, batch=batch)

    moves, left = walked(series, SHOWN, 1 if side == BUY else -1, distance, first)
    journal = found.journals[SYMBOL]
    made = {place_of(at): one for at, (one, *_) in zip(journal.open_ms.tolist(), journal.decisions, strict=True)}
    assert {
        at: f"stop {format_price(one.stop_before)} -> {format_price(one.stop_after)}"
        for at, one in made.items()
        if one.kind is DecisionKind.STOP_MOVED
    } == moves
    trade = found.trades[0]
    assert (trade.exit_ms, trade.exit_price) == ((None, None) if left is None else (at_place(left[0]), left[1]))


def walked(
    series: Candles, entered: int, sign: int, distance: float, first: float | None
) -> tuple[dict[int, str], tuple[int, float] | None]:
    """Return the moves by place of the candle, and (place, price) of the exit; None for none."""
    moves: dict[int, str] = {}
    stop = None if first is None else float(series.values[entered, CLOSE]) - sign * first
    for place in range(entered + 1, len(series)):
        opened, high, low, close = series.values[place, : CLOSE + 1].tolist()
        if stop is not None:
            if (opened - stop) * sign <= 0:
                return moves, (place, opened)
            if ((low if sign > 0 else high) - stop) * sign <= 0:
                return moves, (place, stop)
        expected = close - sign * distance
        if stop is None or (expected - stop) * sign > 0:
            moves[place] = f"stop {'none' if stop is None else f'{stop:.10g}'} -> {expected:.10g}"
            stop = expected
    return moves, None
