"""States: only the ways that the table shows exist."""

from itertools import product

import pytest

from trading.errors import Broken
from trading.lifecycle import ServiceState, SymbolState, next_service_state, next_symbol_state

SERVICE_WAYS = {
    "created -> starting",
    "starting -> running",
    "starting -> error",
    "running -> paused",
    "running -> error",
    "running -> stopping",
    "paused -> running",
    "paused -> error",
    "paused -> stopping",
    "error -> recovering",
    "error -> stopping",
    "recovering -> running",
    "recovering -> error",
    "recovering -> stopping",
    "stopping -> stopped",
    "stopped -> starting",
}
SYMBOL_WAYS = {
    "initializing -> running",
    "initializing -> paused",
    "initializing -> stopped",
    "initializing -> error",
    "running -> paused",
    "running -> stopped",
    "running -> error",
    "paused -> running",
    "paused -> stopped",
    "paused -> error",
    "stopped -> initializing",
    "stopped -> running",
    "stopped -> paused",
    "error -> recovering",
    "error -> stopped",
    "error -> quarantined",
    "recovering -> running",
    "recovering -> paused",
    "recovering -> error",
    "recovering -> stopped",
    "recovering -> quarantined",
    "quarantined -> recovering",
    "quarantined -> stopped",
}


@pytest.mark.parametrize(("before", "after"), list(product(ServiceState, repeat=2)))
def test_service_state_changes_only_where_the_table_allows(before: ServiceState, after: ServiceState) -> None:
    if f"{before} -> {after}" in SERVICE_WAYS:
        assert next_service_state(before, after) is after
    else:
        with pytest.raises(Broken, match=f"from state {before} to {after} is not allowed"):
            next_service_state(before, after)


@pytest.mark.parametrize(("before", "after"), list(product(SymbolState, repeat=2)))
def test_symbol_state_changes_only_where_the_table_allows(before: SymbolState, after: SymbolState) -> None:
    if f"{before} -> {after}" in SYMBOL_WAYS:
        assert next_symbol_state(before, after) is after
    else:
        with pytest.raises(Broken, match=f"from state {before} to {after} is not allowed"):
            next_symbol_state(before, after)


def test_illegal_transition_reports_where_it_may_go() -> None:
    with pytest.raises(Broken, match="allowed from error: recovering, stopping"):
        next_service_state(ServiceState.ERROR, ServiceState.RUNNING)
