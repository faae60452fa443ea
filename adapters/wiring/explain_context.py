"""The terms by which a symbol is decided, for an explanation."""

from adapters.wiring.pipeline_spec import entry_rules_of, strategies_of
from configs.loading import SystemConfig
from configs.snapshot import deciding_digest
from trading.backtest.explanation import ExplainContext


def terms_of(symbol: str, system: SystemConfig) -> list[ExplainContext]:
    """Return the terms by which `system` decides on a symbol: one entry for each strategy, in their order."""
    config, services = system.symbols[symbol], system.services
    strategies = strategies_of(config)
    return [
        ExplainContext(
            name,
            strategy,
            entry_rules_of(config),
            services.indicator_calculation.recent_rows_limit,
            services.strategy_evaluation.min_rows_required,
            deciding_digest(system, symbol),
            is_only_strategy=len(strategies) == 1,
            money_decimals=system.account.money_decimals,
        )
        for name, strategy in strategies.items()
    ]
