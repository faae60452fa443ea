"""Load the configuration: the two YAML files, then overrides of the environment, validated as a whole."""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from configs.currency_check import mixed_currencies
from configs.errors import ConfigError, dotted, fault_line
from configs.files.env_overrides import Contents, apply_overrides
from configs.files.json_schema import FILES, SERVICES, SYMBOLS, schema_of
from configs.files.validation_errors import Checked, describe
from configs.files.validation_errors import Path as FieldPath
from configs.files.yaml_reader import parse_yaml, read_yaml
from configs.plugins.strategies import UnknownStrategy, strategy_class
from configs.services import ConfigModel, OrchestratorConfig, ServicesConfig
from configs.settings import Settings, load_settings, project_root
from configs.symbols import SymbolConfig
from trading.risk.rules import AccountLimits
from trading.strategies import StrategyFault
from trading.strategies.invocation import made


class SystemConfig(ConfigModel):
    """The complete configuration of the two files and the environment."""

    model_config = ConfigDict(defer_build=True)  # as `SymbolConfig` does

    services: ServicesConfig = Field(description="The four services.")
    orchestrator: OrchestratorConfig = Field(description="The orchestrator that monitors them.")
    account: AccountLimits = Field(description="The account and the limits that all symbols share.")
    symbols: Mapping[str, SymbolConfig] = Field(description="Each symbol by its name, in the order of the file.")

    @model_validator(mode="after")
    def _is_in_one_currency(self) -> Self:
        if faults := mixed_currencies(self.account, self.symbols):
            raise ValueError("\n".join(faults))
        return self


def load_system(
    config_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    texts: Mapping[str, str] | None = None,
) -> SystemConfig:
    """Read `services.yaml` and `symbols.yaml`, apply overrides of the environment, and validate everything.

    Args:
        config_dir: Folder of the two files; None takes the one of the settings.
        environ: Environment variables; None takes the process's own.
        texts: Content by file name, to validate a text before it is written.

        Raises:
            ConfigError: Lists all faults at once.
    """
    folder = (config_dir or load_settings().config_dir).absolute()
    contents, faults = _read(folder, texts or {})
    origins, wrong_names = apply_overrides(contents, os.environ if environ is None else environ)
    faults += wrong_names
    models: dict[str, Any] = {}
    for name, content in contents.items():
        checked = Checked(partial(schema_of, name), shown_path(folder / name), content, origins)
        try:
            models[name] = FILES[name].model_validate(content, context={"config_dir": folder})
        except ValidationError as error:
            faults += describe(error, checked)
        if name == SYMBOLS:
            faults += strategy_faults(checked)
    faults += _unreachable_candles(models, folder) + _mixed_currencies(models, folder)
    if faults:
        raise ConfigError(faults)
    services, symbols = models[SERVICES], models[SYMBOLS]
    return SystemConfig(
        services=services.services,
        orchestrator=services.orchestrator,
        account=symbols.account,
        symbols=symbols.symbols,
    )


_BARS_SHOWN = 2
"""A closed bar and the forming one: with fewer, no candle is ever seen to close."""


def _unreachable_candles(models: Mapping[str, Any], folder: Path) -> list[str]:
    """Return a line for each played source that never shows as many bars as `candle_index` skips."""
    if not {SERVICES, SYMBOLS} <= models.keys():
        return []
    file = shown_path(folder / SERVICES)
    fetching = models[SERVICES].services.data_fetching
    index = fetching.candle_index
    if fetching.nbr_bars < _BARS_SHOWN:
        return [
            f"{file}: services.data_fetching.nbr_bars: found {fetching.nbr_bars}; allowed: at least {_BARS_SHOWN}, "
            "because the newest bar is still forming"
        ]
    return [
        f"{file}: services.data_fetching.candle_index: found {index}; allowed: at most {shown}, "
        f"because {symbol} plays at speed max and shows {shown - 1} closed bar(s) and a forming one at a time"
        for symbol, config in models[SYMBOLS].symbols.items()
        if (shown := config.source.bars_shown) is not None and index > shown
    ]


def _mixed_currencies(models: Mapping[str, Any], folder: Path) -> list[str]:
    file = models.get(SYMBOLS)
    place = shown_path(folder / SYMBOLS)
    return [f"{place}: {text}" for text in mixed_currencies(file.account, file.symbols)] if file else []


def _read(folder: Path, texts: Mapping[str, str]) -> tuple[Contents, list[str]]:
    contents: Contents = {}
    faults: list[str] = []
    for name in FILES:
        shown_as = shown_path(folder / name)
        try:
            contents[name] = (
                parse_yaml(texts[name], shown_as=shown_as)
                if name in texts
                else read_yaml(folder / name, shown_as=shown_as)
            )
        except ConfigError as error:
            faults += error.faults
    return contents, faults


def shown_path(path: Path) -> str:
    """Return a path as short as possible while unambiguous."""
    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def symbols_file(settings: Settings) -> str:
    """Return the path of the `symbols.yaml` in force, as messages show it."""
    return shown_path(settings.config_dir.absolute() / SYMBOLS)


def strategy_faults(checked: Checked) -> list[str]:
    """Return a line for each fault in the strategies of the validated `symbols.yaml`."""
    symbols = checked.content.get("symbols")
    entries = symbols.items() if isinstance(symbols, Mapping) else ()
    return [
        fault
        for name, entry in entries
        if isinstance(entry, Mapping)
        for path, strategy in _named(entry)
        for fault in _faults(checked, ("symbols", name, *path), strategy)
    ]


def _named(entry: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Mapping[str, Any]]]:
    """Yield each strategy of a symbol with its path below the symbol's name."""
    books = entry.get("strategies")
    if isinstance(entry.get("strategy"), Mapping):
        yield ("strategy",), entry["strategy"]
    for name, book in books.items() if isinstance(books, Mapping) else ():
        if isinstance(book, Mapping):
            yield ("strategies", name), book


def _faults(checked: Checked, at: FieldPath, strategy: Mapping[str, Any]) -> list[str]:
    name, params = strategy.get("name"), strategy.get("params", {})
    if not isinstance(name, str) or not isinstance(params, Mapping):
        return []  # the models report it
    try:
        found = strategy_class(name)
    except UnknownStrategy as error:
        path = (*at, "name")
        return [fault_line(checked.source(path), path, name, error.allowed)]
    except ValueError as error:  # the name is right, and the code behind it cannot be used
        path = (*at, "name")
        return [f"{checked.source(path)}: {dotted(path)}: {error}"]
    try:
        made(found, params)
    except StrategyFault as fault:
        path = (*at, "name")
        return [f"{checked.source(path)}: {dotted(path)}: {fault}"]
    except ValidationError as error:
        part = Checked(found.model_json_schema, checked.where, params, checked.origins, (*at, "params"))
        return describe(error, part)
    return []
