"""The contract of a symbol store: subclass `SymbolStoreContract`, and define the fixture `kept`."""

from typing import Protocol

import numpy as np
import pytest

from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind
from trading.events.event import Event, EventType
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.market.feed_health import FeedHistory, FeedSnapshot
from trading.ports.symbol_store import Commit, SymbolSnapshot, SymbolStore
from trading.structs import replace
from trading_orchestrator.testing.candles import START_MS, at_place, make_candles

SYMBOL, OTHER = "XAUUSD", "BTCUSD"
TAPE = make_candles(60)
FILLED = Event(type=EventType.ORDER_FILLED, symbol=SYMBOL, market_ms=START_MS, details={"price": 1.5})
NOTHING_KNOWN = SymbolSnapshot(None, DesiredState.RUNNING, has_exposure=True, regime=Regime.UNKNOWN, generation=0)


class Kept(Protocol):
    """A store under test, and what it holds beyond the port.

    Attributes:
        window_limit: Candles that the store keeps for each symbol; at most 40.
        wall_ms: The wall clock as the store reads it; a test may set it.
    """

    store: SymbolStore
    window_limit: int
    wall_ms: int

    def journal(self, symbol: str) -> dict[int, str]:
        """Return the text of each decision, by the open time of its candle."""
        ...

    def events(self) -> list[Event]:
        """Return the published events, oldest first."""
        ...


def commit_of(
    first: int,
    last: int,
    *,
    symbol: str = SYMBOL,
    text: str = "decided",
    has_exposure: bool | None = None,
    snapshot: FeedSnapshot | None = None,
) -> Commit:
    """Return the commit of the candles at the places `first` to `last`, the last one included."""
    candles = TAPE[first : last + 1]
    kind = DecisionKind.ACCEPTED
    decisions = [(CandleDecision(kind, reason=f"{text} {place}"),) for place in range(first, last + 1)]
    return Commit(symbol, "1m", 0, candles, decisions, [Regime.RANGING] * len(candles), has_exposure, snapshot)


def begin(store: SymbolStore, until: int = 9, *, symbol: str = SYMBOL) -> None:
    """Seed a symbol with the candles up to the place `until`."""
    history = TAPE[: until + 1]
    store.seed(symbol, history, timeframe="1m", cursor_ms=history.last_open_ms, desired=DesiredState.RUNNING)


def stored(store: SymbolStore, count: int = 1_000) -> Candles:
    return store.window(SYMBOL, count, until_ms=at_place(1_000))


