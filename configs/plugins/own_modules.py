"""Import the user's modules, anew where a file of them has changed since: `restart` then runs the edited code."""

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from trading.strategies.errors import is_users_module
from trading.strategies.own_source import keep_source, kept_source

Modules = Mapping[str, ModuleType]

_imported: dict[str, Modules] = {}
"""The user's modules behind each module that was imported here, itself included, as they were at that time."""


def import_own(name: str) -> ModuleType:
    """Return a module of the user, imported anew with all of the user's modules that it imports if any has changed.

    Modules of the standard library, of installed packages and of this project stay as they are. Objects of the former
    modules keep working: services that were built of them run the former code until they are rebuilt.
    """
    known = _imported.get(name) or _tree(name)
    if _is_outdated(known):
        _forget(known)
    loaded = set(sys.modules)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except BaseException:
        _forget({one: sys.modules[one] for one in set(sys.modules) - loaded if is_users_module(sys.modules[one])})
        raise
    _imported[name] = _tree(name)
    return module


def source_digest(name: str) -> str:
    """Return a digest of the user's code behind an imported module; empty if it has none."""
    modules = _imported.get(name, {})
    if not modules:
        return ""
    text = "\0".join(f"{one}\0{kept_source(module) or ''}" for one, module in sorted(modules.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tree(name: str) -> dict[str, ModuleType]:
    """Return the user's modules behind a module that is imported, with their sources recorded."""
    found: dict[str, ModuleType] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        module = sys.modules.get(one)
        if one in found or module is None or not is_users_module(module):
            continue
        found[one] = module
        source = kept_source(module)
        if source is None:
            source = _text(module) or ""
            keep_source(module, source)
        waiting += _imports(module, source)
    return found


def _is_outdated(modules: Modules) -> bool:
    """Return whether a file has changed, or another strategy has imported a module anew."""
    return any(
        sys.modules.get(name) is not module or _text(module) != kept_source(module) for name, module in modules.items()
    )


def _forget(modules: Modules) -> None:
    for name, module in modules.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
        _imported.pop(name, None)
        cached = getattr(module, "__cached__", None)
        if cached:
            with contextlib.suppress(OSError):  # Python compares whole seconds: an edit within one would not be seen
                Path(cached).unlink(missing_ok=True)


def _text(module: ModuleType) -> str | None:
    """Return the content of a module's file now; None if it cannot be read."""
    try:
        with tokenize.open(str(module.__file__)) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def _imports(module: ModuleType, source: str) -> Iterator[str]:
    """Yield the names of the modules that a module may import, with their packages."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in _with_packages(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(module: ModuleType, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
