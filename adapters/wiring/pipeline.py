"""The composition root: from what is configured to services that work, every dependency an argument."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import redis

from adapters import clock
from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.redis import keys
from adapters.redis.client import connect
from adapters.redis.event_bus import RedisEventBus
from adapters.registry import SourceContext, source_plugin
from adapters.sources import RedisAnchorStore
from adapters.symbol_store.redis import RedisSymbolStore
from configs.loading import SystemConfig
from configs.plugins.strategies import load_strategy
from configs.settings import Settings, resolve_redis_url
from configs.snapshot import deciding_digest
from configs.symbols import SymbolConfig
from trading.errors import Broken
from trading.events.bus import LocalBus, Outbox
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.order_manager import OrderManager, SettlementTerms
from trading.exits.exit_rules import ExitRules
from trading.indicators.regime import RegimeRule
from trading.market.candles import timeframe_ms
from trading.ports.candle_source import CandleSource, LocatesCandles
from trading.ports.ledger import Ledger
from trading.ports.symbol_store import SymbolStore
from trading.ports.venue import Venue
from trading.risk.rules import evaluate_signal
from trading.risk.signal_filters import EntryRules
from trading.services.batch_commit import BatchCommitter
from trading.services.data_fetching import BATCH_LIMIT, DataFetchingService, FetchTerms
from trading.services.indicator_calculation import IndicatorCalculationService, IndicatorTerms
from trading.services.pipeline import SymbolPipeline
from trading.services.strategy_evaluation import StrategyEvaluationService, StrategyTerms
from trading.services.trade_execution import MOST_WATCHED, SignalEvaluator, TradeExecutionService
from trading.strategies import PositionRule, Strategy
from trading.strategies.indicator_sharing import SharedIndicators


@dataclass(frozen=True, slots=True)
class Stores:
    """What one thread holds open. Connections must not cross a fork: open them in the process that uses them."""

    redis: redis.Redis
    store: RedisSymbolStore
    bus: RedisEventBus
    ledger: SqlLedger

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
        self.ledger.close()


def open_stores(settings: Settings, system: SystemConfig, *, now_ms: Callable[[], int] = clock.now_ms) -> Stores:
    """Open Redis and the ledger as the settings say."""
    client = connect(resolve_redis_url(settings), is_single=True)
    store = RedisSymbolStore(
        client,
        settings.namespace,
        window_limit=settings.window_max_len,
        journal_limit=settings.journal_max_len,
        events_limit=settings.events_max_len,
        now_ms=now_ms,
    )
    bus = RedisEventBus(client, settings.namespace, events_limit=settings.events_max_len, now_ms=now_ms)
    return Stores(client, store, bus, open_ledger(settings, system))


def open_ledger(settings: Settings, system: SystemConfig) -> SqlLedger:
    """Open the ledger of the configured account; its schema must be there, see `adapters.ledger.schema.migrate`."""
    engine = create_engine(settings.ledger_url.get_secret_value())
    return SqlLedger(engine, system.account.name, system.account.starting_balance)


def open_source(
    symbol: str,
    config: SymbolConfig,
    client: redis.Redis,
    namespace: str,
    *,
    now_ms: Callable[[], int] = clock.now_ms,
) -> CandleSource:
    """Open the symbol's candle source by the plug-in of its kind; all processes share the clock of a played one."""
    context = SourceContext(
        symbol,
        config.timeframe,
        config.source,
        config.session,
        now_ms,
        RedisAnchorStore(client, keys.market_clock(namespace, symbol)),
    )
    return source_plugin(config.source.kind).open(context)


def entry_rules_of(config: SymbolConfig) -> EntryRules:
    """Return what an entry of a symbol must fulfil before its risk is looked at, as configured."""
    return EntryRules(
        max_signal_age_s=config.max_signal_age_s,
        allowed_regimes=frozenset(config.allowed_regimes) if config.allowed_regimes else None,
        session=config.session,
        entry_hours=config.entry_hours,
    )


def strategies_of(config: SymbolConfig) -> dict[str, Strategy]:
    """Make the strategies of a symbol, by the name of their book, in the order of the configuration."""
    return {name: load_strategy(book.strategy, book.params) for name, book in config.books.items()}


def exit_rules_of(config: SymbolConfig, strategies: Mapping[str, Strategy]) -> dict[str, ExitRules]:
    """Return what is asked about the open positions of a symbol, by strategy; who has nothing to ask is left out."""
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
    """Return the rules of a symbol, each signal judged by the risk settings of its own strategy."""
    config = system.symbols[symbol]
    lengths_ms = {name: timeframe_ms(one.timeframe) for name, one in system.symbols.items()}
    judges = {
        name: partial(
            evaluate_signal,
            symbol=symbol,
            timeframe=config.timeframe,
            account=system.account,
            limits=risk,
            protections=config.protections,
            lengths_ms=lengths_ms,
        )
        for name, risk in [("", config.risk), *((name, book.risk) for name, book in config.books.items())]
    }
    # what a strategy left open that is configured no more is closed by the rules of the symbol
    return lambda view, signal: judges.get(signal.strategy, judges[""])(view, signal)


