"""First stage: each closed candle once, in order, and none that is corrupt."""

import numpy as np
import pytest

from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.fetching import NO_ANSWER, SHOWN, begun_desk, ended, failures, fetch, fetched, make_desk, places
from trading.errors import BadCandle, Transient
from trading.events.messages import NewCandle
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles


@pytest.fixture
def desk(databases: Databases) -> Desk:
    return begun_desk(databases)


def test_fetch_new_candle_hands_it_on_with_what_the_next_stage_needs(desk: Desk) -> None:
    message = fetched(desk, show=1)

    assert message.candles == desk.source.candles[SHOWN : SHOWN + 1]
    assert message.after_ms == at_place(SHOWN - 1)
    assert message.as_of_ms == desk.source.as_of_ms
    assert (message.desired, message.has_more) == (DesiredState.RUNNING, False)


def test_fetch_without_a_new_candle_ends_and_reports_it(desk: Desk) -> None:
    result = ended(desk)

    assert (result.reason, result.cursor_ms) == (ChainOutcome.NO_NEW_CANDLE, at_place(SHOWN - 1))


def test_fetch_unfinished_bar_is_never_handed_on_while_candles_arrive(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"nbr_bars": 5})
    for _ in range(30):
        desk.advance(show=1)

    seen = desk.store.window(SYMBOL, 1_000, until_ms=at_place(1_000))
    assert seen == desk.source.candles[: desk.source.shown][-len(seen) :]
    assert desk.cursor == desk.source.shown - 1


def test_fetch_candle_index_of_three_leaves_the_newest_closed_candle_for_later(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"candle_index": 3, "nbr_bars": 4})
    desk.advance()

    assert places(fetched(desk, show=1)) == [SHOWN - 1]


def test_fetch_candle_index_of_one_still_rejects_the_bar_that_is_forming(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"candle_index": 1, "nbr_bars": 2})
    desk.advance()

    assert places(fetched(desk, show=1)) == [SHOWN]


def test_fetch_after_an_absence_requests_what_was_missed(desk: Desk) -> None:
    message = fetched(desk, show=7)

    assert places(message) == list(range(SHOWN, SHOWN + 7))
    assert desk.source.calls[-2:] == ["newest", "since"]
    assert failures(desk) == []


def test_fetch_more_than_a_batch_hands_on_the_oldest_and_requests_another_wake_up(databases: Databases) -> None:
    desk = Desk(databases, system_config(planned({})), make_candles(700), shown=10)
    desk.advance()

    message = fetched(desk, show=600)

    assert places(message) == list(range(10, 510))
    assert message.has_more


def test_fetch_source_down_for_a_moment_tries_again_with_growing_waits(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 3

    assert places(fetched(desk, show=1)) == [SHOWN]
    assert desk.slept_s == pytest.approx([0.2, 0.4, 0.8])
    assert failures(desk) == []


def test_fetch_source_down_for_long_is_transient_and_reported_and_loses_nothing(desk: Desk) -> None:
    desk.source.failures = [NO_ANSWER] * 4

    with pytest.raises(Transient):
        fetch(desk, show=1)
    [event] = failures(desk)
    assert "no answer (after 4 tries)" in event.reason
    assert desk.source.failures == []

    assert places(fetched(desk)) == [SHOWN]


def test_fetch_source_down_again_after_it_recovered_is_reported_again(desk: Desk) -> None:
    for _ in range(2):
        desk.source.failures = [NO_ANSWER] * 4
        with pytest.raises(Transient):
            fetch(desk)
        ended(desk)

    assert len(failures(desk)) == 2


def test_fetch_without_retries_queries_once(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"retry_attempts": 0})
    desk.advance()
    desk.source.failures = [NO_ANSWER]

    with pytest.raises(Transient):
        fetch(desk, show=1)
    assert desk.slept_s == []


