"""Several strategies on one symbol: each has a book of its own, all share the account and the symbol's orders."""

from typing import Any

import pytest

from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from trading.events.event import EventType
from trading.incidents.incident import IncidentKind
from trading.services.chain import ChainOutcome
from trading_orchestrator.testing.candles import SYMBOL, make_candles

SHOWN = 10
BUY, SELL, CLOSE = "buy", "sell", "close"
AT_CLOSE = {"kind": "paper", "fill_at": "close"}


def make_desk(
    databases: Databases,
    plans: dict[str, dict[int, str]],
    *,
    risks: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> Desk:
    """Make a desk with a strategy for each plan, stops and targets far away."""
    books = {
        name: planned(plan, stop_distance=50.0, target_distance=50.0)
        | ({"risk": risks[name]} if risks and name in risks else {})
        for name, plan in plans.items()
    }
    config = system_config(None, strategies=books, **{"venue": AT_CLOSE, **options})
    desk = Desk(databases, config, make_candles(60), shown=SHOWN)
    desk.advance()
    return desk


def held(desk: Desk) -> dict[str, float]:
    return {position.strategy: position.units for position in desk.ledger.positions() if position.is_open}


def decided(desk: Desk) -> list[tuple[str, str]]:
    rows = reversed(desk.ledger.decisions(SYMBOL))
    return [(row["strategy"], row["rule"]) for row in rows]


def incidents(desk: Desk) -> list[IncidentKind]:
    return [incident.kind for incident in desk.ledger.incidents_of(SYMBOL)]


def test_two_signals_of_one_candle_open_a_position_each_in_the_order_of_the_configuration(databases: Databases) -> None:
    desk = make_desk(databases, {"zeta": {SHOWN: BUY}, "alpha": {SHOWN: SELL}})

    result = desk.advance(show=1)

    assert result.reason is ChainOutcome.DECIDED
    assert held(desk) == {"zeta": 2.0, "alpha": -2.0}
    assert decided(desk) == [("zeta", "ok"), ("alpha", "ok")]
    first, second = desk.journal[SHOWN].split(" | ")
    assert (first[: len("zeta: buy 2")], second[: len("alpha: sell 2")]) == ("zeta: buy 2", "alpha: sell 2")
    validated = [event.details["strategy"] for event in desk.events_of(EventType.SIGNAL_VALIDATED)]
    assert validated == ["zeta", "alpha"]


def test_limit_that_leaves_one_place_gives_it_to_the_first(databases: Databases) -> None:
    account = {"max_open_positions": 1}
    desk = make_desk(databases, {"zeta": {SHOWN: BUY}, "alpha": {SHOWN: BUY}}, account=account)

    desk.advance(show=1)

    assert held(desk) == {"zeta": 2.0}
    assert decided(desk) == [("zeta", "ok"), ("alpha", "max_open_positions")]
    assert "alpha: buy at" in desk.journal[SHOWN]
    assert "refused by max_open_positions" in desk.journal[SHOWN]


def test_each_strategy_is_sized_by_its_own_risk_and_else_by_that_of_the_symbol(databases: Databases) -> None:
    risks = {"large": {"sizing": "fixed_units", "units": 7.0}}
    desk = make_desk(databases, {"plain": {SHOWN: BUY}, "large": {SHOWN + 1: BUY}}, risks=risks)

    desk.play(SHOWN + 2)

    assert held(desk) == {"plain": 2.0, "large": 7.0}


def test_entry_beside_an_order_that_waits_for_the_next_candle_is_rejected_and_an_exit_is_not(
    databases: Databases,
) -> None:
    plans = {"first": {SHOWN: BUY, SHOWN + 3: CLOSE}, "second": {SHOWN: BUY, SHOWN + 1: BUY, SHOWN + 3: CLOSE}}
    desk = make_desk(databases, plans, venue={"kind": "paper", "fill_at": "next_open"})

    desk.play(SHOWN + 3)
    assert held(desk) == {"first": 2.0, "second": 2.0}
    assert decided(desk) == [("first", "ok"), ("second", "unsettled"), ("second", "ok")]

    desk.play(SHOWN + 5)
    assert held(desk) == {}
    assert decided(desk)[3:] == [("first", "ok"), ("second", "ok")]


def test_opposite_positions_with_their_stops_agree_with_the_venue(databases: Databases) -> None:
    desk = make_desk(databases, {"long": {SHOWN: BUY}, "short": {SHOWN: SELL, SHOWN + 4: CLOSE}})
    desk.play(SHOWN + 2)

    desk.pipeline.reconcile()

    assert held(desk) == {"long": 2.0, "short": -2.0}
    assert incidents(desk) == []
    desk.play(SHOWN + 6)
    desk.pipeline.reconcile()
    assert held(desk) == {"long": 2.0}
    assert incidents(desk) == []


@pytest.mark.parametrize("fill_at", ["close", "next_open"])
def test_flatten_closes_the_positions_of_all_strategies_at_once(databases: Databases, fill_at: str) -> None:
    venue = {"kind": "paper", "fill_at": fill_at}
    desk = make_desk(databases, {"long": {SHOWN: BUY}, "short": {SHOWN + 1: SELL}}, venue=venue)
    desk.play(SHOWN + 4)
    assert held(desk) == {"long": 2.0, "short": -2.0}

    found = desk.pipeline.flatten("enough")

    assert {name: verdict.rule for name, verdict in found.verdicts.items()} == {"long": "ok", "short": "ok"}
    desk.play(SHOWN + 6)
    assert held(desk) == {}


@pytest.mark.parametrize("is_store_lost", [False, True])
@pytest.mark.parametrize("write", range(1, 15))
def test_process_that_dies_between_two_decisions_of_one_candle_continues_with_the_second(
    databases: Databases, write: int, *, is_store_lost: bool
) -> None:
    plans = {"first": {SHOWN: BUY}, "second": {SHOWN: SELL}}
    whole = make_desk(databases, plans)
    whole.play(SHOWN + 3)
    expected = (held(whole), decided(whole), [(leg, state) for _, leg, state in whole.orders()])

    desk = make_desk(databases, plans)
    desk.watch(Fuse(write))
    with pytest.raises(Crash):
        desk.advance(show=1)
    desk.watch(Fuse())
    if is_store_lost:
        desk.store.forget()
        desk.restart()
    desk.advance()
    desk.play(SHOWN + 3)

    assert (held(desk), decided(desk), [(leg, state) for _, leg, state in desk.orders()]) == expected
    assert incidents(desk) == []
