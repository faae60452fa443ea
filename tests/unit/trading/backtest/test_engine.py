"""Replay: a batch of all is what a batch of one is, in SQL as in memory, for any candles, strategy and terms."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.fakes import Databases, Desk, planned, system_config
from tests.fixtures.strategies.exits import WILFUL
from trading.backtest import BacktestRun
from trading.backtest.result import END
from trading.errors import BadCandle, UnknownSymbol
from trading.events.decisions import describe, has_too_few_rows
from trading.market.candles import Candles, timeframe_ms
from trading.orders.orders import PROTECTIVE_LEGS, OrderState
from trading.portfolio.positions import Position
from trading.structs import asdict
from trading_orchestrator.testing.candles import MINUTE_MS, START_MS, SYMBOL, at_place

OTHER = "BTCUSD"


def wild_candles(seed: int, count: int, *, calm: float = 0.5, holes: float = 0.03, start: int = 0) -> Candles:
    """Return candles of one minute that walk, jump over night, stand still and leave minutes out."""
    noise = np.random.default_rng(seed)
    steps = noise.normal(0, calm, count) * noise.choice([0.0, 0.3, 1.0, 6.0], count, p=[0.1, 0.4, 0.45, 0.05])
    close = np.round(np.maximum(100 + np.cumsum(steps), 5), 2)
    gaps = np.round(noise.normal(0, calm, count) * (noise.random(count) < 0.15), 2)
    opens = np.maximum(np.concatenate(([100.0], close[:-1])) + gaps, 1.0)
    high = np.round(np.maximum(opens, close) + noise.exponential(calm / 2, count), 2)
    low = np.round(np.maximum(np.minimum(opens, close) - noise.exponential(calm / 2, count), 0.5), 2)
    slots = np.cumsum(1 + (noise.random(count) < holes) * noise.integers(1, 90, count)) - 1 + start
    high, low = np.maximum(high, np.maximum(opens, close)), np.minimum(low, np.minimum(opens, close))
    return Candles(
        START_MS + slots.astype(np.int64) * MINUTE_MS, np.column_stack((opens, high, low, close, slots * 0.0))
    )


@st.composite
def strategies(draw: st.DrawFn) -> dict[str, Any]:
    names = ["ema_cross", "sma_cross", "donchian_breakout", "rsi_reversion", "macd_cross", WILFUL]
    name = draw(st.sampled_from(names))
    params: dict[str, Any] = {
        "atr_period": draw(st.integers(2, 4)),
        "stop_atr": draw(st.sampled_from([0.0, 0.3, 1.0, 2.5])),
        "target_atr": draw(st.sampled_from([0.0, 0.3, 1.0, 3.0])),
    }
    if name in ("ema_cross", "sma_cross", WILFUL):
        params |= {"fast": draw(st.integers(2, 4)), "slow": draw(st.integers(5, 8))}
    elif name == "macd_cross":
        params |= {"fast": 2, "slow": draw(st.integers(4, 6)), "signal": draw(st.integers(2, 3))}
    else:
        params |= {"period": draw(st.integers(2, 5))}
    return {"name": name, "params": params}


RISKS: list[dict[str, Any]] = [
    {"sizing": "fixed_units", "units": 2.0},
    {"sizing": "fixed_units", "units": 1.5, "on_opposite_signal": "close"},
    {"sizing": "fixed_units", "units": 0.3, "unit_step": 0.1, "on_opposite_signal": "ignore"},
    {"sizing": "risk_fraction", "risk_fraction": 0.02, "unit_step": 0.01, "max_units": 500.0},
    {"sizing": "equity_fraction", "equity_fraction": 1.0, "unit_step": 1.0},
    {"sizing": "equity_fraction", "equity_fraction": 0.4, "unit_step": 0.01, "min_units": 2.0, "max_units": 420.0},
]
EXITS: list[dict[str, Any]] = [
    {},
    {"trailing_stop": {"distance": 0.8}},
    {"trailing_stop": {"distance_fraction": 0.01, "from_profit": 0.3}},
    {"break_even": {"from_profit": 0.5, "offset": 0.1}},
    {"trailing_stop": {"distance": 1.5}, "break_even": {"from_profit_fraction": 0.004}},
]
ACCOUNTS: list[dict[str, Any]] = [
    {},
    {"max_open_positions": 1},
    {"max_notional": 350.0},
    {"max_daily_loss": 30.0, "starting_balance": 1_000.0},
]


@st.composite
def configs(draw: st.DrawFn, *, is_only_strategy: bool = True) -> SystemConfig:
    several = {
        "left": draw(strategies()),
        "right": draw(strategies()) | {"risk": draw(st.sampled_from(RISKS)), "exits": draw(st.sampled_from(EXITS))},
    }
    return system_config(
        draw(strategies()) if is_only_strategy else None,
        strategies={} if is_only_strategy else several,
        services={"indicator_calculation": {"track_regime_changes": draw(st.booleans())}},
        account=draw(st.sampled_from(ACCOUNTS)),
        venue={
            "kind": "paper",
            "fill_at": draw(st.sampled_from(["next_open", "close"])),
            "spread": draw(st.sampled_from([0.0, 0.2])),
            "slippage": draw(st.sampled_from([0.0, 0.03])),
            "commission_bps": draw(st.sampled_from([0.0, 5.0])),
        },
        risk=draw(st.sampled_from(RISKS)),
        exits=draw(st.sampled_from(EXITS)),
    )


def told(result: BacktestRun) -> dict[str, Any]:
    """Return all that a replay came to, to be compared."""
    return {
        "decisions": list(result.decisions),
        "orders": list(result.orders),
        "fills": list(result.fills),
        "trades": list(result.trades),
        "positions": list(result.positions),
        "equity": [column.tobytes() for column in asdict(result.equity).values()],
        "journals": {name: (one.open_ms.tolist(), one.decisions, one.regimes) for name, one in result.journals.items()},
    }


@settings(max_examples=40, deadline=None)
@given(config=configs(), seed=st.integers(0, 100_000), count=st.integers(1, 160), batch=st.integers(2, 200))
def test_replay_in_batches_is_what_the_services_do_candle_by_candle_on_sql(
    databases: Databases, config: SystemConfig, seed: int, count: int, batch: int
) -> None:
    assert_as_on_sql(databases, config, seed, count, batch)


@settings(max_examples=10, deadline=None)
@given(
    config=configs(is_only_strategy=False),
    seed=st.integers(0, 100_000),
    count=st.integers(1, 120),
    batch=st.integers(2, 150),
)
def test_two_strategies_on_one_symbol_in_batches_are_what_they_are_candle_by_candle_and_on_sql(
    databases: Databases, config: SystemConfig, seed: int, count: int, batch: int
) -> None:
    tape = wild_candles(seed, count + 1)
    assert told(run_backtest(config, {SYMBOL: tape}, batch=1)) == told(
        run_backtest(config, {SYMBOL: tape}, batch=batch)
    )
    assert_as_on_sql(databases, config, seed, count, batch)


def assert_as_on_sql(databases: Databases, config: SystemConfig, seed: int, count: int, batch: int) -> None:
    tape = wild_candles(seed, count + 1)
    desk = Desk(databases, config, tape, shown=0)
    desk.play(count)  # the last one shows that the one before has closed

    found = run_backtest(config, {SYMBOL: tape[:count]}, batch=batch)

    books = desk.books()
    decided = {
        (row["strategy"], row["open_ms"]): (row["outcome"], row["rule"], row["reason"]) for row in books["decisions"]
    }
    assert decided == {(one.strategy, one.open_ms): (one.outcome, one.rule, one.reason) for one in found.decisions}
    assert list(found.fills) == books["venue"][0]
    assert sorted(found.positions, key=by_strategy) == sorted(books["positions"], key=by_strategy)
    assert [at for at in books["venue"][1] if at.units] == [
        at
        for at in books["venue"][1]
        if at.units == next(p.units for p in found.positions if p.strategy == at.strategy)
    ]
    sent = {row["client_order_id"]: (row["state"], row["filled_units"]) for row in books["orders"]}
    assert sent == {
        one.client_order_id: (one.state.value, one.filled_units)
        for one in found.orders
        if one.leg not in PROTECTIVE_LEGS or one.state is OrderState.FILLED
    }
    journal = found.journals[SYMBOL]
    made = map(describe, journal.decisions)
    assert dict(zip(journal.open_ms.tolist(), made, strict=True)) == desk.store.decisions(SYMBOL)


@settings(max_examples=20, deadline=None)
@given(
    config=configs(),
    other=configs(),
    seed=st.integers(0, 100_000),
    counts=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    batch=st.integers(2, 400),
)
def test_two_symbols_in_batches_are_what_they_are_candle_by_candle(
    config: SystemConfig, other: SystemConfig, seed: int, counts: tuple[int, int], batch: int
) -> None:
    system = config.model_copy(update={"symbols": {SYMBOL: config.symbols[SYMBOL], OTHER: other.symbols[SYMBOL]}})
    tapes = {SYMBOL: wild_candles(seed, counts[0]), OTHER: wild_candles(seed + 1, counts[1], start=seed % 50)}

    one_by_one = run_backtest(system, tapes, batch=1)
    together = run_backtest(system, tapes, batch=batch)

    assert told(together) == told(one_by_one)


@settings(max_examples=12, deadline=None)
@given(
    config=configs(),
    other=configs(),
    seed=st.integers(0, 100_000),
    limit=st.sampled_from([0.02, 0.9]),
    batch=st.integers(50, 400),
)
def test_drawdown_of_three_symbols_in_batches_is_what_it_is_candle_by_candle(
    config: SystemConfig, other: SystemConfig, seed: int, limit: float, batch: int
) -> None:
    """A symbol is played on for a while before another one, and what both realise meanwhile came in turns."""
    account = config.account.model_copy(update={"starting_balance": 300.0, "max_drawdown": limit})
    last = other.symbols[SYMBOL].model_copy(update={"timeframe": "5m"})
    symbols = {SYMBOL: config.symbols[SYMBOL], OTHER: other.symbols[SYMBOL], "ETHUSD": last}
    system = config.model_copy(update={"account": account, "symbols": symbols})
    fives = wild_candles(seed + 2, 60)
    tapes = {SYMBOL: wild_candles(seed, 250), OTHER: wild_candles(seed + 1, 300)}
    tapes["ETHUSD"] = Candles(START_MS + (fives.open_ms - START_MS) * 5, fives.values)

    together = run_backtest(system, tapes, batch=batch)

    closed_ms = [one.open_ms + timeframe_ms(together.timeframes[one.symbol]) for one in together.decisions]
    assert closed_ms == sorted(closed_ms)
    assert told(together) == told(run_backtest(system, tapes, batch=1))


@settings(max_examples=30, deadline=None)
@given(config=configs(), seed=st.integers(0, 100_000), count=st.integers(30, 300), later=st.integers(1, 60))
def test_what_was_decided_does_not_change_when_later_candles_are_appended(
    config: SystemConfig, seed: int, count: int, later: int
) -> None:
    tape = wild_candles(seed, count + later)

    before, after = run_backtest(config, {SYMBOL: tape[:count]}), run_backtest(config, {SYMBOL: tape})

    assert list(after.decisions)[: len(before.decisions)] == list(before.decisions)
    assert list(after.fills)[: len(before.fills)] == list(before.fills)


@settings(max_examples=40, deadline=None)
@given(config=configs(), seed=st.integers(0, 100_000), count=st.integers(30, 300), is_closed=st.booleans())
def test_cash_and_positions_are_conserved(config: SystemConfig, seed: int, count: int, is_closed: bool) -> None:
    found = run_backtest(config, {SYMBOL: wild_candles(seed, count)}, close_at_end=is_closed)

    cash = sum(-fill.side.sign * fill.units * fill.price - fill.fee for fill in found.fills)
    held = sum(position.units for position in found.positions)
    worth = held * found.candles[SYMBOL].values[-1, 3]
    assert found.equity.equity[-1] == pytest.approx(found.starting_balance + cash + worth, abs=1e-6)
    assert found.equity.balance[-1] == pytest.approx(found.starting_balance + sum(t.profit for t in found.trades))
    assert not is_closed or held == 0
    assert not is_closed or all(trade.exit_ms is not None for trade in found.trades)


def by_strategy(position: Position) -> str:
    return position.strategy


def plan(**changes: Any) -> SystemConfig:
    return system_config(planned({3: "buy", 6: "sell"}, stop_distance=50.0), **changes)


def test_reversal_gives_two_trades_and_names_them() -> None:
    tape = wild_candles(1, 12, holes=0.0, calm=0.1)

    found = run_backtest(plan(), {SYMBOL: tape}, close_at_end=True)

    first, second = found.trades
    assert (first.exit_reason, second.exit_reason) == ("reversal", END)
    assert (first.side.value, second.side.value) == ("buy", "sell")
    assert first.exit_ms == second.entry_ms == int(tape.open_ms[7])
    assert first.exit_price == second.entry_price == tape.values[7, 0]
    assert second.exit_ms == int(tape.open_ms[11]) + MINUTE_MS - 1
    assert second.exit_price == tape.values[11, 3]


def test_position_left_open_at_the_end_is_a_trade_without_an_exit() -> None:
    found = run_backtest(plan(), {SYMBOL: wild_candles(1, 12, holes=0.0, calm=0.1)})

    assert [trade.exit_ms is None for trade in found.trades] == [False, True]
    assert found.positions[0].units == -2.0


def test_candles_before_the_beginning_are_history_and_nothing_is_decided_on_them() -> None:
    tape = wild_candles(5, 400, holes=0.0)
    config = system_config({"name": "ema_cross", "params": {"fast": 3, "slow": 7, "atr_period": 3}})
    begin_ms, end_ms = int(tape.open_ms[200]), int(tape.open_ms[300])

    whole, part = (
        run_backtest(config, {SYMBOL: tape}),
        run_backtest(config, {SYMBOL: tape}, from_ms=begin_ms, to_ms=end_ms),
    )

    assert part.journals[SYMBOL].open_ms.tolist() == tape.open_ms[200:300].tolist()
    assert not any(map(has_too_few_rows, part.journals[SYMBOL].decisions))
    assert [one.said for one in part.decisions] == [
        one.said for one in whole.decisions if begin_ms <= one.open_ms < end_ms
    ]


def test_symbol_that_is_not_configured_is_rejected() -> None:
    with pytest.raises(UnknownSymbol, match="XAGUSD"):
        run_backtest(plan(), {"XAGUSD": wild_candles(1, 10)})


def test_period_without_candles_is_rejected_and_reports_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no candle of XAUUSD in the range; .*: 10 from 2026-03-02T00:00"):
        run_backtest(plan(), {SYMBOL: wild_candles(1, 10, holes=0.0)}, from_ms=at_place(5_000))


def test_corrupt_candle_ends_the_replay_with_its_fault() -> None:
    tape = wild_candles(1, 50)
    tape.values[30, 1] = 0.1

    with pytest.raises(BadCandle, match="high is below another price"):
        run_backtest(plan(), {SYMBOL: tape})


def test_progress_is_reported_until_all_candles_are_done() -> None:
    seen: list[int] = []

    run_backtest(plan(), {SYMBOL: wild_candles(1, 50)}, batch=10, on_progress=seen.append)

    assert seen == [10, 20, 30, 40, 50]
