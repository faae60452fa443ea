"""The four stages of one symbol in one process: the Celery chain as a plain function call."""

from msgspec import Struct

from trading.events.bus import LocalBus, Outbox
from trading.events.decisions import CandleDecision, DecisionKind
from trading.events.messages import NewCandle, SignalGenerated
from trading.execution.adoption import Holdings
from trading.execution.incident_publisher import IncidentPublisher
from trading.execution.position_closer import FlattenResult
from trading.execution.reconciliation import Action
from trading.services.base import Service
from trading.services.chain import AdvanceSymbol, ChainResult
from trading.services.data_fetching import DataFetchingService
from trading.services.indicator_calculation import IndicatorCalculationService
from trading.services.status import ServiceStatus
from trading.services.strategy_evaluation import StrategyEvaluationService
from trading.services.trade_execution import TradeExecutionService
from trading.trading_state import Processing, permissions


class SymbolPipeline(Struct, frozen=True):
    """The services of one symbol, wired to one local bus."""

    symbol: str
    bus: LocalBus
    outbox: Outbox
    fetch: DataFetchingService
    indicators: IndicatorCalculationService
    strategy: StrategyEvaluationService
    execute: TradeExecutionService
    incidents: IncidentPublisher

    @property
    def services(self) -> tuple[Service, ...]:  # type: ignore[type-arg]  # each service has message types of its own
        """The four services in the order of the flow."""
        return self.fetch, self.indicators, self.strategy, self.execute

    def service(self, name: str) -> Service:  # type: ignore[type-arg]
        """Return the service with a class name such as `TradeExecutionService`."""
        return next(one for one in self.services if one.name == name)

    @property
    def is_healthy(self) -> bool:
        return all(service.is_healthy for service in self.services)

    def start(self) -> None:
        for service in self.services:
            service.start()

    def statuses(self) -> list[ServiceStatus]:
        return [service.status for service in self.services]

    def advance(self, command: AdvanceSymbol) -> ChainResult:
        """Run a whole chain, and return how it ended."""
        fetched = self.fetch_or_protect(command)
        if isinstance(fetched, ChainResult):
            return fetched
        updated = self.indicators.handle(fetched)
        if isinstance(updated, ChainResult):
            return updated
        generated = self.strategy.handle(updated)
        if isinstance(generated, ChainResult):
            return generated
        return self.execute.handle(generated)

    def fetch_or_protect(self, command: AdvanceSymbol) -> NewCandle | ChainResult:
        """Run the first stage. For a quarantined symbol with an open position, protect it and end the chain.

        The stages between may be the cause of the quarantine, so they are skipped: the candles are passed to the venue,
        and its fills are recorded. If the policy is to flatten, the position is closed.
        """
        fetched = self.fetch.handle(command)
        if isinstance(fetched, ChainResult):
            return fetched
        processing = permissions(fetched.desired, policy=fetched.quarantine).processing
        if processing is Processing.FULL:
            return fetched
        ended = self.protect(fetched)
        if processing is Processing.FLATTEN:
            self.flatten("quarantined")
        return ended

    def protect(self, fetched: NewCandle) -> ChainResult:
        """Pass the candles of a quarantined symbol to the venue and record its fills, without a decision."""
        count = len(fetched.candles)
        protected = SignalGenerated(
            **fetched.carried(),
            signals=[],
            regimes=[fetched.regime] * count,
            decisions=[(CandleDecision(DecisionKind.QUARANTINED, policy=fetched.quarantine or ""),)] * count,
        )
        return self.execute.handle(protected)

    def reconcile(self) -> list[Action]:
        """Compare ledger and venue, act on the differences, and return the actions taken and those that still wait."""
        return self.execute.reconcile(self.fetch.market_ms())

    def holdings(self) -> Holdings:
        """Record the fills, and return the symbol's positions in ledger and at the venue."""
        return self.execute.holdings(self.fetch.market_ms())

    def flatten(self, reason: str) -> FlattenResult:
        """Close all open positions of the symbol without a signal, and withdraw its entries."""
        return self.execute.flatten(reason, self.fetch.market_ms())
