"""The beginning of a symbol: what is known before it, and what a seed sets."""

from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.ports.symbol_store import SymbolSnapshot
from trading_orchestrator.testing.candles import at_place
from trading_orchestrator.testing.contracts.store.examples import NOTHING_KNOWN, SYMBOL, TAPE, begin, commit_of, stored
from trading_orchestrator.testing.contracts.store.subject import Kept, StorePart


class BeginningContract(StorePart):
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
