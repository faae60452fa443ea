"""`trading config`: show and check the configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
import yaml

from adapters.database import masked_url
from configs.errors import ConfigError, is_secret
from configs.files.json_schema import json_schema, schema_of
from configs.loading import SystemConfig, load_system
from configs.plugins.entry_points import plugins
from configs.redis_url import parse_redis_url
from configs.settings import Settings, load_settings, resolve_redis_url
from trading.structs import asdict
from trading_orchestrator.cli.exit_codes import ExitCode, fault_lines
from trading_orchestrator.cli.output import print_json
from trading_orchestrator.cli.params import CommandGroup
from worker.checks.bounds import missing_bounds

MASK = "***"


@click.group(cls=CommandGroup)
def config() -> None:
    """Show and check the configuration."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(as_json: bool) -> None:
    """Print the effective configuration: defaults, files and environment overrides. Secrets are masked."""
    settings = load_settings()
    answer = effective(settings, load_system(settings.config_dir))
    if as_json:
        print_json(answer)
    else:
        click.echo(yaml.safe_dump(answer, sort_keys=False, allow_unicode=True), nl=False)


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with all faults.")
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Check the configuration and list the plug-ins; print every error, and exit with 2 when it is invalid.

    Limits and costs that are missing are warnings, with the key to set.
    """
    faults, system = _examine()
    symbols = [] if system is None else list(system.symbols)
    warnings = [] if system is None else missing_bounds(system)
    found = list(plugins())
    if as_json:
        answer = {"ok": not faults, "faults": faults, "symbols": symbols, "plugins": [asdict(one) for one in found]}
        print_json(
            answer | {"warnings": [{"key": one.name, "found": one.found, "action": one.remedy} for one in warnings]}
        )
    elif faults:
        click.echo(f"{len(faults)} fault{'s' * (len(faults) > 1)}:\n{fault_lines(faults)}", err=True)
    else:
        click.echo(f"ok: {len(symbols)} symbols: {', '.join(symbols)}")
        for one in found:
            click.echo(f"plug-in: {one}{f': {one.fault}' if one.fault else ''}")
        for warning in warnings:
            click.echo(f"warning: {warning}")
    ctx.exit(ExitCode.USAGE if faults else ExitCode.OK)


@config.command()
@click.argument("file", required=False, type=click.Choice(["services", "symbols"]))
def schema(file: str | None) -> None:
    """Print the JSON schema of services.yaml or symbols.yaml, or of both by their names."""
    print_json(schema_of(f"{file}.yaml") if file else json_schema())


def effective(settings: Settings, system: SystemConfig) -> dict[str, Any]:
    """Return the effective configuration, JSON-safe and without secrets."""
    content = system.model_dump(mode="json")
    for name, config in content["symbols"].items():
        config["quote_currency"] = system.symbols[name].quoted_in(name) or system.account.currency
    return {"settings": _installation(settings), **_masked(content, ())}


def _examine() -> tuple[list[str], SystemConfig | None]:
    """Return the errors, or the configuration when there are none."""
    try:
        settings = load_settings()
        resolve_redis_url(settings)
        return [], load_system(settings.config_dir)
    except ConfigError as error:
        return list(error.faults), None


def _installation(settings: Settings) -> dict[str, Any]:
    password = None if settings.flower_password is None else MASK
    return settings.model_dump(mode="json") | {
        "redis_url": parse_redis_url(resolve_redis_url(settings)).masked,
        "ledger_url": masked_url(settings.ledger_url.get_secret_value()),
        "paper_url": masked_url(settings.paper_url.get_secret_value()),
        "flower_password": password,
    }


def _masked(node: Any, path: Sequence[str | int]) -> Any:
    if isinstance(node, Mapping):
        return {key: _masked(value, (*path, key)) for key, value in node.items()}
    return MASK if isinstance(node, str) and is_secret(path) else node
