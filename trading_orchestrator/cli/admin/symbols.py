"""`trading symbols`: which symbols there are, and how they come, change and go while everything runs."""

from collections.abc import Callable
from typing import Any, TextIO

import click

from configs.json_schema import SYMBOLS
from configs.symbols_editor import SymbolsEditor
from configs.yaml_reader import dump_yaml, parse_yaml, read_yaml
from trading_orchestrator.cli.admin import symbols_list
from trading_orchestrator.cli.admin.symbols_change import change_file, put_in_force
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.operate.control import TIMEOUT
from trading_orchestrator.cli.output import make_console, print_json
from trading_orchestrator.cli.params import CommandGroup

_Option = Callable[[Callable[..., Any]], Callable[..., Any]]
SET: _Option = click.option(
    "--set", "values", multiple=True, metavar="KEY=VALUE", help="A value to change, such as risk.units=2; many times."
)
REASON: _Option = click.option(
    "--reason", default="asked for on the command line", show_default=True, help="Why, for the record."
)
AS_JSON: _Option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object with what came of it.")
Value = tuple[list[str], str]


@click.group(cls=CommandGroup)
def symbols() -> None:
    """List symbols; add, change and remove them while everything runs.

    add, set and remove edit configs/symbols.yaml, with its comments and its layout, and have it put in force. A file
    that you edited yourself is put in force by reload. All of a change is checked before any of it is done.
    """


@symbols.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list_(as_json: bool) -> None:
    """Show what each symbol is, who serves it, and whether the file is in force."""
    with Access() as access:
        listing = symbols_list.read(access)
    if as_json:
        print_json(listing.as_dict())
    else:
        console = make_console()
        console.show(symbols_list.view(listing, width=console.width))


@symbols.command()
@click.argument("name")
@click.option("--like", metavar="SYMBOL", help="Begin with a copy of what this symbol has.")
@click.option("--from", "file", type=click.File(encoding="utf-8"), help="Take what stands under its name; - for stdin.")
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
    """Add a symbol, like another one or from a file."""
    wanted = [_value(text) for text in values]
    with Access() as access:
        if name in access.system.symbols:
            raise click.UsageError(f"{name} is there already; change it with: trading symbols set {name} KEY=VALUE")
        if (like is None) == (file is None):
            known = ", ".join(access.system.symbols)
            raise click.UsageError(f"say what {name} is: --like SYMBOL (there are {known}) or --from FILE")
        block = _copied(access, like) if like else _given(file)
        change_file(
            access,
            lambda text: _with_values(text.with_symbol(name, block), name, wanted),
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
    wanted = [_value(text) for text in values]
    with Access() as access:
        known = access.known(name)
        change_file(
            access,
            lambda text: _with_values(text.text, known, wanted),
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
    """Remove a symbol of which nothing is open."""
    with Access() as access:
        known = access.known(name)
        change_file(access, lambda text: text.without(known), reason=reason, timeout_s=timeout_s, as_json=as_json)


@symbols.command()
@REASON
@TIMEOUT
@AS_JSON
def reload(reason: str, timeout_s: float, as_json: bool) -> None:
    """Put in force what the files say now.

    services.yaml and the account's limits too: they concern all symbols.
    """
    with Access() as access:
        put_in_force(access, reason=reason, timeout_s=timeout_s, as_json=as_json)


def _value(text: str) -> Value:
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise click.UsageError(f"{text!r}: allowed is KEY=VALUE with the keys below the symbol's name, as risk.units=2")
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
        raise click.UsageError(f"--from {file.name}: no text in UTF-8: {error.reason} at byte {error.start}") from None
    parse_yaml(text, shown_as=file.name)
    return text
