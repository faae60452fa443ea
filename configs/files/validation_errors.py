"""Convert pydantic's errors to lines with location, value found and values allowed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.errors import dotted, fault_line, unknown_key
from configs.files.env_overrides import Origins
from configs.files.json_schema import Schema, known_keys, place_of, schema_at

Path = tuple[str | int, ...]

_ALLOWED = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "at least {min_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "finite_number": "a finite number",
    "too_short": "at least {min_length} of them",
    "dict_type": "keys with values",
    "mapping_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dataclass_type": "keys with values",
    "timezone_aware": "an instant with its offset from UTC, such as 2025-01-06T00:00:00Z",
}
_ECHOES = {"default_factory_not_called"}
"""Consequences of another fault, which has a line of its own."""
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_MISSING = {"missing", "missing_argument", "union_tag_not_found"}
_NAME_RULE = "1 to 20 letters, digits, '.', '_' or '-', beginning with a letter or digit"


class Checked(Struct, frozen=True):
    """A validated file, or a part of it with its own schema.

    Attributes:
        schema: Create its JSON schema, which is only needed for a fault.
        where: Name of the file in messages.
        content: The validated content.
        origins: Environment variables of overridden values, which messages name instead of the file.
        at: Key path of the part in its file; empty for the whole file.
    """

    schema: Callable[[], Schema]
    where: str
    content: Any
    origins: Origins
    at: Path = ()

    def source(self, path: Path) -> str:
        """Return the origin of a value: an environment variable, or the file with the variables that change it."""
        full = tuple(map(str, self.at + path))
        around = [name for key, name in self.origins.items() if full[: len(key)] == key]
        inside = [name for key, name in self.origins.items() if key[: len(full)] == full]
        return around[0] if around else " with ".join([self.where, *inside])


def describe(error: ValidationError, checked: Checked) -> list[str]:
    """Return a line for each fault, in the order of the models."""
    allowed: dict[Path, list[str]] = {}
    lines: dict[Path, str] = {}
    for fault in error.errors(include_url=False):
        if fault["type"] in _ECHOES:
            continue
        path, found = _place(fault, checked.content)
        choices = allowed.setdefault(path, [])
        choices += [text for text in [_allowed(fault)] if text not in choices]
        lines[path] = _line(checked, fault["type"], path, found, " or ".join(choices))
    return list(lines.values())


def _line(checked: Checked, kind: str, path: Path, found: Any, allowed: str) -> str:
    where, full = checked.source(path), checked.at + path
    if kind in _UNKNOWN:
        schema, content = checked.schema(), checked.content
        elsewhere = place_of(schema, path, content)
        return f"{where}: {unknown_key(full, known_keys(schema, path[:-1], content), elsewhere=elsewhere)}"
    meaning = schema_at(checked.schema(), path, checked.content).get("description")
    if kind in _MISSING:
        return f"{where}: {dotted(full)}: missing; needed: {meaning or 'a value'}"
    if isinstance(found, Mapping) and kind == "value_error":
        return f"{where}: {dotted(full)}: {allowed}" if full else f"{where}: {allowed}"
    return fault_line(where, full, found, f"{allowed} ({meaning})" if meaning else allowed)


def _place(fault: ErrorDetails, content: Any) -> tuple[Path, Any]:
    """Return the key path of a fault, without pydantic's union members, and the value found."""
    path: Path = ()
    node = content
    context = fault.get("ctx") or {}
    location = (*fault["loc"], *context.get("at", ()))
    for number, part in enumerate(location):
        if part == "[key]":
            return path, path[-1]
        if _holds(node, part):
            node = node[part]
        elif not (isinstance(node, Mapping) and number == len(location) - 1) or _is_member(fault["type"], part, node):
            continue
        else:
            node = None
        path = (*path, part)
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return (*path, "kind"), node.get("kind")
    return path, context.get("found", node)


def _is_member(kind: str, part: str | int, node: Mapping[str, Any]) -> bool:
    """Return whether a part of a location is the union member that `kind` chose: then its whole value is at fault."""
    return kind not in _MISSING and part == node.get("kind")


def _holds(node: Any, part: str | int) -> bool:
    if isinstance(node, Mapping):
        return part in node
    return isinstance(node, Sequence) and not isinstance(node, str) and isinstance(part, int) and part < len(node)


def _allowed(fault: ErrorDetails) -> str:
    if fault["loc"][-1:] == ("[key]",) and fault["type"] == "string_pattern_mismatch":
        return _NAME_RULE
    context = fault.get("ctx") or {}
    if fault["type"] == "value_error":
        return str(context["error"])
    template = _ALLOWED.get(fault["type"])
    return template.format_map(context) if template else fault["msg"]