@pytest.mark.parametrize(
    "wrong",
    [{"close": np.nan}, {"high": np.inf}, {"open": -1.0}, {"low": 0.0}, {"high": 1.0}, {"low": 1e6}, {"volume": -1.0}],
    ids=str,
)
def test_fetch_bad_candle_is_rejected_and_reported_and_taken_once_when_the_source_recovers(
    desk: Desk, wrong: dict[str, float]
) -> None:
    good = desk.source.candles
    desk.source.spoil(SHOWN, **wrong)

    for _ in range(2):
        with pytest.raises(BadCandle):
            fetch(desk, show=1 if desk.source.shown == SHOWN else 0)
    assert desk.cursor == SHOWN - 1
    assert [event.market_ms for event in failures(desk)] == [at_place(SHOWN)]

    desk.source.candles = good
    desk.advance()
    assert desk.advance().reason is ChainOutcome.NO_NEW_CANDLE
    assert list(desk.journal) == [SHOWN - 1, SHOWN]


def test_fetch_bad_candle_in_a_batch_lets_the_good_ones_before_it_through(desk: Desk) -> None:
    good = desk.source.candles
    desk.source.spoil(SHOWN + 3, close=np.nan)

    assert places(fetched(desk, show=6)) == [SHOWN, SHOWN + 1, SHOWN + 2]
    desk.advance()
    with pytest.raises(BadCandle):
        desk.advance()
    desk.source.candles = good
    desk.advance()

    assert list(desk.journal) == list(range(SHOWN - 1, SHOWN + 6))


@pytest.mark.parametrize(
    ("order", "good"),
    [([0, 1, 1, 2], [0]), ([0, 2, 1, 3], [0]), ([2, 1, 0], []), ([1, 3, 2, 0], [])],
    ids=["double", "swapped", "backwards", "mixed"],
)
def test_fetch_answer_out_of_order_gives_only_what_certainly_comes_first(
    desk: Desk, order: list[int], good: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = desk.source.candles[SHOWN : SHOWN + 4]
    mixed = Candles(answer.open_ms[order], answer.values[order])
    desk.source.shown += 6
    monkeypatch.setattr(desk.source, "_bars", lambda: mixed)

    if good:
        assert places(fetched(desk)) == [SHOWN + place for place in good]
    else:
        with pytest.raises(BadCandle):
            fetch(desk)


def test_fetch_of_a_stopped_symbol_ends_without_asking_the_source(desk: Desk) -> None:
    desk.want(DesiredState.STOPPED)
    call_count = len(desk.source.calls)

    assert ended(desk, show=1).reason is ChainOutcome.STOPPED
    assert len(desk.source.calls) == call_count


def test_fetch_of_a_paused_symbol_continues(desk: Desk) -> None:
    desk.want(DesiredState.PAUSED)

    assert fetched(desk, show=1).desired is DesiredState.PAUSED


def test_fetch_when_another_chain_was_faster_is_superseded(desk: Desk) -> None:
    assert ended(desk, show=1, expected_ms=at_place(SHOWN - 2)).reason is ChainOutcome.SUPERSEDED
    assert isinstance(fetch(desk, expected_ms=at_place(SHOWN - 1)), NewCandle)


def test_fetch_after_a_restart_was_requested_ends_until_the_services_are_new(desk: Desk) -> None:
    desk.store.request_restart(SYMBOL)

    assert ended(desk, show=1).reason is ChainOutcome.RESTARTED
    desk.restart()
    assert places(fetched(desk)) == [SHOWN]


def test_fetch_that_is_not_enabled_ends_and_queries_nothing(databases: Databases) -> None:
    desk = make_desk(databases, fetching={"enabled": False})

    assert ended(desk).reason is ChainOutcome.DISABLED
    assert desk.source.calls == []


def test_fetch_every_tick_hands_on_the_last_candle_again(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = Desk(databases, system_config(planned({}), services=services), make_candles(60), shown=SHOWN)
    desk.advance()

    assert places(fetched(desk)) == [SHOWN - 1]


def test_fetch_every_tick_rejects_a_last_candle_that_has_gone_bad(databases: Databases) -> None:
    services = {"strategy_evaluation": {"evaluation_mode": "every_tick"}}
    desk = Desk(databases, system_config(planned({}), services=services), make_candles(60), shown=SHOWN)
    desk.advance()
    desk.source.spoil(SHOWN - 1, high=1.0)

    with pytest.raises(BadCandle):
        fetch(desk)
