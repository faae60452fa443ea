"""The window of candles: which it returns and keeps, and the discard of a future."""

import pytest

from trading.market.candles import Candles
from trading.structs import replace
from trading_orchestrator.testing.candles import START_MS, at_place
from trading_orchestrator.testing.contracts.store.examples import SYMBOL, TAPE, begin, commit_of, stored
from trading_orchestrator.testing.contracts.store.subject import Kept, StorePart


class WindowContract(StorePart):
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
