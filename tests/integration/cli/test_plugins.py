"""Plug-ins of another package: found by their entry points, checked, and run, each time in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.apps.system import SERVICES
from tests.fixtures.plugin_package import ENTRY_POINTS, MODULES, PLUGIN, write_package

ROOT = Path(__file__).parents[3]
ACME = {
    "timeframe": "1m",
    "source": {"kind": "acme", "seed": 7, "speed": "max", "step": 5},
    "venue": {"kind": "acme", "host": "orders.acme.example"},
    "strategy": {"name": "acme_alternate", "params": {"period": 4}},
    "risk": {"sizing": "fixed_units", "units": 1.0, "max_spread": 0.5},
    "session": {"kind": "always"},
}
PAPER = {
    **ACME,
    "source": {"kind": "simulated", "seed": 1, "start_price": 100.0, "start": "2025-01-06T00:00:00Z"},
    "venue": {"kind": "paper"},
    "strategy": {"name": "ema_cross"},
}

RUN = """
import json
from adapters import clock
from adapters.ledger.memory import MemoryLedger
from adapters.registry import SourceContext, source_plugin
from adapters.sources import MemoryAnchorStore
from adapters.symbol_store.memory import MemoryStore
from adapters.wiring.pipeline import build_pipeline
from adapters.wiring.pipeline_spec import pipeline_spec
from adapters.wiring.venues import open_venues, venue_clocks
from configs.loading import load_system
from configs.settings import load_settings
from trading.services.chain import AdvanceSymbol

system, settings = load_system(), load_settings()
config = system.symbols["XAU"]
context = SourceContext(
    "XAU", config.timeframe, config.source, config.session, clock.now_ms, MemoryAnchorStore()
)
ledger = MemoryLedger("test", 1e6)
pipeline = build_pipeline(
    pipeline_spec(system, "XAU"), source=source_plugin("acme").open(context), store=MemoryStore(), ledger=ledger,
    venue=open_venues(settings, system.symbols)["XAU"],
)
for _ in range(40):
    pipeline.advance(AdvanceSymbol("XAU"))
print(json.dumps({
    "fills": len(ledger.fills()), "rules": sorted({row["rule"] for row in ledger.decisions()}),
    "clocks": list(venue_clocks(system.symbols)),
}))
"""


class Installation:
    """A folder of settings and a folder of packages; each command runs in a process that sees both."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        self._folder = folder
        (folder / "configs").mkdir()
        (folder / "configs" / "services.yaml").write_text(SERVICES, encoding="utf-8")
        self.configure(XAU=ACME)

    def configure(self, **symbols: Mapping[str, Any]) -> None:
        content = {"account": {"name": "test", "starting_balance": 1_000_000}, "symbols": symbols}
        (self._folder / "configs" / "symbols.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def python(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRADING__")},
            "PYTHONPATH": str(self.packages),
            "TRADING__CONFIG_DIR": str(self._folder / "configs"),
            "TRADING__VAR_DIR": str(self._folder / "var"),
            "TRADING__REDIS_URL": "redis://127.0.0.1:1/0",
            **environ,
        }
        argv = [sys.executable, *arguments]
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def trading(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "celery", "-A", "tasks", "trading", *arguments, **environ)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_plugins_of_an_installed_package_are_listed_and_their_settings_are_valid(installation: Installation) -> None:
    write_package(installation.packages)

    result = installation.trading("config", "check")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "ok: 1 symbols: XAU",
        "plug-in: venue acme (acme-markets 1.2)",
        "plug-in: source acme (acme-markets 1.2)",
        "plug-in: strategy acme_alternate (acme-markets 1.2)",
        "plug-in: indicator acme_trend (acme-markets 1.2)",
        "warning: account.max_daily_loss: the loss of a day has no limit; set account.max_daily_loss to an amount in "
        "quote currency",
        "warning: account.max_drawdown: the fall from the highest balance has no limit; set account.max_drawdown to a "
        "fraction, such as 0.1",
    ]


def test_plugin_settings_that_are_wrong_are_reported_like_those_of_built_in_kinds(installation: Installation) -> None:
    write_package(installation.packages)
    installation.configure(
        XAU={
            **ACME,
            "venue": {"kind": "acme", "host": "", "hots": "x", "half_spread": -1},
            "source": {"kind": "acme", "seed": "one"},
            "strategy": {"name": "acme_alternate", "params": {"periods": 3}},
        },
        BTC={**PAPER, "venue": {"kind": "acne"}},
    )

    result = installation.trading("config", "check", "--json")
    faults = "\n".join(json.loads(result.stdout)["faults"])

    assert result.returncode == 2
    assert "symbols.XAU.venue.host: found ''; allowed: at least 1 characters (Host of the order interface.)" in faults
    assert "symbols.XAU.venue.hots: unknown key 'hots'; did you mean 'host'?" in faults
    assert "symbols.XAU.venue.half_spread: found -1; allowed: at least 0" in faults
    assert "symbols.XAU.source.seed: found 'one'; allowed: a whole number (Seed of the candles.)" in faults
    assert "symbols.XAU.strategy.params.periods: unknown key 'periods'; did you mean 'period'?" in faults
    assert "symbols.BTC.venue.kind: found 'acne'; allowed: 'paper', 'acme'" in faults


