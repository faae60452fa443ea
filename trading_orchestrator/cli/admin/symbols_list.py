"""`trading symbols list`: each symbol in the file, whether it is applied, and its workers."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from adapters.redis.applied_config import AppliedConfig, Built
from configs.snapshot import Content, content_of, fingerprint
from configs.symbols import SymbolConfig
from tasks.reload import WorkerFiles, read_worker_files
from trading.errors import Transient
from trading.structs import asdict
from trading_orchestrator.cli.admin.symbols_change import RELOAD
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.operate.control import require_redis
from trading_orchestrator.cli.output import MIDDLE, WIDE, Column, table


class ConfigurationState(StrEnum):
    """Difference between the file and the running configuration; `--json` prints the values."""

    IN_FORCE = "in force"
    UNKNOWN = "unknown"
    NOT_STARTED = "not started yet"
    FILE_ONLY = "in the file alone"
    CHANGED = "changed in the file"
    FIRST_TICK = "waits for its first tick"
    NEXT_TICK = "waits for its next tick"
    REMOVED = "runs, and the file does not have it"


_NOTHING_TO_DO = (ConfigurationState.IN_FORCE, ConfigurationState.UNKNOWN)


class Listed(Struct, frozen=True):
    """One symbol.

    Attributes:
        size: Size of each trade, as text.
        served_by: Workers that consume its queue; None when no worker could be queried.
    """

    symbol: str
    timeframe: str
    strategy: str
    source: str
    size: str
    configuration: ConfigurationState
    served_by: Sequence[str] | None


class Listing(Struct, frozen=True):
    """All symbols of the file, and running symbols that are not in it.

    Attributes:
        revision: Revision of the applied configuration; None when Redis does not answer.
        trouble: Error that makes the listing incomplete; empty if none.
    """

    revision: int | None
    symbols: Sequence[Listed]
    trouble: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the `--json` output."""
        return asdict(self)


def read(access: Access) -> Listing:
    """Read the file, the applied configuration and the queues that the workers consume."""
    found = content_of(access.system, access.settings.config_dir)
    try:
        require_redis(access)
        applied = AppliedConfig(access.redis, access.settings.namespace)
        content, revision = applied.read(), applied.revision()
        built = applied.built(list(found["symbols"]))
    except Transient as trouble:
        return Listing(
            None, [_listed(access, name, ConfigurationState.UNKNOWN, None) for name in found["symbols"]], str(trouble)
        )
    workers = list(read_worker_files())
    rows = [
        _listed(access, name, _standing(name, found, content, built), _serving(name, workers))
        for name in found["symbols"]
    ]
    gone = [name for name in (content or found)["symbols"] if name not in found["symbols"]]
    removed = [Listed(name, "-", "-", "-", "-", ConfigurationState.REMOVED, _serving(name, workers)) for name in gone]
    return Listing(revision, [*rows, *removed])


def view(listing: Listing, *, width: int) -> RenderableType:
    """Draw the listing, with the command to run when the file is not applied."""
    parts: list[RenderableType] = [table(COLUMNS, listing.symbols, width=width)]
    if listing.trouble:
        parts += [Text(), Text(f"the running configuration is unknown: {listing.trouble}", style="bold red")]
    elif any(row.configuration not in _NOTHING_TO_DO for row in listing.symbols):
        parts += [Text(), Text(f"apply the file with: {RELOAD}", style="dim")]
    return Group(*parts)


def _standing(name: str, found: Content, applied: Content | None, built: Mapping[str, Built]) -> ConfigurationState:
    """Return the difference between the file and the running configuration."""
    mine = fingerprint(found, name)
    if applied is None:
        return ConfigurationState.NOT_STARTED
    if name not in applied["symbols"]:
        return ConfigurationState.FILE_ONLY
    if fingerprint(applied, name) != mine:
        return ConfigurationState.CHANGED
    if name not in built:
        return ConfigurationState.FIRST_TICK
    is_built = built[name].fingerprint == mine
    return ConfigurationState.IN_FORCE if is_built else ConfigurationState.NEXT_TICK


def _serving(name: str, workers: Sequence[WorkerFiles]) -> list[str]:
    return [worker.node for worker in workers if name in worker.queues]


def _listed(access: Access, name: str, configuration: ConfigurationState, served_by: Sequence[str] | None) -> Listed:
    config = access.system.symbols[name]
    return Listed(
        name, config.timeframe, ", ".join(config.books), _source(config), _size(config), configuration, served_by
    )


def _source(config: SymbolConfig) -> str:
    return config.source.describe()


def _size(config: SymbolConfig) -> str:
    risk = config.risk
    if risk.sizing == "fixed_notional":
        return f"for {risk.notional:,g}"
    if risk.sizing == "equity_fraction":
        return f"{risk.equity_fraction:.2%} of equity"
    return f"{risk.units:g} units" if risk.sizing == "fixed_units" else f"{risk.risk_fraction:.2%} at risk"


def _nodes(row: Listed) -> Text:
    if row.served_by is None:
        return Text("unknown", style="dim")
    return Text(", ".join(row.served_by)) if row.served_by else Text("no worker", style="bold red")


def _configuration(row: Listed) -> Text:
    return Text(row.configuration, style="green" if row.configuration is ConfigurationState.IN_FORCE else "yellow")


COLUMNS = (
    Column("symbol", lambda row: row.symbol, style="bold"),
    Column("timeframe", lambda row: row.timeframe, least_width=MIDDLE),
    Column("strategy", lambda row: row.strategy),
    Column("size", lambda row: row.size, is_number=True),
    Column("source", lambda row: row.source, least_width=WIDE),
    Column("configuration", _configuration),
    Column("served by", _nodes, is_prose=True),
)
