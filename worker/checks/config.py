"""Check the configuration, and the plug-ins that it may name."""

from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.plugins.entry_points import plugins
from configs.settings import Settings
from worker.checks.check import Check, Health


def config_check(settings: Settings) -> tuple[Check, SystemConfig | None]:
    """Read the configuration and return the check, with the configuration if it is valid."""
    try:
        system = load_system(settings.config_dir)
    except ConfigError as error:
        remedy = f"correct the files in {settings.config_dir}"
        return Check("config", Health.FAIL, "; ".join(error.faults), remedy, endangers_orders=True), None
    return Check("config", Health.OK, f"{len(system.symbols)} symbols: {', '.join(system.symbols)}"), system


def plugin_checks() -> list[Check]:
    """Load the plug-ins of other packages; one that cannot be used is a warning: a symbol that names it is a fault."""
    found = list(plugins())
    remedy = "correct or remove its package; a symbol that names it cannot be configured until then"
    broken = [Check(f"plug-in {one}", Health.WARN, one.fault, remedy) for one in found if one.fault]
    usable = [str(one) for one in found if not one.fault]
    return [*([Check("plug-ins", Health.OK, ", ".join(usable))] if usable else []), *broken]
