"""Exit rules when a process dies, or another one takes over: no candle acts twice."""

from collections.abc import Callable
from typing import Any

import pytest

from configs.loading import SystemConfig
from tests.fakes import Crash, Databases, Desk, Fuse, system_config
from tests.unit.trading.exits.exit_desks import (
    BUY,
    CLOSE_IT,
    SHOWN,
    WARM,
    WILFUL_PARAMS,
    legs,
    make_desk,
    resting,
    rising,
    stops_moved,
)
from trading.events.event import EventType
from trading.market.candles import LOW
from trading_orchestrator.testing.candles import SYMBOL, make_candles


def test_candle_that_is_evaluated_again_is_not_evaluated_again(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = make_desk(databases, {SHOWN: BUY}, services=services)
    desk.play(SHOWN + 3)

    desk.advance()
    desk.advance()

    assert len(desk.events_of(EventType.POSITION_MODIFIED)) == len(stops_moved(desk)) == 2


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
def test_process_that_dies_at_any_write_reports_and_does_the_same_in_the_end(
    databases: Databases, fill_at: str, step: int, count: int, *, after: bool
) -> None:
    series, until = make_candles(140, seed=6), WARM + count
    config = mixed(venue={"kind": "paper", "fill_at": fill_at})

    def played(fuse: Fuse) -> Desk:
        desk = Desk(databases, config, series, shown=WARM, fuse=fuse)
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


class BeforeTheVenueMoves(Fuse):
    """Crashes when the ledger has a move, and the venue does not."""

    def call(self, name: str, method_call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        if self.calls.count("move_stop") == 2:
            raise Crash("before the venue moves the stop")
        return method_call()


def test_process_that_lived_on_sends_the_move_of_one_that_died(databases: Databases) -> None:
    series = rising()
    series.values[SHOWN + 3, LOW] = 104.7  # below the stop of the candle before, above the one before that
    desk = make_desk(databases, {SHOWN: BUY}, series)
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
def test_process_that_saw_the_position_end_evaluates_the_next_one_of_another_process(
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
