"""Environment variables that override a value of the YAML files: `TRADING__SYMBOLS__XAUUSD__RISK__UNITS=2`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from configs.errors import dotted, unknown_key
from configs.files.json_schema import SERVICES, SYMBOLS, is_open, known_keys, place_of, schema_of
from configs.files.yaml_reader import parse_scalar
from configs.settings import PREFIX

Contents = dict[str, dict[str, Any]]
"""Content of each file, by its name."""

Origins = dict[tuple[str, ...], str]
"""Environment variable of an overridden value, by key path."""

_FILE_OF = {"services": SERVICES, "orchestrator": SERVICES, "account": SYMBOLS, "symbols": SYMBOLS}


def apply_overrides(contents: Contents, environ: Mapping[str, str]) -> tuple[Origins, list[str]]:
    """Put the values of the environment into `contents`; empty values are ignored.

    Returns:
        The origin of each overridden value, and a line for each unusable name or value.
    """
    origins: Origins = {}
    faults: list[str] = []
    for name in sorted(environ):
        parts = name.upper().removeprefix(PREFIX).split("__")
        file = _FILE_OF.get(parts[0].lower()) if name.upper().startswith(PREFIX) else None
        if file not in contents or not environ[name].strip():
            continue
        try:
            path = _find(contents[file], file, parts)
            _put(contents[file], path, environ[name])
            origins[path] = name
        except ValueError as fault:
            faults.append(f"{name}: {fault}")
    return origins, faults


def _find(content: dict[str, Any], file: str, parts: Sequence[str]) -> tuple[str, ...]:
    """Return the key path that the parts of a variable's name refer to."""
    schema = schema_of(file)
    path: tuple[str, ...] = ()
    node: Any = content
    for part in parts:
        if not isinstance(node, Mapping | None):
            raise ValueError(f"{dotted(path)} holds a value, so nothing in it can be named {_written(path, part)}")
        keys = [str(key) for key in dict.fromkeys([*(node or ()), *known_keys(schema, path, content)])]
        matches = [key for key in keys if _plain(key) == _plain(part)]
        if not matches and is_open(schema, path, content):
            matches = [part.lower()]
        if len(matches) > 1:
            raise ValueError(f"{dotted([*path, _written(path, part)])} could be any of {', '.join(matches)}")
        if not matches:
            unknown = (*path, _written(path, part))
            raise ValueError(unknown_key(unknown, keys, elsewhere=place_of(schema, unknown, content)))
        path = (*path, matches[0])
        node = (node or {}).get(matches[0])
    return path


def _put(content: dict[str, Any], path: Sequence[str], text: str) -> None:
    value = parse_scalar(text)
    for key in path[:-1]:
        content[key] = content.get(key) or {}
        content = content[key]
    content[path[-1]] = value


def _written(path: tuple[str, ...], part: str) -> str:
    """Return a part of a variable's name as the file spells it: keys in lower case, a symbol as given."""
    return part if path == ("symbols",) else part.lower()


def _plain(key: str) -> str:
    """Return a key as an environment variable can spell it: `BTC-USD` is `btc_usd`."""
    return re.sub(r"[^0-9a-z]", "_", key.lower())
