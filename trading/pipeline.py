"""The four stages of one symbol in one process: what the Celery chain does, as a plain function call."""

from dataclasses import dataclass

from trading.bus import LocalBus, Outbox
from trading.flow import End, Wake
from trading.reconciliation import Action
from trading.services.base import Service, ServiceStatus
from trading.services.data_fetching import DataFetchingService
from trading.services.indicator_calculation import IndicatorCalculationService
from trading.services.strategy_evaluation import StrategyEvaluationService
from trading.services.trade_execution import TradeExecutionService


@dataclass(frozen=True, slots=True)
class SymbolPipeline:
    """The services of one symbol, wired to one local bus."""

    symbol: str
    bus: LocalBus
    outbox: Outbox
    fetch: DataFetchingService
    indicators: IndicatorCalculationService
    strategy: StrategyEvaluationService
    execute: TradeExecutionService

    @property
    def services(self) -> tuple[Service, ...]:  # type: ignore[type-arg]  # each service has message types of its own
        """The four services in the order of the flow."""
        return self.fetch, self.indicators, self.strategy, self.execute

    @property
    def is_healthy(self) -> bool:
        return all(service.is_healthy for service in self.services)

    def start(self) -> None:
        for service in self.services:
            service.start()

    def statuses(self) -> list[ServiceStatus]:
        return [service.get_status() for service in self.services]

    def advance(self, wake: Wake) -> End:
        """Run a whole chain, and return how it ended."""
        fetched = self.fetch.handle(wake)
        if isinstance(fetched, End):
            return fetched
        updated = self.indicators.handle(fetched)
        if isinstance(updated, End):
            return updated
        generated = self.strategy.handle(updated)
        if isinstance(generated, End):
            return generated
        return self.execute.handle(generated)

    def reconcile(self) -> list[Action]:
        """Settle what is not settled and compare ledger and venue; return what was done and what is left."""
        return self.execute.reconcile(self.fetch.market_ms())
