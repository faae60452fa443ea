"""Explain a candle from a backtest."""

from contextlib import suppress
from pathlib import Path

from adapters.backtest.backtest import run_backtest
from adapters.wiring.explain_context import terms_of
from configs.loading import SystemConfig
from configs.plugins.candle_files import CandleFileOptions
from configs.snapshot import deciding_digest
from trading.backtest import BacktestRun, Decision, Order
from trading.backtest.explanation import (
    CandleRecord,
    Explanation,
    OrderOutcome,
    RiskDecisionRecord,
    explain,
    failed_entry,
    holds,
    of_strategy,
)
from trading.events.event import correlation_id
from trading.events.journal import Entry
from trading.formatting import format_minute
from trading.market.candles import CLOSE, Candles
from trading.market.timeframes import Timeframe
from trading.orders.orders import PROTECTIVE_LEGS, OrderRequest
from trading.risk.verdict import checks_of
from trading.services.status import describe_error
from trading.strategies import StrategyFault
from trading_orchestrator.cli.backtest.backtest import configured, played, recorded
from trading_orchestrator.cli.candles.gaps import exit_on_bad_candle
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.explain.undecided import regime_of


def explain_backtest(
    symbol: str, at_ms: int, file: Path, settings: tuple[str, ...], options: CandleFileOptions
) -> list[Explanation]:
    """Run a backtest on a file and explain the candle that contains a time, for each strategy of its symbol.

    The backtest runs to the end of the file, because a position closes after its candle, or to this candle if a
    strategy raises later.

    Raises:
        Failed: The file has no such candle.
        StrategyFault: A strategy raises on an earlier candle.
    """
    system = configured((symbol,), settings)
    files = played(system, (symbol,), (file,), options)
    candles = {name: one.candles for name, one in recorded(system, files).items()}
    timeframe = system.symbols[symbol].timeframe
    one = candles[symbol]
    place = int(one.open_ms.searchsorted(at_ms, side="right")) - 1
    if place < 0 or not holds(int(one.open_ms[place]), timeframe, at_ms):
        is_open = system.symbols[symbol].session.may_be_open(at_ms)
        span = f"{format_minute(int(one.open_ms[0]))} to {format_minute(one.last_open_ms)} UTC" if len(one) else "none"
        why = "" if is_open else f"; the market was closed; it is open {system.symbols[symbol].session.hours}"
        raise Failed(
            ExitCode.NO, f"no candle of {symbol} at {format_minute(at_ms)} UTC in {file}, which has {span}{why}"
        )
    open_ms = int(one.open_ms[place])
    with exit_on_bad_candle(files):
        result, fault = _backtest(system, symbol, one, open_ms)
    rulings = {row.strategy: _risk_record(row) for row in result.decisions if row.open_ms == open_ms}
    decided = [order for order in result.orders if order.leg not in PROTECTIVE_LEGS]
    decided_ms = int(Timeframe.parse(timeframe).closes(one.open_ms)[place])
    entry = _entry(result, symbol, place) if fault is None else _failed(system, symbol, one[: place + 1], fault)
    found = []
    for context in terms_of(symbol, system):
        risk_decision, name = rulings.get(context.strategy_name), context.strategy_name
        known = CandleRecord(
            symbol,
            timeframe,
            of_strategy(entry, name, risk_decision, has_signals=bool(rulings), strategies=system.symbols[symbol].books),
            one[: place + 1],
            risk_decision,
            [order.client_order_id for order in decided if (order.decided_ms, order.strategy) == (decided_ms, name)],
            [_order_outcome(order) for order in decided],
            result.fills,
        )
        found.append(explain(known, context))
    return found


def _backtest(
    system: SystemConfig, symbol: str, candles: Candles, open_ms: int
) -> tuple[BacktestRun, StrategyFault | None]:
    """Run a backtest to the end; where a strategy raises, only up to a candle, and return the error of that candle.

    Raises:
        StrategyFault: A strategy raises on an earlier candle.
    """
    with suppress(StrategyFault):  # on a later candle, or the runs below raise it
        return run_backtest(system, {symbol: candles}), None
    try:
        return run_backtest(system, {symbol: candles.until(open_ms)}), None
    except StrategyFault as fault:
        return run_backtest(system, {symbol: candles.until(open_ms - 1)}), fault


def _failed(system: SystemConfig, symbol: str, candles: Candles, fault: StrategyFault) -> Entry:
    timeframe = system.symbols[symbol].timeframe
    return failed_entry(
        symbol,
        timeframe,
        candles,
        describe_error(fault),
        regime=regime_of(system, candles),
        as_of_ms=Timeframe.parse(timeframe).close_of(candles.last_open_ms),
        config=deciding_digest(system, symbol),
    )


def _entry(result: BacktestRun, symbol: str, place: int) -> Entry:
    journal, timeframe = result.journals[symbol], result.timeframes[symbol]
    open_ms, values = int(journal.open_ms[place]), result.candles[symbol].values[place].tolist()
    return Entry(
        open_ms,
        journal.decisions[place],
        str(journal.regimes[place]),
        correlation_id(symbol, timeframe, open_ms),
        tuple(values),
        values[CLOSE],
        int(Timeframe.parse(timeframe).closes(journal.open_ms)[place]),
        timeframe=timeframe,
    )


def _risk_record(row: Decision) -> RiskDecisionRecord:
    checks = checks_of(row.checks)
    return RiskDecisionRecord(row.outcome, row.rule, row.reason, checks)


def _order_outcome(order: Order) -> OrderOutcome:
    request = OrderRequest(
        order.client_order_id,
        order.symbol,
        order.strategy,
        order.leg,
        order.side,
        order.units,
        order.price,
        order.decided_ms,
        order.stop_loss,
        order.take_profit,
    )
    return OrderOutcome(request, order.state, order.filled_units)