def _needs_spread(config: SymbolConfig) -> bool:
    return any(book.risk.max_spread is not None for book in config.books.values())


def _quoted_spread(venue: Venue, symbol: str) -> float | None:
    """Return what `trading.ports.venue.QuotesSpread` says, None of a venue that is none; a proxy of one counts."""
    quote = getattr(venue, "quoted_spread", None)
    return None if quote is None else quote(symbol)


def build_pipeline(
    symbol: str,
    system: SystemConfig,
    *,
    source: CandleSource,
    store: SymbolStore,
    ledger: Ledger,
    venue: Venue,
    strategies: Mapping[str, Strategy] | None = None,
    window_limit: int | None = None,
    replay_batch: int | None = None,
    now_s: Callable[[], float] = time.monotonic,
    sleep_s: Callable[[float], None] = time.sleep,
) -> SymbolPipeline:
    """Wire the four services of one symbol, and start them.

    Args:
        strategies: By the name of their book, in the order of the configuration; None makes those that it names.
        window_limit: Candles that `store` keeps for the symbol; None for all.
        replay_batch: Most candles in a batch of history that is replayed; None for a market that goes on.

    Raises:
        KeyError: The symbol is not configured.
        Broken: The store keeps fewer candles than the indicators need.
    """
    config, services = system.symbols[symbol], system.services
    bus = LocalBus()
    outbox = Outbox(bus if replay_batch is None else LocalBus())  # nobody waits for the events of a replay
    committer = BatchCommitter(store, outbox, deciding_digest(system, symbol))
    strategies = strategies_of(config) if strategies is None else strategies
    shared = SharedIndicators(strategies)
    calculation = services.indicator_calculation
    indicators = IndicatorCalculationService(
        symbol,
        shared,
        store,
        IndicatorTerms(calculation.recent_rows_limit, RegimeRule() if calculation.track_regime_changes else None),
        bus,
        now_s=now_s,
        is_enabled=calculation.enabled,
    )
    if window_limit is not None and indicators.history_count > window_limit:
        raise Broken(
            f"{symbol}: its indicators look back {indicators.history_count} candles and Redis keeps {window_limit}; "
            "set TRADING__WINDOW_MAX_LEN higher"
        )
    fetching = services.data_fetching
    fetch = DataFetchingService(
        symbol,
        config.timeframe,
        source,
        store,
        ledger,
        FetchTerms(
            retry_attempts=fetching.retry_attempts,
            candle_index=fetching.candle_index,
            nbr_bars=fetching.nbr_bars,
            history_count=indicators.history_count,
            repeat_last=services.strategy_evaluation.evaluation_mode == "every_tick" and replay_batch is None,
            batch_limit=replay_batch or BATCH_LIMIT,
            is_replay=replay_batch is not None,
            place_of=source.place_of if isinstance(source, LocatesCandles) else None,
        ),
        bus,
        is_open=config.session.may_be_open,
        now_s=now_s,
        sleep_s=sleep_s,
        is_enabled=fetching.enabled,
    )
    rules = entry_rules_of(config)
    evaluate = StrategyEvaluationService(
        symbol,
        strategies,
        shared,
        rules,
        committer,
        StrategyTerms(services.strategy_evaluation.min_rows_required),
        bus,
        now_s=now_s,
        is_enabled=services.strategy_evaluation.enabled,
    )
    publisher = IncidentPublisher(symbol, ledger, bus, outbox)
    execute = TradeExecutionService(
        symbol,
        OrderManager(
            symbol,
            config.timeframe,
            venue,
            ledger,
            bus,
            SettlementTerms(max_signal_age_ms=int(config.max_signal_age_s * 1000)),
            publisher,
            sleep_s=sleep_s,
            now_s=now_s,
            is_dry_run=services.trade_execution.execution_mode == "dry",
        ),
        ledger,
        store,
        committer,
        signal_evaluator(symbol, system),
        bus,
        quoted_spread=partial(_quoted_spread, venue, symbol) if _needs_spread(config) else None,
        is_only_strategy=len(strategies) == 1,
        exits=exit_rules_of(config, strategies),
        shared=shared,
        most_watched=replay_batch or MOST_WATCHED,
        is_dry_run=services.trade_execution.execution_mode == "dry",
        now_s=now_s,
        is_enabled=services.trade_execution.enabled,
    )
    pipeline = SymbolPipeline(symbol, bus, outbox, fetch, indicators, evaluate, execute)
    pipeline.start()
    return pipeline
