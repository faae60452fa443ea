"""Orders: the id that makes a second order impossible, and the states."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import Broken
from trading.orders.orders import (
    Leg,
    OrderState,
    Side,
    client_order_id,
    decided_id,
    decided_open_ms,
    next_order_state,
    protective_order_id,
)

OPEN_MS = 1_774_360_800_000
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1, max_size=20)
MINUTES = st.integers(0, 60_000_000).map(lambda minute: minute * 60_000)


def test_client_order_id_of_a_decision_is_the_same_in_every_release() -> None:
    found = client_order_id("main", "XAUUSD", "ema_cross", OPEN_MS, Leg.ENTRY)

    assert found == "XAUUSD-1774360800-e-018c1f9913"


@given(NAMES, NAMES, NAMES, MINUTES, st.sampled_from(Leg))
def test_client_order_id_of_anything_suits_the_strictest_venue(
    account: str, symbol: str, strategy: str, open_ms: int, leg: Leg
) -> None:
    found = client_order_id(account, symbol, strategy, open_ms, leg)

    assert re.fullmatch(r"[A-Za-z0-9-]{1,32}", found)


def test_client_order_id_differs_with_each_part_of_a_decision() -> None:
    parts = ("main", "XAUUSD", "ema_cross", OPEN_MS, Leg.ENTRY)
    others = ("other", "XAGUSD", "sma_cross", OPEN_MS + 60_000, Leg.EXIT)
    ids = [client_order_id(*parts)]
    for place, other in enumerate(others):
        changed = [*parts[:place], other, *parts[place + 1 :]]
        ids.append(client_order_id(*changed))  # type: ignore[arg-type]  # one part at a time is of its own type

    assert len(set(ids)) == len(ids)


def test_client_order_id_of_symbols_that_look_alike_when_cut_differs() -> None:
    symbols = ("BTC/USDT", "BTC-USDT", "BTCUSDT", "BTCUSDT.PERP", "BTCUSDT.SPOT")

    assert len({client_order_id("main", symbol, "ema", OPEN_MS, Leg.ENTRY) for symbol in symbols}) == len(symbols)


@given(NAMES, MINUTES, st.sampled_from(Leg))
def test_decided_open_ms_of_an_id_is_the_candle_it_was_made_of(symbol: str, open_ms: int, leg: Leg) -> None:
    assert decided_open_ms(client_order_id("main", symbol, "ema", open_ms, leg)) == open_ms


@pytest.mark.parametrize("leg", [Leg.STOP_LOSS, Leg.TAKE_PROFIT])
def test_decided_open_ms_of_a_protective_order_is_the_candle_of_its_entry(leg: Leg) -> None:
    entry = client_order_id("main", "XAUUSD", "ema", OPEN_MS, Leg.ENTRY)

    assert decided_open_ms(protective_order_id(entry, leg)) == OPEN_MS


def test_order_state_final_are_those_after_which_nothing_comes() -> None:
    assert {state for state in OrderState if state.is_final} == {
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.REJECTED,
        OrderState.EXPIRED,
    }


@pytest.mark.parametrize("side", list(Side))
def test_side_opposite_has_the_other_sign(side: Side) -> None:
    assert side.opposite.sign == -side.sign
    assert side.opposite.opposite is side


def test_decided_id_of_a_protective_order_is_its_entrys() -> None:
    entry = client_order_id("main", "XAUUSD", "cross", OPEN_MS, Leg.ENTRY)
    for leg in (Leg.STOP_LOSS, Leg.TAKE_PROFIT):
        assert decided_id(protective_order_id(entry, leg)) == entry
    assert decided_id(entry) == entry
    assert decided_id("S-s-by-hand") == "S-s-by-hand"


@pytest.mark.parametrize(
    ("current", "target"),
    [
        (OrderState.PLANNED, OrderState.SUBMITTING),
        (OrderState.SUBMITTING, OrderState.UNKNOWN),
        (OrderState.UNKNOWN, OrderState.SUBMITTING),
        (OrderState.UNKNOWN, OrderState.ACCEPTED),
        (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED),
        (OrderState.PARTIALLY_FILLED, OrderState.CANCELED),
        (OrderState.EXPIRED, OrderState.FILLED),
        (OrderState.FILLED, OrderState.FILLED),
    ],
)
def test_next_order_state_of_an_allowed_transition_is_the_target(current: OrderState, target: OrderState) -> None:
    assert next_order_state(current, target) is target


@pytest.mark.parametrize(
    ("current", "target"),
    [
        (OrderState.PLANNED, OrderState.ACCEPTED),
        (OrderState.PLANNED, OrderState.UNKNOWN),
        (OrderState.ACCEPTED, OrderState.SUBMITTING),
        (OrderState.PARTIALLY_FILLED, OrderState.ACCEPTED),
        (OrderState.FILLED, OrderState.CANCELED),
        (OrderState.CANCELED, OrderState.ACCEPTED),
        (OrderState.REJECTED, OrderState.SUBMITTING),
    ],
)
def test_next_order_state_of_a_way_that_does_not_exist_is_broken(current: OrderState, target: OrderState) -> None:
    with pytest.raises(Broken, match=f"from {current} to {target}"):
        next_order_state(current, target)


def test_next_order_state_leads_nowhere_back_to_planned_and_from_an_end_only_to_filled() -> None:
    for current in OrderState:
        for target in OrderState:
            if target is current:
                continue
            allowed = _is_allowed(current, target)
            if target is OrderState.PLANNED or (current.is_final and target is not OrderState.FILLED):
                assert not allowed


def _is_allowed(current: OrderState, target: OrderState) -> bool:
    try:
        next_order_state(current, target)
    except Broken:
        return False
    return True