def test_plugin_settings_are_in_the_schema_and_are_overridden_by_the_environment(installation: Installation) -> None:
    write_package(installation.packages)

    schema = json.loads(installation.trading("config", "schema", "symbols").stdout)
    shown = installation.trading(
        "config",
        "show",
        "--json",
        TRADING__SYMBOLS__XAU__VENUE__HOST="other.example",
        TRADING__SYMBOLS__XAU__VENUE__API_KEY="hidden",
    )

    kinds = schema["$defs"]["SymbolConfig"]["properties"]["venue"]["discriminator"]["mapping"]
    assert sorted(kinds) == ["acme", "paper"]
    assert schema["$defs"]["AcmeVenueConfig"]["properties"]["host"]["description"] == "Host of the order interface."
    venue = json.loads(shown.stdout)["symbols"]["XAU"]["venue"]
    assert venue == {"kind": "acme", "host": "other.example", "api_key": "***", "half_spread": 0.1}


def test_pipeline_of_a_plugin_venue_source_and_strategy_trades(installation: Installation) -> None:
    write_package(installation.packages)

    result = installation.python("-W", "error", "-c", RUN)

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["fills"] > 10
    assert "max_spread" not in found["rules"]
    assert found["clocks"] == []


def test_entries_under_max_spread_are_rejected_at_a_spread_of_the_plugin_venue(installation: Installation) -> None:
    write_package(installation.packages)

    result = installation.python("-c", RUN, TRADING__SYMBOLS__XAU__VENUE__HALF_SPREAD="0.3")
    found = json.loads(result.stdout)

    assert found["fills"] == 0
    assert "max_spread" in found["rules"]


def test_plugin_that_cannot_be_imported_is_a_fault_where_its_kind_is_used_alone(installation: Installation) -> None:
    write_package(installation.packages, modules={**MODULES, "acme/plugin.py": f"import no_such_client\n{PLUGIN}"})

    used = installation.trading("config", "check")
    installation.configure(XAU=PAPER)
    unused = installation.trading("config", "check")

    fault = (
        "venue 'acme', 'acme.plugin:VENUE' of the package acme-markets 1.2, cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_client'; correct that package, or remove it"
    )
    assert used.returncode == 2
    assert f"symbols.XAU.venue: {fault}" in used.stderr
    assert (unused.returncode, unused.stderr) == (0, "")
    assert f"plug-in: venue acme (acme-markets 1.2): {fault}" in unused.stdout


def test_plugins_that_are_not_as_their_group_needs_them_are_faults(installation: Installation) -> None:
    others = (
        "acme = acme.plugin:VENUE\nother = acme.plugin:VENUE\npaper = acme.plugin:VENUE\nbare = acme.plugin:open_venue"
    )
    write_package(installation.packages, entry_points=ENTRY_POINTS.replace("acme = acme.plugin:VENUE", others))
    kinds = ("other", "paper", "bare")
    installation.configure(**{kind.upper(): {**PAPER, "venue": {"kind": kind}} for kind in kinds})

    faults = "\n".join(json.loads(installation.trading("config", "check", "--json").stdout)["faults"])

    wrong_kind = "has settings of another kind: `kind` is typing.Literal['acme'], expected Literal['other']"
    taken = "venue 'paper' is registered by trading-orchestrator, acme-markets 1.2; names are unique"
    assert (
        f"symbols.OTHER.venue: venue 'other', 'acme.plugin:VENUE' of the package acme-markets 1.2, {wrong_kind}"
        in faults
    )
    assert f"symbols.PAPER.venue: {taken}" in faults
    assert "has no settings: its `config` is None, not a subclass of VenueConfig; correct that package" in faults


def test_import_of_the_project_loads_no_plugin(installation: Installation) -> None:
    write_package(installation.packages)
    code = (
        "import sys, trading_orchestrator, trading_orchestrator.plugins, configs.loading, adapters.wiring.pipeline; "
        "print([name for name in sys.modules if name.partition('.')[0] == 'acme'])"
    )

    assert installation.python("-c", code).stdout == "[]\n"