class SymbolStoreContract:
    """The promises of `trading.ports.symbol_store.SymbolStore`."""

    @pytest.fixture
    def kept(self) -> Kept:
        raise NotImplementedError("define the fixture kept in the test class")

    def test_load_of_a_symbol_never_seen_knows_nothing_and_expects_exposure(self, kept: Kept) -> None:
        assert kept.store.load(SYMBOL) == NOTHING_KNOWN
        assert stored(kept.store) == Candles.empty()

    def test_seed_is_what_load_and_window_return(self, kept: Kept) -> None:
        kept.store.seed(SYMBOL, TAPE[:5], timeframe="1m", cursor_ms=at_place(4), desired=DesiredState.PAUSED)

        assert kept.store.load(SYMBOL) == SymbolSnapshot(
            at_place(4), DesiredState.PAUSED, True, Regime.UNKNOWN, 0, "1m"
        )
        assert stored(kept.store) == TAPE[:5]

    def test_seed_without_history_is_a_beginning_too(self, kept: Kept) -> None:
        kept.store.seed(SYMBOL, Candles.empty(), timeframe="1m", cursor_ms=0, desired=DesiredState.RUNNING)

        assert kept.store.load(SYMBOL).cursor_ms == 0
        assert kept.store.commit(commit_of(0, 0), []) == 1

    def test_seed_anew_replaces_the_window_and_keeps_journal_and_generation(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.request_restart(SYMBOL)
        kept.store.commit(commit_of(10, 12), [])
        kept.store.seed(SYMBOL, TAPE[20:23], timeframe="1m", cursor_ms=at_place(22), desired=DesiredState.RUNNING)

        assert stored(kept.store) == TAPE[20:23]
        assert list(kept.journal(SYMBOL)) == [at_place(place) for place in (10, 11, 12)]
        assert kept.store.load(SYMBOL) == SymbolSnapshot(
            at_place(22), DesiredState.RUNNING, True, Regime.UNKNOWN, 1, "1m"
        )

    def test_commit_moves_window_journal_cursor_and_events_together(self, kept: Kept) -> None:
        begin(kept.store)

        assert kept.store.commit(commit_of(10, 12, has_exposure=False), [FILLED]) == 3

        assert kept.store.load(SYMBOL) == SymbolSnapshot(
            at_place(12), DesiredState.RUNNING, False, Regime.RANGING, 0, "1m"
        )
        assert stored(kept.store) == TAPE[:13]
        assert kept.journal(SYMBOL) == {at_place(place): f"decided {place}" for place in (10, 11, 12)}
        assert kept.events() == [FILLED]

    def test_latest_prices_are_the_last_closes_by_symbol(self, kept: Kept) -> None:
        assert kept.store.latest_prices() == {}

        begin(kept.store)
        begin(kept.store, symbol=OTHER)
        kept.store.seed("EURUSD", Candles.empty(), timeframe="1m", cursor_ms=0, desired=DesiredState.RUNNING)
        kept.store.commit(commit_of(10, 12), [])
        kept.store.commit(replace(commit_of(15, 16, symbol=OTHER), after_ms=at_place(14)), [])  # does not join
        kept.store.commit(commit_of(10, 11), [])  # comes again

        closes = TAPE.values[:, CLOSE].tolist()
        assert kept.store.latest_prices() == {SYMBOL: closes[12], OTHER: closes[9]}

    def test_commit_of_a_batch_that_does_not_join_the_cursor_moves_nothing(self, kept: Kept) -> None:
        begin(kept.store)
        later = replace(commit_of(15, 16), after_ms=at_place(14))

        assert kept.store.commit(later, [FILLED]) == 0

        assert kept.store.load(SYMBOL).cursor_ms == at_place(9)
        assert stored(kept.store) == TAPE[:10]
        assert kept.journal(SYMBOL) == {}
        assert kept.events() == [FILLED], "what happened is told all the same"

    def test_commit_delivered_again_changes_nothing(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 12, has_exposure=False), [FILLED])
        before = (kept.store.load(SYMBOL), stored(kept.store), kept.journal(SYMBOL))

        assert kept.store.commit(commit_of(10, 12, text="again", has_exposure=True), []) == 0

        assert (kept.store.load(SYMBOL), stored(kept.store), kept.journal(SYMBOL)) == before

    def test_commit_that_is_partly_old_takes_the_new_part(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 12), [])

        assert kept.store.commit(commit_of(11, 14, text="later"), []) == 2

        assert stored(kept.store) == TAPE[:15]
        assert kept.journal(SYMBOL)[at_place(12)] == "decided 12"
        assert kept.journal(SYMBOL)[at_place(13)] == "later 13"

    def test_commit_without_exposure_leaves_the_stored_one(self, kept: Kept) -> None:
        begin(kept.store)
        for place, said, expected in ((10, None, True), (11, False, False), (12, None, False), (13, True, True)):
            kept.store.commit(commit_of(place, place, has_exposure=said), [])
            assert kept.store.load(SYMBOL).has_exposure is expected

    def test_mark_exposed_is_seen_at_once(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 10, has_exposure=False), [])
        kept.store.mark_exposed(SYMBOL)

        assert kept.store.load(SYMBOL).has_exposure

    @pytest.mark.parametrize("state", list(DesiredState))
    def test_desired_is_what_was_said_last(self, kept: Kept, state: DesiredState) -> None:
        begin(kept.store)
        kept.store.set_desired(SYMBOL, state)
        kept.store.commit(commit_of(10, 10), [])

        assert kept.store.load(SYMBOL).desired is state

    def test_desired_said_before_the_beginning_is_no_beginning(self, kept: Kept) -> None:
        kept.store.set_desired(SYMBOL, DesiredState.PAUSED)
        kept.store.mark_exposed(SYMBOL)

        assert kept.store.load(SYMBOL).cursor_ms is None

    def test_quarantine_is_what_was_shown_last_and_no_commit_ends_it(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.set_quarantine(SYMBOL, "flatten")
        kept.store.commit(commit_of(10, 10), [])
        shown = kept.store.load(SYMBOL).quarantine
        kept.store.set_quarantine(SYMBOL, None)

        assert (shown, kept.store.load(SYMBOL).quarantine) == ("flatten", None)

    def test_feed_before_the_first_answer_is_not_known(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 10), [])

        assert kept.store.feed(SYMBOL) is None
        assert kept.store.feed(OTHER) is None

    def test_feed_after_a_commit_is_what_its_answer_showed(self, kept: Kept) -> None:
        begin(kept.store)
        snapshot = FeedSnapshot(at_place(40), at_place(38), is_over=True)
        kept.store.commit(commit_of(10, 12, snapshot=snapshot), [])

        assert kept.store.feed(SYMBOL) == FeedHistory(snapshot, kept.wall_ms, kept.wall_ms, at_place(12))

    def test_feed_after_an_answer_without_a_candle_is_what_it_showed(self, kept: Kept) -> None:
        begin(kept.store)
        snapshot = FeedSnapshot(at_place(11) + 1, 0)
        kept.store.record_fetch(SYMBOL, snapshot)

        assert kept.store.feed(SYMBOL) == FeedHistory(snapshot, kept.wall_ms, kept.wall_ms, at_place(9))
        assert kept.store.load(SYMBOL).cursor_ms == at_place(9)

    def test_feed_remembers_when_market_time_last_moved_on(self, kept: Kept) -> None:
        begin(kept.store)
        begun_ms, stuck = kept.wall_ms, FeedSnapshot(at_place(11), at_place(10))
        kept.store.commit(commit_of(10, 10, snapshot=stuck), [])
        for _ in range(3):
            kept.wall_ms += 1_000
            kept.store.record_fetch(SYMBOL, stuck)
        stood = kept.store.feed(SYMBOL)
        kept.store.record_fetch(SYMBOL, FeedSnapshot(at_place(11) + 1, at_place(10)))
        moved = kept.store.feed(SYMBOL)

        assert stood is not None
        assert moved is not None
        assert (stood.answered_ms, stood.moved_ms) == (begun_ms + 3_000, begun_ms)
        assert (moved.answered_ms, moved.moved_ms) == (begun_ms + 3_000, begun_ms + 3_000)

    def test_feed_is_not_taken_back_by_a_commit_that_comes_again(self, kept: Kept) -> None:
        begin(kept.store)
        old, new = FeedSnapshot(at_place(12), at_place(11)), FeedSnapshot(at_place(20), at_place(19))
        kept.store.commit(commit_of(10, 11, snapshot=old), [])
        kept.store.commit(commit_of(12, 19, snapshot=new), [])
        before = kept.store.feed(SYMBOL)
        kept.wall_ms += 5_000
        kept.store.commit(commit_of(10, 11, snapshot=old), [])

        assert kept.store.feed(SYMBOL) == before

    def test_feed_of_a_candle_that_is_evaluated_again_is_the_newer_answer(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 10, snapshot=FeedSnapshot(at_place(11), at_place(10))), [])
        kept.wall_ms += 500
        again = FeedSnapshot(at_place(11) + 30_000, at_place(10))
        kept.store.commit(commit_of(10, 10, snapshot=again), [])

        assert kept.store.feed(SYMBOL) == FeedHistory(again, kept.wall_ms, kept.wall_ms, at_place(10))

    def test_feed_of_a_symbol_that_begins_anew_is_not_known(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.record_fetch(SYMBOL, FeedSnapshot(at_place(11), at_place(10)))
        begin(kept.store)

        assert kept.store.feed(SYMBOL) is None

    def test_request_restart_raises_the_generation_even_before_the_beginning(self, kept: Kept) -> None:
        kept.store.request_restart(SYMBOL)
        first = kept.store.load(SYMBOL).generation
        begin(kept.store)
        kept.store.request_restart(SYMBOL)

        assert (first, kept.store.load(SYMBOL).generation) == (1, 2)

    @pytest.mark.parametrize(
        ("count", "until", "first"), [(5, 19, 15), (3, 12, 10), (30, 12, 0), (1, 0, 0), (4, 99, 16)]
    )
    def test_window_is_the_newest_up_to_a_candle_whatever_came_later(
        self, kept: Kept, count: int, until: int, first: int
    ) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 19), [])

        assert kept.store.window(SYMBOL, count, until_ms=at_place(until)) == TAPE[first : min(until, 19) + 1]

    def test_window_before_the_first_candle_is_empty(self, kept: Kept) -> None:
        begin(kept.store)

        assert kept.store.window(SYMBOL, 5, until_ms=START_MS - 1) == Candles.empty()

    def test_window_keeps_as_many_candles_as_it_may(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 59), [])

        assert stored(kept.store) == TAPE[60 - kept.window_limit :]

    def test_commit_that_needs_more_candles_than_the_limit_keeps_them(self, kept: Kept) -> None:
        begin(kept.store)
        needed = kept.window_limit + 7

        kept.store.commit(replace(commit_of(10, 59), window_count=needed), [])

        assert stored(kept.store) == TAPE[60 - needed :]

    def test_discard_future_begins_anew_and_keeps_the_journal_until_then(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 12), [])

        kept.store.discard_future(SYMBOL, after_ms=at_place(11))

        assert kept.store.load(SYMBOL).cursor_ms is None
        assert len(stored(kept.store)) == 0
        assert list(kept.journal(SYMBOL)) == [at_place(10), at_place(11)]
        begin(kept.store, 11)
        kept.store.commit(commit_of(12, 13, text="again"), [])
        assert list(kept.journal(SYMBOL)) == [at_place(place) for place in (10, 11, 12, 13)]

    def test_discard_future_beyond_all_entries_keeps_the_journal(self, kept: Kept) -> None:
        begin(kept.store)
        kept.store.commit(commit_of(10, 12), [])

        kept.store.discard_future(SYMBOL, after_ms=at_place(12))

        assert list(kept.journal(SYMBOL)) == [at_place(place) for place in (10, 11, 12)]

    def test_discard_future_of_a_symbol_never_seen_changes_nothing(self, kept: Kept) -> None:
        kept.store.discard_future(SYMBOL, after_ms=0)

        assert kept.store.load(SYMBOL).cursor_ms is None

    def test_symbols_are_apart(self, kept: Kept) -> None:
        begin(kept.store)
        begin(kept.store, 3, symbol=OTHER)
        kept.store.commit(commit_of(10, 12), [])
        kept.store.set_desired(SYMBOL, DesiredState.STOPPED)

        assert kept.store.load(OTHER) == SymbolSnapshot(
            at_place(3), DesiredState.RUNNING, True, Regime.UNKNOWN, 0, "1m"
        )
        assert kept.journal(OTHER) == {}
        assert kept.store.window(OTHER, 99, until_ms=at_place(99)) == TAPE[:4]

    def test_commit_keeps_numbers_to_the_last_bit(self, kept: Kept) -> None:
        begin(kept.store)
        exact = Candles.from_rows([[at_place(10), 0.1 + 0.2, 1e17 / 3, 5e-324, 2 / 3, 1e-300]])
        kept.store.commit(Commit(SYMBOL, "1m", 0, exact, [NO_SIGNAL], [Regime.UNKNOWN]), [])

        assert stored(kept.store, 1) == exact

    @pytest.mark.parametrize("seed", range(8))
    def test_commits_in_any_order_decide_each_candle_at_most_once_and_never_go_back(
        self, kept: Kept, seed: int
    ) -> None:
        begin(kept.store)
        chance = np.random.default_rng(seed)
        cursor, first_said = 9, dict[int, str]()
        for number in range(12):
            first = int(chance.integers(10, 30))
            last = first + int(chance.integers(0, 6))
            fresh = [place for place in range(first, last + 1) if place > cursor]

            assert kept.store.commit(commit_of(first, last, text=f"{number}:"), []) == len(fresh)

            first_said |= {at_place(place): f"{number}: {place}" for place in fresh}
            cursor = max([cursor, *fresh])
        assert kept.store.load(SYMBOL).cursor_ms == at_place(cursor)
        assert kept.journal(SYMBOL) == first_said
