"""The orchestrators of a cluster and of a single process."""

from trading.moved import moved

__getattr__ = moved(
    __name__,
    "tasks.orchestrators.factory",
    renamed={
        "of_the_cluster": "MultiSymbolTradingOrchestrator.connect",
        "in_this_process": "MultiSymbolTradingOrchestrator.local",
    },
)
