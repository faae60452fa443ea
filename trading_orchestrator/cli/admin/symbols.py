"""`trading symbols`: list, add, change and remove symbols while the system runs."""

from collections.abc import Callable
from typing import Any, TextIO

import click

from configs.files.json_schema import SYMBOLS
from configs.files.symbols_editor import SymbolsEditor
from configs.files.yaml_reader import dump_yaml, parse_yaml, read_yaml
from trading_orchestrator.cli.admin import symbols_list
from trading_orchestrator.cli.admin.symbols_change import change_file, put_in_force
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.operate.control import TIMEOUT
from trading_orchestrator.cli.output import make_console, print_json
from trading_orchestrator.cli.params import CommandGroup

_Option = Callable[[Callable[..., Any]], Callable[..., Any]]
SET: _Option = click.option(
    "--set", "values", multiple=True, metavar="KEY=VALUE", help="A value to change, such as risk.units=2; repeatable."
)
REASON: _Option = click.option(
    "--reason", default="requested on the command line", show_default=True, help="Reason to record."
)
AS_JSON: _Option = click.option("--json", "as_json", is_flag=True, help="Print the result as a JSON object.")
Value = tuple[list[str], str]


@click.group(cls=CommandGroup)
def symbols() -> None:
    """List, add, change and remove symbols while the system runs.

    add, set and remove edit configs/symbols.yaml, keep its comments and layout, and apply it. reload applies a file
    that you edited yourself. A change is checked as a whole before any part of it is applied.
    """


@symbols.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list_(as_json: bool) -> None:
    """Show each symbol, its workers, and whether its configuration is applied."""
    with Access() as access:
        listing = symbols_list.read(access)
    if as_json:
        print_json(listing.as_dict())
    else:
        console = make_console()
        console.show(symbols_list.view(listing, width=console.width))


@symbols.command()
@click.argument("name")
@click.option("--like", metavar="SYMBOL", help="Copy the configuration of this symbol.")
@click.option(
    "--from", "file", type=click.File(encoding="utf-8"), help="Read the symbol from a YAML file; - for stdin."
)
@SET
@REASON
@TIMEOUT
@AS_JSON
def add(
    name: str,
    like: str | None,
    file: TextIO | None,
    values: tuple[str, ...],
    reason: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Add a symbol, as a copy of another one or from a file."""
    assignments = [_value(text) for text in values]
    with Access() as access:
        if name in access.system.symbols:
            raise click.UsageError(f"{name} exists already; change it with: trading symbols set {name} KEY=VALUE")
        if (like is None) == (file is None):
            known = ", ".join(access.system.symbols)
            raise click.UsageError(f"{name} needs a configuration: --like SYMBOL (one of {known}) or --from FILE")
        block = _copied(access, like) if like else _given(file)
        change_file(
            access,
            lambda text: _with_values(text.with_symbol(name, block), name, assignments),
            reason=reason,
            timeout_s=timeout_s,
            as_json=as_json,
        )


@symbols.command("set")
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
@REASON
@TIMEOUT
@AS_JSON
def set_(name: str, values: tuple[str, ...], reason: str, timeout_s: float, as_json: bool) -> None:
    """Change values of a symbol, such as risk.units=2."""
    assignments = [_value(text) for text in values]
    with Access() as access:
        known = access.known(name)
        change_file(
            access,
            lambda text: _with_values(text.text, known, assignments),
            reason=reason,
            timeout_s=timeout_s,
            as_json=as_json,
        )


@symbols.command()
@click.argument("name")
@REASON
@TIMEOUT
@AS_JSON
def remove(name: str, reason: str, timeout_s: float, as_json: bool) -> None:
    """Remove a symbol that has no open orders or positions."""
    with Access() as access:
        known = access.known(name)
        change_file(access, lambda text: text.without(known), reason=reason, timeout_s=timeout_s, as_json=as_json)


@symbols.command()
@REASON
@TIMEOUT
@AS_JSON
def reload(reason: str, timeout_s: float, as_json: bool) -> None:
    """Apply the configuration files as they are now.

    Includes services.yaml and the account's limits, which concern all symbols.
    """
    with Access() as access:
        put_in_force(access, reason=reason, timeout_s=timeout_s, as_json=as_json)


def _value(text: str) -> Value:
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise click.UsageError(f"{text!r}: expected KEY=VALUE with the key below the symbol's name, as risk.units=2")
    return path, value


def _with_values(text: str, name: str, values: list[Value]) -> str:
    for path, value in values:
        text = SymbolsEditor(text).with_value(name, path, value)
    return text


def _copied(access: Access, like: str) -> str:
    path = access.settings.config_dir / SYMBOLS
    return dump_yaml(read_yaml(path, shown_as=SYMBOLS)["symbols"][access.known(like)])


def _given(file: TextIO | None) -> str:
    assert file is not None
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--from {file.name}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    parse_yaml(text, shown_as=file.name)
    return text
