"""Controls of a symbol: desired state, quarantine, exposure and restart."""

import pytest

from trading.lifecycle import DesiredState
from trading_orchestrator.testing.contracts.store.examples import (
    SYMBOL,
    begin,
    commit_of,
)
from trading_orchestrator.testing.contracts.store.subject import Kept, StorePart


class SymbolControlContract(StorePart):
    def test_commit_without_exposure_leaves_the_stored_one(self, kept: Kept) -> None:
        begin(kept.store)
        for place, reported, expected in ((10, None, True), (11, False, False), (12, None, False), (13, True, True)):
            kept.store.commit(commit_of(place, place, has_exposure=reported), [])
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

    def test_request_restart_raises_the_generation_even_before_the_beginning(self, kept: Kept) -> None:
        kept.store.request_restart(SYMBOL)
        first = kept.store.load(SYMBOL).generation
        begin(kept.store)
        kept.store.request_restart(SYMBOL)

        assert (first, kept.store.load(SYMBOL).generation) == (1, 2)
