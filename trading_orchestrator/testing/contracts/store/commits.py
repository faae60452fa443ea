"""Commits: each moves window, journal, cursor and events of its symbol together, once, and never back."""

import numpy as np
import pytest

from trading.events.decisions import NO_SIGNAL
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.market.candles import CLOSE, Candles
from trading.ports.symbol_store import Commit, SymbolSnapshot
from trading.structs import replace
from trading_orchestrator.testing.candles import at_place
from trading_orchestrator.testing.contracts.store.examples import FILLED, OTHER, SYMBOL, TAPE, begin, commit_of, stored
from trading_orchestrator.testing.contracts.store.subject import Kept, StorePart


class CommitContract(StorePart):
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
        cursor, first_decisions = 9, dict[int, str]()
        for number in range(12):
            first = int(chance.integers(10, 30))
            last = first + int(chance.integers(0, 6))
            fresh = [place for place in range(first, last + 1) if place > cursor]

            assert kept.store.commit(commit_of(first, last, text=f"{number}:"), []) == len(fresh)

            first_decisions |= {at_place(place): f"{number}: {place}" for place in fresh}
            cursor = max([cursor, *fresh])
        assert kept.store.load(SYMBOL).cursor_ms == at_place(cursor)
        assert kept.journal(SYMBOL) == first_decisions
