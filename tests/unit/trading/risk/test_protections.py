"""Protections: when each of them holds a symbol off, by the market time of closed trades alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from trading.market.timeframes import Timeframe
from trading.orders.orders import Fill, Leg, Side
from trading.portfolio.trades import ClosedTrade, TradeFold
from trading.risk.protections import CooldownPeriod, EntryRequest, Protection, StoplossGuard, when_known
from trading.structs import replace

MINUTE_MS = 60_000
MINUTE = Timeframe.parse("1m")
ADAPTER: TypeAdapter[Protection] = TypeAdapter(Protection)


def trade(
    minute: int, ratio: float = -0.01, *, symbol: str = "XAUUSD", leg: Leg = Leg.STOP_LOSS, side: Side = Side.BUY
) -> ClosedTrade:
    return ClosedTrade(symbol, "ema", side, leg, minute * MINUTE_MS, ratio * 100.0, 100.0)


def is_free(
    settings: dict[str, Any],
    trades: Sequence[ClosedTrade],
    minute: int,
    *,
    side: Side = Side.BUY,
    own: bool = False,
    timeframes: Mapping[str, Timeframe] | None = None,
) -> bool:
    """Return whether XAUUSD may enter by the signal of the candle that opens at a minute."""
    request = EntryRequest("XAUUSD", side, minute * MINUTE_MS, MINUTE, "XAUUSD" if own else None)

    def trades_since(since_ms: int, symbol: str | None) -> list[ClosedTrade]:
        return [one for one in trades if one.closed_ms > since_ms and symbol in (None, one.symbol)]

    known = when_known(trades_since, timeframes or {}, MINUTE)
    return ADAPTER.validate_python(settings).evaluated(request, known)[0]


def free_minutes(settings: dict[str, Any], trades: Sequence[ClosedTrade], **how: Any) -> list[int]:
    return [minute for minute in range(40) if is_free(settings, trades, minute, **how)]


def held_off(settings: dict[str, Any], trades: Sequence[ClosedTrade], **how: Any) -> list[int]:
    return [minute for minute in range(40) if minute not in free_minutes(settings, trades, **how)]


@pytest.mark.parametrize("length", [{"stop_duration_candles": 3}, {"stop_duration": 3}])
def test_cooldown_period_rejects_the_candles_that_begin_with_the_exit(length: dict[str, int]) -> None:
    settings = {"method": "CooldownPeriod", **length}
    trades = [trade(10, 0.02, leg=Leg.EXIT), trade(20, symbol="BTCUSD")]
    assert held_off(settings, trades) == [10, 11, 12]  # of BTCUSD it is no business


def test_cooldown_period_goes_from_the_last_exit() -> None:
    settings = {"method": "CooldownPeriod", "stop_duration_candles": 2}
    assert held_off(settings, [trade(10), trade(11), trade(30)]) == [10, 11, 12, 30, 31]


GUARD = {"method": "StoplossGuard", "lookback_period_candles": 5, "trade_limit": 2, "stop_duration_candles": 4}


@pytest.mark.parametrize(
    ("trades", "settings", "expected"),
    [
        ([trade(10), trade(14)], {}, [14, 15, 16, 17]),
        ([trade(10), trade(15)], {}, []),  # five candles apart: the first is not within the look-back
        ([trade(10), trade(12), trade(14)], {}, [12, 13, 14, 15, 16, 17]),
        ([trade(10), trade(12, leg=Leg.EXIT)], {}, []),
        ([trade(10), trade(12, ratio=0.01)], {}, []),  # a stop that was moved into the profit
        ([trade(10), trade(12, ratio=0.01)], {"required_profit": 0.02}, [12, 13, 14, 15]),
        ([trade(10), trade(12, symbol="BTCUSD")], {}, [12, 13, 14, 15]),
        ([trade(10), trade(12, symbol="BTCUSD")], {"only_per_pair": True}, []),
        ([trade(10), trade(12, side=Side.SELL)], {}, [12, 13, 14, 15]),
        ([trade(10), trade(12, side=Side.SELL)], {"only_per_side": True}, []),
        ([trade(10), trade(14), trade(17, leg=Leg.EXIT)], {}, [14, 15, 16, 17]),  # others do not prolong it
    ],
)
def test_stoploss_guard_counts_stop_losses_in_its_look_back(
    trades: list[ClosedTrade], settings: dict[str, Any], expected: list[int]
) -> None:
    assert held_off({**GUARD, **settings}, trades) == expected


def test_trade_in_a_longer_candle_counts_from_when_that_has_closed() -> None:
    """A stop in the ten-minute candle of 10 is known at 20, with the one-minute candle of 19."""
    timeframes = {"XAUUSD": MINUTE, "BTCUSD": Timeframe.parse("10m")}
    guard = {**GUARD, "trade_limit": 1}

    assert held_off(guard, [trade(10, symbol="BTCUSD")], timeframes=timeframes) == [19, 20, 21, 22]
    assert held_off(guard, [trade(10)], timeframes=timeframes) == [10, 11, 12, 13]
    assert held_off(GUARD, [trade(10, symbol="BTCUSD"), trade(23)], timeframes=timeframes) == [23, 24, 25, 26]
    assert held_off(GUARD, [trade(10, symbol="BTCUSD"), trade(24)], timeframes=timeframes) == []
    at_the_close = replace(trade(0, symbol="BTCUSD"), closed_ms=20 * MINUTE_MS - 1)
    assert held_off(guard, [at_the_close], timeframes=timeframes) == [19, 20, 21, 22, 23]


def test_stoploss_guard_of_a_symbol_counts_its_own_alone() -> None:
    trades = [trade(10), trade(12, symbol="BTCUSD")]
    assert held_off(GUARD, trades, own=True) == []
    assert held_off(GUARD, [*trades, trade(13)], own=True) == [13, 14, 15, 16]


def test_low_profit_pairs_sums_the_profits_of_the_symbol() -> None:
    settings = {**GUARD, "method": "LowProfitPairs", "required_profit": 0.01}
    assert held_off(settings, [trade(10, 0.02), trade(12, -0.015)]) == [12, 13, 14, 15]
    assert held_off(settings, [trade(10, 0.02), trade(12, -0.01)]) == []
    assert held_off(settings, [trade(10, -0.5)]) == []  # one trade is too few
    assert held_off(settings, [trade(10, -0.5), trade(12, -0.5, symbol="BTCUSD")]) == []


def test_max_drawdown_looks_at_the_fall_from_the_highest_sum_of_all_symbols() -> None:
    settings = {**GUARD, "method": "MaxDrawdown", "max_allowed_drawdown": 0.05, "trade_limit": 3}
    trades = [trade(10, 0.04, symbol="BTCUSD"), trade(11, -0.03), trade(12, -0.03)]
    assert held_off(settings, trades) == [12, 13, 14, 15]
    assert held_off({**settings, "max_allowed_drawdown": 0.06}, trades) == []


def test_a_trade_of_later_market_time_is_not_known_yet() -> None:
    assert is_free(GUARD, [trade(10), trade(12)], 11)


def test_a_refusal_reports_the_numbers() -> None:
    request = EntryRequest("XAUUSD", Side.BUY, 15 * MINUTE_MS, MINUTE)
    trades = [trade(10), trade(14)]
    guard = ADAPTER.validate_python(GUARD)
    assert guard.evaluated(request, lambda *_: trades) == (
        False,
        "2 stop losses of all symbols within 5 candles, the last 1 candle ago: no entry for 3 candles yet",
    )
    assert guard.evaluated(request, lambda *_: trades[:1])[1] == (
        "0 stop losses of all symbols within 5 candles, the limit is 2"
    )
    assert guard.is_limit


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"method": "CooldownPeriod"}, "neither is given: give stop_duration_candles, or stop_duration in minutes"),
        ({"method": "CooldownPeriod", "stop_duration": 1, "stop_duration_candles": 1}, "both are given"),
        ({"method": "CooldownPeriod", "stop_duration_candles": 0}, "greater than or equal to 1"),
        ({"method": "StoplossGuard", "stop_duration_candles": 1}, "neither is given: give lookback_period_candles"),
        ({**GUARD, "trades": 3}, "Extra inputs"),
        ({"method": "Stoploss"}, "does not match any of the expected tags"),
    ],
)
def test_protections_that_make_no_sense_are_rejected(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ADAPTER.validate_python(settings)


def fill(number: int, side: Side, units: float, price: float, leg: Leg, fee: float = 0.0) -> Fill:
    return Fill(number, f"f{number}", f"o{number}", "XAUUSD", "ema", leg, side, units, price, fee, number * MINUTE_MS)


def test_a_trade_has_the_profit_of_all_its_fills_and_the_leg_of_the_last() -> None:
    fold = TradeFold()
    assert fold.add(fill(1, Side.BUY, 2.0, 100.0, Leg.ENTRY, fee=1.0), -1.0) is None
    assert fold.add(fill(2, Side.SELL, 1.0, 110.0, Leg.TAKE_PROFIT, fee=1.0), 9.0) is None
    closed = fold.add(fill(3, Side.SELL, 1.0, 95.0, Leg.STOP_LOSS, fee=1.0), -6.0)
    assert closed == ClosedTrade("XAUUSD", "ema", Side.BUY, Leg.STOP_LOSS, 3 * MINUTE_MS, 2.0, 200.0)
    assert closed.profit_ratio == 0.01


def test_a_short_trade_that_began_before_the_fills_has_the_cost_of_what_it_closed() -> None:
    closed = TradeFold(-2.0).add(fill(3, Side.BUY, 2.0, 95.0, Leg.EXIT), 10.0)
    assert closed == ClosedTrade("XAUUSD", "ema", Side.SELL, Leg.EXIT, 3 * MINUTE_MS, 10.0, 200.0)


def test_a_fill_that_turns_a_position_closes_a_trade_and_begins_the_next() -> None:
    fold = TradeFold()
    fold.add(fill(1, Side.BUY, 1.0, 100.0, Leg.ENTRY), 0.0)
    first = fold.add(fill(2, Side.SELL, 3.0, 90.0, Leg.EXIT), -10.0)
    second = fold.add(fill(3, Side.BUY, 2.0, 80.0, Leg.EXIT), 20.0)
    assert first is not None
    assert second is not None
    assert [(one.side, one.profit, one.cost) for one in (first, second)] == [
        (Side.BUY, -10.0, 100.0),
        (Side.SELL, 20.0, 180.0),
    ]


def months(*names: str) -> list[int]:
    return [int(datetime.fromisoformat(f"{name}-01T00:00+00:00").timestamp() * 1000) for name in names]


def test_protections_count_candles_of_a_calendar_as_they_are() -> None:
    """January to March have 31, 29 and 31 days: the exit of January stops the signals of two months, not of 60 days."""
    opens = months("2024-01", "2024-02", "2024-03", "2024-04")
    exited = replace(trade(0), closed_ms=opens[0])
    cooldown = CooldownPeriod(method="CooldownPeriod", stop_duration_candles=2)
    guard = StoplossGuard(
        method="StoplossGuard", trade_limit=2, lookback_period_candles=2, stop_duration_candles=1, required_profit=1.0
    )

    def passes(protection: Protection, open_ms: int, *trades: ClosedTrade) -> bool:
        request = EntryRequest("XAUUSD", Side.BUY, open_ms, Timeframe.parse("1M"))
        return protection.evaluated(request, lambda since_ms, _: [one for one in trades if one.closed_ms > since_ms])[0]

    assert [passes(cooldown, open_ms, exited) for open_ms in opens] == [False, False, True, True]
    others = [replace(exited, closed_ms=open_ms) for open_ms in opens]
    assert [passes(guard, opens[1], *others[:2]), passes(guard, opens[2], others[0], others[2])] == [False, True]
