"""The feed: what its newest answer showed, and when market time last moved."""

from trading.market.feed_health import FeedHistory, FeedSnapshot
from trading_orchestrator.testing.candles import at_place
from trading_orchestrator.testing.contracts.store.examples import OTHER, SYMBOL, begin, commit_of
from trading_orchestrator.testing.contracts.store.subject import Kept, StorePart


class FeedContract(StorePart):
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
