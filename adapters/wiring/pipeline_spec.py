"""All terms by which a symbol is traded as one value, read from the configuration. Pure: nothing is opened."""

from collections.abc import Mapping
from functools import partial

from msgspec import Struct

from configs.loading import SystemConfig
from configs.plugins.strategies import load_strategy
from configs.snapshot import deciding_digest
from configs.symbols import SymbolConfig
from trading.execution.terms import ExecutionTerms
from trading.exits.exit_rules import ExitRules
from trading.indicators.regime import RegimeRule
from trading.market.sessions import Session
from trading.risk.rules import evaluate_signal
from trading.risk.signal_filters import EntryRules
from trading.risk.verdict import SignalEvaluator
from trading.services.data_fetching import BATCH_LIMIT, FetchTerms
from trading.services.indicator_calculation import IndicatorTerms, history_count
from trading.services.strategy_evaluation import StrategyTerms
from trading.services.trade_execution import MOST_WATCHED
from trading.strategies import PositionRule, Strategy
from trading.strategies.indicator_sharing import reach_count


class EnabledServices(Struct, frozen=True):
    """Whether each of the four services is enabled; a disabled one ends each chain."""

    fetch: bool = True
    indicators: bool = True
    strategy: bool = True
    execute: bool = True


class PipelineSpec(Struct, frozen=True):
    """All terms of one symbol: with a source, a store, a ledger and a venue they make its pipeline.

    Attributes:
        strategies: By the name of their book, in the order in which they are decided on.
        entry_rules: The conditions of an entry that are checked before its risk.
        exit_rules: The rules for open positions by strategy, for those that have any.
        evaluate: Decides on the risk of a signal, by the settings of its strategy.
        most_watched: Most candles of a batch at which exit rules are evaluated in one step.
        needs_spread: A strategy limits the spread, so it is read from the venue before an entry.
        is_replay: The candles are history; events have no subscriber.
        is_realtime: The market runs in real time: its time is the wall clock.
        digest: Digest of all inputs of a decision except the candles and the books.
    """

    symbol: str
    timeframe: str
    session: Session
    strategies: Mapping[str, Strategy]
    entry_rules: EntryRules
    exit_rules: Mapping[str, ExitRules]
    fetch: FetchTerms
    indicators: IndicatorTerms
    strategy: StrategyTerms
    execution: ExecutionTerms
    evaluate: SignalEvaluator
    most_watched: int
    needs_spread: bool
    is_replay: bool
    is_realtime: bool
    enabled: EnabledServices
    digest: str


def pipeline_spec(
    system: SystemConfig,
    symbol: str,
    *,
    strategies: Mapping[str, Strategy] | None = None,
    replay_batch: int | None = None,
) -> PipelineSpec:
    """Return the terms of one symbol.

    Args:
        strategies: By the name of their book, in the order of the configuration; None creates the configured ones.
        replay_batch: Most candles in a batch of history that is replayed; None for a live market.

    Raises:
        KeyError: The symbol is not configured.
        ValueError: A strategy cannot be created from its name and parameters.
    """
    config, services = system.symbols[symbol], system.services
    strategies = strategies_of(config) if strategies is None else strategies
    calculation, evaluation = services.indicator_calculation, services.strategy_evaluation
    regime = RegimeRule() if calculation.track_regime_changes else None
    return PipelineSpec(
        symbol=symbol,
        timeframe=config.timeframe,
        session=config.session,
        strategies=strategies,
        entry_rules=entry_rules_of(config),
        exit_rules=exit_rules_of(config, strategies),
        fetch=FetchTerms(
            retry_attempts=services.data_fetching.retry_attempts,
            candle_index=services.data_fetching.candle_index,
            nbr_bars=services.data_fetching.nbr_bars,
            history_count=history_count(reach_count(strategies), calculation.recent_rows_limit, regime),
            repeat_last=evaluation.evaluation_mode == "every_tick" and replay_batch is None,
            batch_limit=replay_batch or BATCH_LIMIT,
            is_replay=replay_batch is not None,
            allow_non_positive=config.allow_non_positive_prices,
        ),
        indicators=IndicatorTerms(calculation.recent_rows_limit, regime),
        strategy=StrategyTerms(evaluation.min_rows_required),
        execution=ExecutionTerms(
            system.account.name,
            symbol,
            config.timeframe,
            max_signal_age_ms=int(config.max_signal_age_s * 1000),
            is_dry_run=services.trade_execution.execution_mode == "dry",
            unit_step=min(book.risk.unit_step for book in config.books.values()),
            on_unprotected=config.on_unprotected or system.account.on_unprotected,
            is_only_strategy=len(strategies) == 1,
        ),
        evaluate=signal_evaluator(symbol, system),
        most_watched=replay_batch or MOST_WATCHED,
        needs_spread=any(book.risk.max_spread is not None for book in config.books.values()),
        is_replay=replay_batch is not None,
        is_realtime=config.source.is_realtime,
        enabled=EnabledServices(
            fetch=services.data_fetching.enabled,
            indicators=calculation.enabled,
            strategy=evaluation.enabled,
            execute=services.trade_execution.enabled,
        ),
        digest=deciding_digest(system, symbol),
    )


def entry_rules_of(config: SymbolConfig) -> EntryRules:
    """Return the conditions of an entry of a symbol that are checked before its risk."""
    return EntryRules(
        max_signal_age_s=config.max_signal_age_s,
        allowed_regimes=frozenset(config.allowed_regimes) if config.allowed_regimes else None,
        session=config.session,
        entry_hours=config.entry_hours,
    )


def strategies_of(config: SymbolConfig) -> dict[str, Strategy]:
    """Create the strategies of a symbol, by the name of their book, in the order of the configuration."""
    return {name: load_strategy(book.strategy, book.params) for name, book in config.books.items()}


def exit_rules_of(config: SymbolConfig, strategies: Mapping[str, Strategy]) -> dict[str, ExitRules]:
    """Return the rules for the open positions of a symbol by strategy, for those that have any."""
    rules = {}
    for name, book in config.books.items():
        strategy = strategies[name]
        rules[name] = ExitRules(
            book.exits,
            strategy if isinstance(strategy, PositionRule) else None,
            book.risk.tick_size,
            book.risk.on_opposite_signal == "ignore",
        )
    return {name: one for name, one in rules.items() if one}


def signal_evaluator(symbol: str, system: SystemConfig) -> SignalEvaluator:
    """Return the function that decides on a signal of a symbol, by the risk settings of the strategy that gave it."""
    config = system.symbols[symbol]
    timeframes = {name: one.grid for name, one in system.symbols.items()}
    evaluators = {
        name: partial(
            evaluate_signal,
            symbol=symbol,
            timeframe=config.timeframe,
            account=system.account,
            limits=risk,
            protections=config.protections,
            timeframes=timeframes,
            terms=config.venue.backtest_fills(symbol),
        )
        for name, risk in [("", config.risk), *((name, book.risk) for name, book in config.books.items())]
    }
    # the rules of the symbol close a position of a strategy that is no longer configured
    return lambda view, signal: evaluators.get(signal.strategy, evaluators[""])(view, signal)
