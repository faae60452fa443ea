"""Bounds of a position: no entry, of whatever size and price, exceeds the leverage of its account."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.risk.bounded_decisions import (
    VIEW,
    account_of,
    decided,
    signal_of,
)
from trading.risk.open_book import OpenBook
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace

any_float = st.floats(min_value=5e-324, max_value=1.7e308)
prices = any_float | st.floats(1e-4, 1e5)
books = st.builds(
    OpenBook,
    symbol=st.sampled_from(["XAUUSD", "BTCUSD"]),
    strategy=st.sampled_from(["other", "third"]),
    units=st.floats(-1e6, 1e6),
    average_price=st.floats(1e-4, 1e5),
    stop_loss=st.none() | st.floats(1e-4, 1e5),
    price=st.none() | st.floats(1e-4, 1e5) | st.just(math.nan),
    risk=st.floats(0, 1e6),
    buying=st.floats(0, 1e6),
    selling=st.floats(0, 1e6),
)
sizings = (
    st.fixed_dictionaries({"sizing": st.just("fixed_units"), "units": any_float})
    | st.fixed_dictionaries({"sizing": st.just("fixed_notional"), "notional": any_float})
    | st.fixed_dictionaries({"sizing": st.just("risk_fraction"), "risk_fraction": st.floats(1e-9, 1)})
)
entries = st.builds(
    lambda side, price, stop, size: signal_of(side, price, stop_loss=stop, size_units=size),
    st.sampled_from([SignalSide.BUY, SignalSide.SELL]),
    prices,
    st.none() | prices,
    st.none() | any_float,
)


@given(
    signal=entries,
    others=st.lists(books, max_size=3),
    sizing=sizings,
    balance=st.floats(-1e6, 1e9),
    leverage=st.tuples(st.floats(1e-3, 1000), st.floats(1e-3, 1000)),
    step=st.sampled_from([1e-8, 0.01, 1.0]),
)
def test_value_of_all_positions_and_entries_never_exceeds_the_limit_after_an_entry(
    signal: Signal,
    others: list[OpenBook],
    sizing: dict[str, Any],
    balance: float,
    leverage: tuple[float, float],
    step: float,
) -> None:
    view = replace(VIEW, books=tuple(others), balance=balance)
    account = account_of(max_leverage=leverage[0])

    decision = decided(signal, view, account, **sizing, unit_step=step, max_leverage=leverage[1])

    if decision.planned:
        held = [
            max(max(one.units, 0) * (one.price or 0) + one.buying, max(-one.units, 0) * (one.price or 0) + one.selling)
            for one in others
        ]
        own = [value for value, one in zip(held, others, strict=True) if one.symbol == "XAUUSD"]
        profit = math.fsum(one.units * (one.price - one.average_price) for one in others if one.units and one.price)
        notional = decision.planned[0].notional
        assert 0 < notional < math.inf
        assert balance + profit > 0
        assert math.fsum(held) + notional <= leverage[0] * (balance + profit) * (1 + 1e-6)
        assert math.fsum(own) + notional <= leverage[1] * (balance + profit) * (1 + 1e-6)
