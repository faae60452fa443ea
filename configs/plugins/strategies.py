"""Strategy classes by their name in `symbols.yaml`: built in, of a plug-in, or an import path."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from configs.plugins.entry_points import STRATEGIES, PluginError, load, names
from configs.plugins.own_modules import import_own, source_digest
from trading.strategies.errors import describe, is_its_own, own_lines
from trading.strategies.invocation import made
from trading.strategies.registry import SHIPPED
from trading.strategies.strategy import Strategy


class UnknownStrategy(ValueError):
    """A name that is no strategy's; `allowed` says which values are."""

    def __init__(self, name: str, allowed: str) -> None:
        super().__init__(name, allowed)
        self.name = name
        self.allowed = allowed

    def __str__(self) -> str:
        return f"strategy {self.name!r} is not the name of a strategy. Use one of: {self.allowed}"


def load_strategy(name: str, params: Mapping[str, Any]) -> Strategy:
    """Create a strategy from its name and its parameters.

    Args:
        name: A name of `SHIPPED`, the name of a plug-in, or an import path `package.module:Class`, looked for in the
            current folder too, and imported anew where its file or a module of the user that it imports has changed.
        params: The strategy's fields; those left out keep their defaults.

    Raises:
        ValueError: There is no such strategy, or the name is not that of a strategy.
        pydantic.ValidationError: A parameter is unknown or out of bounds (also a ValueError).
        StrategyFault: Its code raised, or its indicators are invalid.
    """
    return made(strategy_class(name), params)


def strategy_class(name: str) -> type[Strategy]:
    """Return the strategy class named `name`.

    Raises:
        ValueError: There is no such strategy, or the name is not that of a strategy.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    if name in names(STRATEGIES):
        return _checked(name, _of_plugin(name))
    if ":" not in name:
        raise UnknownStrategy(name, _allowed())
    return _checked(name, _imported(name))


def code_of(strategies: Iterable[str]) -> str:
    """Return a digest of the user's code behind strategies, as this process imported it last.

    Args:
        strategies: Their names, as `strategy_class` takes them.

    Returns:
        Empty where none of them is the user's own.
    """
    digests = [source_digest(name.partition(":")[0]) for name in strategies if ":" in name]
    return "-".join(filter(None, digests))


def _checked(name: str, found: object) -> type[Strategy]:
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise _unusable(name, f"is {found!r}, not a subclass of trading.strategies.Strategy")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise _unusable(name, f"does not define: {', '.join(missing)}")
    return found


def _of_plugin(name: str) -> object:
    try:
        found: object = load(STRATEGIES, name)
    except PluginError as error:
        raise _unusable(name, f"cannot be used: {error}") from error
    return found


def _imported(name: str) -> object:
    module_name, _, class_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = import_own(module_name)
    except (Exception, SystemExit) as error:  # the user's code may raise any error
        if not is_its_own(error):
            raise
        raise _unimportable(name, here, error) from error
    if not hasattr(module, class_name):
        raise _unusable(name, f"does not exist: {module.__file__} has no {class_name!r}")
    return getattr(module, class_name)


def _unimportable(name: str, here: str, error: BaseException) -> ValueError:
    """Return the error of a file that is missing, or that raises."""
    lines = own_lines(error)
    if not lines:
        return _unusable(name, f"cannot be imported from {here} or the Python path: {error}")
    return ValueError(f"strategy {name!r} cannot be imported: {'; '.join([describe(error), *lines])}")


def _unusable(name: str, fault: str) -> ValueError:
    return ValueError(f"strategy {name!r} {fault}. Use one of: {_allowed()}")


def _allowed() -> str:
    return f"{', '.join([*SHIPPED, *names(STRATEGIES)])}; or the path of your own class, 'package.module:Class'"
