"""Two runs row by row: the first difference is the one that leads to the others."""

from typing import Any

from trading.backtest.comparison import Run, compare
from trading.structs import replace


def row(market_ms: int, **values: Any) -> dict[str, Any]:
    return {"symbol": "XAUUSD", "market_ms": market_ms, **values}


RUN = Run(
    candles={("XAUUSD", ms): row(ms, decision="no signal") for ms in (1, 2, 3)},
    decisions={("XAUUSD", "s", 2): row(2, rule="ok")},
    orders={("o",): row(3, state="filled")},
    fills={("f",): row(3, price=1.5)},
    positions={("XAUUSD", "s"): row(3, units=1.0)},
)


def test_same_runs_are_identical_and_counted() -> None:
    found = compare(RUN, RUN)

    assert found.is_identical
    assert found.counts == {"candles": 3, "decisions": 1, "orders": 1, "fills": 1, "positions": 1}


def test_nothing_compared_is_not_identical() -> None:
    nothing = Run({}, {}, {}, {}, {})

    assert not compare(nothing, nothing).is_identical


def test_first_difference_is_the_earliest_and_of_one_time_the_decision_before_its_order() -> None:
    other = replace(
        RUN,
        candles={**RUN.candles, ("XAUUSD", 3): row(3, decision="buy")},
        decisions={("XAUUSD", "s", 2): row(2, rule="paused")},
        orders={},
        fills={("f",): row(3, price=1.25)},
        positions={("XAUUSD", "s"): row(0, units=2.0)},
    )

    found = compare(RUN, other).differences

    assert [one.part for one in found] == ["decisions", "candles", "orders", "fills", "positions"]
    assert (found[0].columns, found[0].recorded, found[0].replayed) == (
        ("rule",),
        row(2, rule="ok"),
        row(2, rule="paused"),
    )
    assert (found[2].recorded, found[2].replayed) == (row(3, state="filled"), None)


def test_row_that_the_replay_alone_has_is_a_difference() -> None:
    more = replace(RUN, fills={**RUN.fills, ("g",): row(1, price=1.0)})

    first = compare(RUN, more).differences[0]

    assert (first.key, first.recorded, first.market_ms) == (("g",), None, 1)
