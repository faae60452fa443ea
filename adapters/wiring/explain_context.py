"""What a symbol is decided by, as an explanation needs it."""

from adapters.wiring.pipeline_spec import entry_rules_of, strategies_of
from configs.loading import SystemConfig
from configs.snapshot import deciding_digest
from trading.backtest.explanation import ExplainContext


def terms_of(symbol: str, system: SystemConfig) -> list[ExplainContext]:
    """Return what a symbol is decided by, as `system` has it: for each of its strategies, in their order."""
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
        )
        for name, strategy in strategies.items()
    ]
