"""The composition root: from the terms of a symbol to running services, every dependency an argument."""

import time
from collections.abc import Callable
from functools import partial

import redis
from msgspec import Struct

from adapters import clock
from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.redis import keys
from adapters.redis.client import connect
from adapters.redis.event_bus import RedisEventBus
from adapters.registry import SourceContext, source_plugin
from adapters.sources import RedisAnchorStore
from adapters.symbol_store.redis import RedisSymbolStore
from adapters.wiring.market_limits import PlayedLimit, real_time_limit
from adapters.wiring.pipeline_spec import PipelineSpec
from configs.loading import SystemConfig
from configs.settings import Settings, resolve_redis_url
from configs.symbols import SymbolConfig
from trading.errors import Broken
from trading.events.bus import LocalBus, Outbox
from trading.events.event import EventType
from trading.execution.fill_recorder import FillRecorder, FillRecorderFactory
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.order_manager import OrderManager
from trading.execution.position_closer import PositionCloser
from trading.execution.retry_budget import PatienceTerms, RetryBudget
from trading.execution.symbol_venue import SymbolVenue
from trading.exits.exit_evaluator import ExitEvaluator
from trading.exits.exposure import SymbolExposure
from trading.ports.candle_source import CandleSource, DeclaresPhase, LocatesCandles
from trading.ports.ledger import Ledger
from trading.ports.symbol_store import SymbolStore
from trading.ports.venue import Venue
from trading.services.batch_commit import BatchCommitter
from trading.services.data_fetching import DataFetchingService
from trading.services.exit_execution import ExitRuleExecutor
from trading.services.indicator_calculation import IndicatorCalculationService
from trading.services.message_checks import MessageChecks, MessageTerms
from trading.services.pipeline import SymbolPipeline
from trading.services.signal_execution import SignalExecutor, SignalRules
from trading.services.standing_exits import StandingExits
from trading.services.strategy_evaluation import StrategyEvaluationService
from trading.services.trade_execution import TradeExecutionService
from trading.strategies.indicator_sharing import SharedIndicators
from trading.structs import replace


class Stores(Struct, frozen=True):
    """The connections of one thread. They must not cross a fork: open them in the process that uses them."""

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
    return SqlLedger(engine, system.account.name, system.account.starting_balance, system.account.day)


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


def build_pipeline(
    spec: PipelineSpec,
    *,
    source: CandleSource,
    store: SymbolStore,
    ledger: Ledger,
    venue: Venue,
    window_limit: int | None = None,
    now_s: Callable[[], float] = time.monotonic,
    sleep_s: Callable[[float], None] = time.sleep,
    fill_recorder: FillRecorderFactory = FillRecorder,
) -> SymbolPipeline:
    """Create the four services of one symbol, and start them.

    Args:
        window_limit: Candles that `store` keeps for the symbol; None for all.

    Raises:
        Broken: The store keeps fewer candles than the indicators need.
    """
    _check_window(spec, window_limit)
    symbol, enabled = spec.symbol, spec.enabled
    bus = LocalBus()
    outbox = Outbox(LocalBus() if spec.is_replay else bus)
    committer = BatchCommitter(store, outbox, spec.digest)
    shared = SharedIndicators(spec.strategies)
    checks = None if spec.is_replay else _message_checks(spec, shared, source, store, bus)
    publisher = IncidentPublisher(symbol, ledger, bus, outbox)
    indicators = IndicatorCalculationService(
        symbol, shared, store, spec.indicators, bus, now_s=now_s, is_enabled=enabled.indicators, checks=checks
    )
    fetch = DataFetchingService(
        symbol,
        spec.timeframe,
        source,
        store,
        ledger,
        replace(
            spec.fetch,
            reach=lambda history: indicators.reach(history, 1),
            place_of=source.place_of if isinstance(source, LocatesCandles) else None,
            phase_ms=_phase_ms(source),
        ),
        bus,
        is_open=spec.session.may_be_open,
        now_s=now_s,
        sleep_s=sleep_s,
        is_enabled=enabled.fetch,
    )
    evaluate = StrategyEvaluationService(
        symbol,
        spec.strategies,
        shared,
        spec.entry_rules,
        committer,
        spec.strategy,
        bus,
        now_s=now_s,
        is_enabled=enabled.strategy,
        checks=checks,
    )
    terms = spec.execution
    at_venue = SymbolVenue(symbol, venue, RetryBudget(PatienceTerms(), sleep_s=sleep_s, now_s=now_s))
    fills = fill_recorder(terms, at_venue, ledger, bus, publisher)
    orders = OrderManager(terms, at_venue, ledger, bus, fills, publisher)
    exposure = SymbolExposure(symbol, ledger, store)
    rules = SignalRules(
        spec.evaluate,
        store.latest_prices,
        partial(_quoted_spread, venue, symbol) if spec.needs_spread else None,
        spec.entry_rules if checks else None,
        checks.latest_ms if checks else None,
    )
    signals = SignalExecutor(terms, rules, orders, ledger, exposure, bus)
    evaluator = ExitEvaluator(symbol, spec.exit_rules, ledger, exposure, shared)
    closer = PositionCloser(terms, orders, ledger, store, spec.evaluate)
    execute = TradeExecutionService(
        terms,
        orders,
        signals,
        ExitRuleExecutor(terms, evaluator, signals, orders, exposure),
        closer,
        StandingExits(terms, orders, closer, ledger, exposure),
        exposure,
        committer,
        bus,
        now_s=now_s,
        is_enabled=enabled.execute,
        most_watched=spec.most_watched,
        checks=checks,
    )
    pipeline = SymbolPipeline(symbol, bus, outbox, fetch, indicators, evaluate, execute, publisher)
    pipeline.start()
    return pipeline


def _message_checks(
    spec: PipelineSpec, shared: SharedIndicators, source: CandleSource, store: SymbolStore, bus: LocalBus
) -> MessageChecks:
    """Return the checks of the messages that the steps of a symbol exchange through the broker."""
    terms = MessageTerms(
        spec.symbol,
        spec.timeframe,
        frozenset(spec.strategies),
        shared.columns,
        most_candles=max(spec.fetch.batch_limit, spec.fetch.nbr_bars),
        most_rows=spec.indicators.recent_rows_limit,
        repeats_last=spec.fetch.repeat_last,
        phase_ms=_phase_ms(source),
        allow_non_positive=spec.fetch.allow_non_positive,
    )
    if spec.is_realtime:
        return MessageChecks(terms, store, real_time_limit)
    limit = PlayedLimit(source)
    bus.subscribe(limit.record, EventType.NEW_CANDLE)
    return MessageChecks(terms, store, limit)


def _phase_ms(source: CandleSource) -> int:
    return source.phase_ms if isinstance(source, DeclaresPhase) else 0


def _check_window(spec: PipelineSpec, window_limit: int | None) -> None:
    needed = spec.fetch.history_count
    if window_limit is not None and needed > window_limit:
        raise Broken(
            f"{spec.symbol}: its indicators look back {needed} candles and Redis keeps {window_limit}; "
            "set TRADING__WINDOW_MAX_LEN higher"
        )


def _quoted_spread(venue: Venue, symbol: str) -> float | None:
    """Return the venue's quoted spread; None if the venue, or the one behind a proxy, does not quote it."""
    quote = getattr(venue, "quoted_spread", None)
    return None if quote is None else quote(symbol)
