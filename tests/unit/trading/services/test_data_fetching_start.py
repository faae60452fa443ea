"""First stage: where a symbol begins, and where it goes on when its store was lost."""

import numpy as np
import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.fetching import NO_ANSWER, SHOWN, begun_desk, ended, failures, fetch, fetched, make_desk, places
from trading.errors import BadCandle, Transient
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.services.chain import ChainOutcome
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles, place_of


@pytest.fixture
def desk(databases: Databases) -> Desk:
    return begun_desk(databases)


def test_fetch_first_start_with_history_decides_the_newest_candle_alone(databases: Databases) -> None:
    desk = make_desk(databases)

    message = fetched(desk)

    assert places(message) == [SHOWN - 1]
    assert message.after_ms == at_place(SHOWN - 2)
    stored = desk.store.window(SYMBOL, 100, until_ms=at_place(SHOWN))
    assert stored == desk.source.candles[:SHOWN].until(message.after_ms)[-len(stored) :]
    assert len(stored) == desk.pipeline.indicators.history_count


def test_fetch_first_start_without_history_begins_with_the_first_candle(databases: Databases) -> None:
    desk = make_desk(databases, shown=1)

    desk.advance()
    desk.play(6)

    assert list(desk.journal) == [0, 1, 2, 3, 4, 5]


def test_fetch_first_start_before_any_candle_has_closed_waits_for_it(databases: Databases) -> None:
    desk = make_desk(databases, shown=1)
    desk.source.now_ms = at_place(0) + 1_000

    assert ended(desk).reason is ChainOutcome.NO_NEW_CANDLE
    desk.source.now_ms = at_place(1) + 1_000
    assert places(fetched(desk)) == [0]


def test_fetch_first_start_with_a_bad_candle_in_history_reports_it_and_begins_after_it(databases: Databases) -> None:
    desk = make_desk(databases)
    desk.source.spoil(SHOWN - 4, close=np.nan)

    assert places(fetched(desk)) == [SHOWN - 1]
    stored = desk.store.window(SYMBOL, 100, until_ms=at_place(SHOWN))
    assert [place_of(at) for at in stored.open_ms.tolist()] == [SHOWN - 3, SHOWN - 2]
    assert [event.market_ms for event in failures(desk)] == [at_place(SHOWN - 4)]


def test_fetch_first_start_looks_up_the_place_of_the_first_bad_candle_alone(databases: Databases) -> None:
    desk = make_desk(databases)
    for back in (6, 5, 4):
        desk.source.spoil(SHOWN - back, close=np.nan)
    requested: list[int] = []

    def looked_up(open_ms: int) -> str:
        requested.append(open_ms)
        return f"place {len(requested)}"

    candles = desk.pipeline.fetch._candles
    candles._terms = replace(candles._terms, place_of=looked_up)

    assert places(fetched(desk)) == [SHOWN - 1]

    assert requested == [at_place(SHOWN - 6)]
    reasons = [str(event.reason) for event in failures(desk)]
    assert ["place 1" in text for text in reasons] == [True, False, False]


def test_fetch_first_start_with_a_bad_newest_candle_decides_nothing(databases: Databases) -> None:
    desk = make_desk(databases)
    desk.source.spoil(SHOWN - 1, close=np.nan)

    with pytest.raises(BadCandle):
        fetch(desk)
    assert desk.journal == {}


def test_fetch_first_start_with_a_source_that_does_not_answer_is_transient_and_seeds_nothing(
    databases: Databases,
) -> None:
    desk = make_desk(databases)
    desk.source.failures = [NO_ANSWER] * 4

    with pytest.raises(Transient):
        fetch(desk)
    assert desk.cursor is None
    assert places(fetched(desk)) == [SHOWN - 1]


def test_fetch_store_emptied_begins_again_with_the_last_candle_that_the_ledger_decided(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({SHOWN: "buy"})), make_candles(60), shown=SHOWN)
    desk.play(SHOWN + 5)
    desk.store.forget()

    message = fetched(desk, show=2)

    assert message.after_ms == at_place(SHOWN - 1)
    assert places(message) == list(range(SHOWN, SHOWN + 7))


def test_fetch_store_emptied_keeps_the_desired_state_of_the_ledger(desk: Desk) -> None:
    desk.want(DesiredState.PAUSED)
    desk.store.forget()

    assert fetched(desk, show=1).desired is DesiredState.PAUSED


def test_fetch_store_that_lost_a_pause_or_an_exposure_is_corrected_by_the_ledger(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({SHOWN: "buy"})), make_candles(60), shown=SHOWN)
    desk.play(SHOWN + 2)
    desk.ledger.set_desired(SYMBOL, DesiredState.PAUSED, reason="the store was down")
    desk.store.lose_exposure(SYMBOL)
    desk.restart()

    message = fetched(desk, show=1)

    assert (message.desired, message.has_exposure) == (DesiredState.PAUSED, True)
    snapshot = desk.store.load(SYMBOL)
    assert (snapshot.desired, snapshot.has_exposure) == (DesiredState.PAUSED, True)


def test_fetch_of_a_symbol_whose_timeframe_was_changed_starts_again(desk: Desk) -> None:
    hours = make_candles(12)
    open_ms = hours.open_ms[0] + np.arange(12, dtype=np.int64) * 3_600_000
    desk.store.seed(
        SYMBOL,
        Candles(open_ms, hours.values),
        timeframe="1h",
        cursor_ms=int(open_ms[-1]),
        desired=DesiredState.RUNNING,
    )

    assert places(fetched(desk)) == [SHOWN - 1]
    assert desk.store.load(SYMBOL).timeframe == "1m"
