"""Whether the configuration can be used."""

from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.settings import Settings
from worker.checks.check import Check, Health


def config_check(settings: Settings) -> tuple[Check, SystemConfig | None]:
    """Read the configuration, and return what was found and the configuration itself where it can be used."""
    try:
        system = load_system(settings.config_dir)
    except ConfigError as error:
        remedy = f"correct the files in {settings.config_dir}"
        return Check("config", Health.FAIL, "; ".join(error.faults), remedy, endangers_orders=True), None
    return Check("config", Health.OK, f"{len(system.symbols)} symbols: {', '.join(system.symbols)}"), system
