"""Exit rules in the fourth stage: what is asked when, what comes of it, and that no candle acts twice."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.fakes import Crash, Databases, Desk, Fuse, PlannedStrategy, planned, system_config
from tests.fixtures.strategies.exits import WILFUL
from trading.errors import Broken
from trading.events.decisions import DecisionKind
from trading.events.event import EventType
from trading.events.messages import IndicatorsUpdated, SignalGenerated
from trading.formatting import format_price
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, HIGH, LOW, OPEN, Candles
from trading.orders.orders import Leg, protective_order_id
from trading.services.trade_execution import MOST_WATCHED
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles, place_of

SHOWN = 10
WARM = 50
"""Candles after which the indicators of `Wilful` are whole."""
BUY, SELL, CLOSE_IT = "buy", "sell", "close"
AT_CLOSE = {"kind": "paper", "fill_at": "close"}
TRAILING = {"trailing_stop": {"distance": 1.0}}
RISING = 0.5
"""By how much the market of `rising` closes higher at each candle."""


def rising(count: int = 40, *, step: float = RISING) -> Candles:
    """Return candles that close `step` higher each, with wicks that reach no stop of 1.0."""
    tape = make_candles(count)
    tape.values[:, CLOSE] = 100.0 + step * (tape.open_ms - tape.open_ms[0]) / 60_000
    tape.values[:, OPEN] = tape.values[:, CLOSE] - step
    tape.values[:, HIGH] = tape.values[:, [OPEN, CLOSE]].max(axis=1) + 0.1
    tape.values[:, LOW] = tape.values[:, [OPEN, CLOSE]].min(axis=1) - 0.1
    return tape


def make_desk(
    databases: Databases, plan: dict[int, str], tape: Candles | None = None, *, stop: float = 2.0, **options: Any
) -> Desk:
    terms: dict[str, Any] = {"venue": AT_CLOSE, "exits": TRAILING} | options
    config = system_config(planned(plan, stop_distance=stop), **terms)
    desk = Desk(databases, config, rising() if tape is None else tape, shown=SHOWN)
    desk.advance()
    return desk


def stop_of(desk: Desk) -> float | None:
    (position,) = desk.ledger.positions()
    return position.stop_loss


def resting(desk: Desk) -> list[float | None]:
    return [order.price for order in desk.paper.open_orders(SYMBOL)]


def legs(desk: Desk) -> list[str]:
    return [fill.leg.value for fill in desk.paper.fills(SYMBOL, after=0)]


def stops_moved(desk: Desk) -> list[tuple[str, ...]]:
    found = (re.match(r"stop (\S+) -> (\S+): ", text) for text in desk.journal.values())
    return [match.groups() for match in found if match]


def test_stop_follows_the_close_at_ledger_and_venue_and_the_journal_says_so(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})

    desk.play(SHOWN + 4)

    assert desk.journal[SHOWN].startswith("buy 2 units at 105")
    assert desk.journal[SHOWN + 1] == "stop 103 -> 104.5: trailing_stop: 1 below the close of 105.5"
    assert desk.journal[SHOWN + 2] == "stop 104.5 -> 105: trailing_stop: 1 below the close of 106"
    assert stop_of(desk) == 105.5
    assert resting(desk) == [105.5]
    moved = desk.events_of(EventType.POSITION_MODIFIED)
    assert [event.details["stop_loss"] for event in moved] == [104.5, 105.0, 105.5]


def test_position_that_opens_at_the_next_candle_is_asked_about_at_that_candle(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY}, venue={"kind": "paper", "fill_at": "next_open"})

    desk.play(SHOWN + 2)

    assert legs(desk) == ["entry"]
    assert desk.journal[SHOWN + 1].startswith("stop 103 -> 104.5: ")


def test_stop_that_was_moved_at_a_candle_acts_from_the_next_one_on(databases: Databases) -> None:
    tape = rising()
    tape.values[SHOWN + 2, LOW] = 104.6  # below the stop of this candle's own close, above that of the one before
    tape.values[SHOWN + 3, LOW] = 104.9
    desk = make_desk(databases, {SHOWN: BUY}, tape)

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


@pytest.mark.parametrize(("on_opposite_signal", "is_asked"), [("ignore", True), ("close", False)])
def test_opposite_signal_keeps_the_rules_from_being_asked_where_it_ends_the_position(
    databases: Databases, on_opposite_signal: str, *, is_asked: bool
) -> None:
    risk = {"sizing": "fixed_units", "units": 2.0, "on_opposite_signal": on_opposite_signal}
    desk = make_desk(databases, {SHOWN: BUY, SHOWN + 1: SELL}, risk=risk)

    desk.play(SHOWN + 2)

    assert desk.journal[SHOWN + 1].startswith("stop 103 -> 104.5" if is_asked else "close 2 units")


class TestHook:
    """A hook that exits, seen through both kinds of fills."""

    @pytest.mark.parametrize("fill_at", ["close", "next_open"])
    def test_exit_by_a_hook_is_decided_like_a_close_and_names_the_rule(
        self, databases: Databases, fill_at: str
    ) -> None:
        desk = self.desk(databases, {"kind": "paper", "fill_at": fill_at})

        desk.play(WARM + 60)

        exits = [text for text in desk.journal.values() if text.startswith("close ") and "manage_position" in text]
        assert exits
        rows = [row for row in desk.ledger.decisions(limit=1_000) if row["reason"] in exits]
        assert len(rows) == len(exits)
        assert {(row["checks"][0]["rule"], row["outcome"]) for row in rows} == {("exit_rule", "accepted")}
        told = [one for one in desk.events_of(EventType.SIGNAL_GENERATED) if "manage_position" in one.reason]
        assert len(told) == len(exits)

    def test_hook_that_would_risk_more_than_the_entry_is_refused_and_the_stop_stays(self, databases: Databases) -> None:
        desk = self.desk(databases, AT_CLOSE)

        desk.play(WARM + 80)

        refused = [text for text in desk.journal.values() if "the stop that the entry came with" in text]
        assert refused
        assert all(text.startswith("the stop stays at ") for text in refused)
        assert any(": nan is no price of a stop: manage_position: no price" in text for text in desk.journal.values())

    def test_hook_gets_its_row_through_json_too(self, databases: Databases) -> None:
        desk = self.desk(databases, AT_CLOSE)
        seen: list[SignalGenerated] = []
        desk.pipeline.bus.subscribe(lambda event: seen.append(event) if isinstance(event, SignalGenerated) else None)

        desk.play(WARM + 20)

        message = next(one for one in seen if one.rows is not None)
        assert SignalGenerated.model_validate_json(message.model_dump_json()) == message
        assert message.rows is not None
        assert message.rows.open_ms.tolist() == message.candles.open_ms.tolist()

    def desk(self, databases: Databases, venue: dict[str, Any]) -> Desk:
        config = system_config(WILFUL_PARAMS, venue=venue)
        desk = Desk(databases, config, make_candles(140, seed=6), shown=WARM)
        desk.advance()
        return desk


WILFUL_PARAMS = {"name": WILFUL, "params": {"fast": 2, "slow": 4, "atr_period": 3, "stop_atr": 1.5, "target_atr": 0.0}}


def test_rows_do_not_travel_where_no_strategy_has_a_hook(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    seen: list[object] = []
    desk.pipeline.bus.subscribe(seen.append)

    desk.play(SHOWN + 3)

    assert any(isinstance(one, IndicatorsUpdated) for one in seen)
    assert {one.rows for one in seen if isinstance(one, SignalGenerated)} == {None}


def test_dry_run_moves_nothing_and_says_so(databases: Databases) -> None:
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


def test_halted_symbol_keeps_its_stop_and_says_why(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 1)
    desk.ledger.open_incidents([Incident(IncidentKind.POSITION_MISMATCH, SYMBOL, "x", "another hand")])

    desk.play(SHOWN + 2)

    assert desk.journal[SHOWN + 1].startswith("the stop stays at 103: a person must look first: another hand: trailing")
    assert (stop_of(desk), resting(desk)) == (103.0, [103.0])


def test_symbol_that_is_set_aside_is_not_asked_about(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    desk.play(SHOWN + 1)
    desk.ledger.set_quarantine(SYMBOL, "hold", cause="test", reason="test")
    desk.store.set_quarantine(SYMBOL, "hold")

    desk.play(SHOWN + 3)

    assert desk.journal[SHOWN + 2] == "quarantined (hold): nothing is decided"
    assert stop_of(desk) == 103.0


def test_candle_that_is_evaluated_again_is_not_asked_about_again(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = make_desk(databases, {SHOWN: BUY}, services=services)
    desk.play(SHOWN + 3)

    desk.advance()
    desk.advance()

    assert len(desk.events_of(EventType.POSITION_MODIFIED)) == len(stops_moved(desk)) == 2


def test_error_of_a_hook_is_an_error_of_the_stage_and_the_stop_stays(databases: Databases) -> None:
    name = "tests.unit.trading.exits.test_position_exits:Wrong"
    config = system_config(planned({SHOWN: BUY}, stop_distance=2.0) | {"name": name}, venue=AT_CLOSE)
    desk = Desk(databases, config, rising(), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 1)

    with pytest.raises(Broken, match="allowed: ExitNow, MoveStop with a number as its stop_loss, and None"):
        desk.advance(show=1)

    assert resting(desk) == [103.0]


class Wrong(PlannedStrategy):
    """Answers a bare number."""

    def manage_position(self, row: object, position: object) -> float:
        return 1.0


# a candle comes again


def mixed(**options: Any) -> SystemConfig:
    exits = {"trailing_stop": {"distance": 1.2, "from_profit": 0.2}, "break_even": {"from_profit": 0.4, "offset": 0.05}}
    return system_config(WILFUL_PARAMS, exits=exits, **options)


def outcome(desk: Desk) -> dict[str, Any]:
    books = desk.books()
    return {
        "journal": desk.journal,
        "books": books,
        "resting": sorted(resting(desk), key=str),
    }


@pytest.mark.parametrize(
    ("fill_at", "step", "after", "count"),
    [
        pytest.param("close", 6, True, 12, marks=pytest.mark.long),
        ("next_open", 6, False, 12),
        pytest.param("close", 1, False, 24, marks=pytest.mark.long),
        pytest.param("next_open", 1, True, 24, marks=pytest.mark.long),
    ],
)
def test_process_that_dies_at_any_write_tells_and_does_the_same_in_the_end(
    databases: Databases, fill_at: str, step: int, count: int, *, after: bool
) -> None:
    tape, until = make_candles(140, seed=6), WARM + count
    config = mixed(venue={"kind": "paper", "fill_at": fill_at})

    def played(fuse: Fuse) -> Desk:
        desk = Desk(databases, config, tape, shown=WARM, fuse=fuse)
        while desk.source.shown < until:
            try:
                desk.advance()
                desk.advance(show=min(step, until - desk.source.shown))
            except Crash:
                desk.watch(Fuse())
                desk.advance()
        desk.advance()
        return desk

    whole = Fuse()
    expected = outcome(played(whole))
    assert any("stop " in text for text in expected["journal"].values())
    assert any(text.startswith("close ") for text in expected["journal"].values())
    for call in range(1, len(whole.calls) + 1):
        found = outcome(played(Fuse(call, after=after)))
        assert found["journal"] == expected["journal"], (call, whole.calls[call - 1])
        assert found["books"] == expected["books"], (call, whole.calls[call - 1])
        assert found["resting"] == expected["resting"], (call, whole.calls[call - 1])


@pytest.mark.parametrize("batch", [1, 500])
def test_trade_tells_the_rule_that_ended_it_or_had_moved_the_stop_that_was_hit(batch: int) -> None:
    strategy = {"name": WILFUL, "params": {"fast": 3, "slow": 8, "atr_period": 2}}
    config = system_config(strategy, exits={"trailing_stop": {"distance": 0.8}})

    trades = run_backtest(config, {SYMBOL: make_candles(600, seed=3)}, batch=batch).trades

    legs = {(trade.exit_reason, (trade.exit_order_id or "--").split("-")[2]) for trade in trades}
    assert legs >= {("trailing_stop", "s"), ("manage_position", "s"), ("manage_position", "x")}


# another process


class BeforeTheVenueMoves(Fuse):
    """Crashes when the ledger has a move, and the venue does not."""

    def call(self, name: str, ask: Callable[[], Any]) -> Any:
        self.calls.append(name)
        if self.calls.count("move_stop") == 2:
            raise Crash("before the venue moves the stop")
        return ask()


def test_process_that_lived_on_sends_the_move_of_one_that_died(databases: Databases) -> None:
    tape = rising()
    tape.values[SHOWN + 3, LOW] = 104.7  # below the stop of the candle before, above the one before that
    desk = make_desk(databases, {SHOWN: BUY}, tape)
    desk.play(SHOWN + 2)
    older = desk.pipeline
    desk.watch(BeforeTheVenueMoves())
    with pytest.raises(Crash):
        desk.advance(show=1)

    desk.pipeline = older
    desk.advance()
    desk.advance(show=1)

    assert desk.journal[SHOWN + 2].startswith("stop 104.5 -> 105: trailing_stop")
    assert legs(desk) == ["entry", "stop_loss"]
    assert desk.paper.fills(SYMBOL, after=0)[-1].price == 105.0


@pytest.mark.parametrize("step", [1, 4])
def test_process_that_saw_the_position_end_asks_about_the_next_one_of_another_process(
    databases: Databases, step: int
) -> None:
    journals = []
    for is_only_strategy in (True, False):
        desk = make_desk(databases, {SHOWN: BUY, SHOWN + 2: CLOSE_IT, SHOWN + 5: BUY})
        desk.play(SHOWN + 5)
        older = desk.pipeline
        if not is_only_strategy:
            desk.restart()
        desk.advance(show=1)
        desk.pipeline = older
        for _ in range(0, 4, step):
            desk.advance(show=step)
        journals.append(dict(desk.journal))

    assert journals[0] == journals[1]
    assert sum(text.startswith("stop ") for at, text in journals[1].items() if at > SHOWN + 5) == 4


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
    desk.pipeline.reconcile()
    assert [one.kind for one in desk.ledger.incidents_of(SYMBOL)] == [IncidentKind.UNPROTECTED]


def test_long_batch_with_an_open_position_is_closed_in_parts(databases: Databases) -> None:
    tape = rising(MOST_WATCHED + 60, step=0.02)
    desk = make_desk(databases, {SHOWN: BUY}, tape)
    desk.advance(show=1)

    ends = [desk.advance(show=MOST_WATCHED + 20), desk.advance()]

    assert [(place_of(result.cursor_ms), result.has_more) for result in ends] == [
        (SHOWN + MOST_WATCHED, True),
        (SHOWN + MOST_WATCHED + 20, False),
    ]
    journal = desk.journal
    assert sum(text.startswith("stop ") for text in journal.values()) > MOST_WATCHED / 2
    other = make_desk(databases, {SHOWN: BUY}, tape)
    other.play(SHOWN + MOST_WATCHED + 21)
    assert other.journal == journal


# against a naive walk


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
    tape = make_candles(120, seed=seed)
    params = {} if first is None else {"stop_distance": first}
    config = system_config(
        planned({SHOWN: side}, **params), venue=AT_CLOSE, exits={"trailing_stop": {"distance": distance}}
    )

    found = run_backtest(config, {SYMBOL: tape}, batch=batch)

    moves, left = walked(tape, SHOWN, 1 if side == BUY else -1, distance, first)
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
    tape: Candles, entered: int, sign: int, distance: float, first: float | None
) -> tuple[dict[int, str], tuple[int, float] | None]:
    """Return the moves by place of the candle, and (place, price) of the exit; None for none."""
    moves: dict[int, str] = {}
    stop = None if first is None else float(tape.values[entered, CLOSE]) - sign * first
    for place in range(entered + 1, len(tape)):
        opened, high, low, close = tape.values[place, : CLOSE + 1].tolist()
        if stop is not None:
            if (opened - stop) * sign <= 0:
                return moves, (place, opened)
            if ((low if sign > 0 else high) - stop) * sign <= 0:
                return moves, (place, stop)
        wanted = close - sign * distance
        if stop is None or (wanted - stop) * sign > 0:
            moves[place] = f"stop {'none' if stop is None else f'{stop:.10g}'} -> {wanted:.10g}"
            stop = wanted
    return moves, None
