"""JSON schema of the two files, for editors and for the allowed values in error messages."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from configs.services import ServicesFile
from configs.symbols import SymbolsFile

SERVICES, SYMBOLS = "services.yaml", "symbols.yaml"
Schema = dict[str, Any]
Path = tuple[str | int, ...]
_DEEPEST = 6
"""Levels of keys searched for a name."""
FILES: Mapping[str, type[ServicesFile] | type[SymbolsFile]] = {SERVICES: ServicesFile, SYMBOLS: SymbolsFile}


def json_schema() -> Schema:
    """Return the JSON schema (draft 2020-12) of each file, by the name of the file."""
    return {name: schema_of(name) for name in FILES}


@lru_cache
def schema_of(file: str) -> Schema:
    """Return the JSON schema of `services.yaml` or `symbols.yaml`; do not modify it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FILES[file].model_json_schema()}


def schema_at(root: Schema, path: Sequence[str | int], content: Any) -> Schema:
    """Return the part of a schema that applies to a key path, empty if the schema has no such key.

    Args:
        root: Schema of a whole file, or of the parameters of a strategy.
        path: Keys from its top.
        content: The given content: its `kind`, or `method`, selects among several forms of a part.
    """
    node = root
    for key in path:
        form = _form(root, node, content)
        node = form.get("items", {}) if isinstance(key, int) else form.get("properties", {}).get(key) or _any_key(form)
        content = _part(content, key)
    return {**_form(root, node, content), **({"description": node["description"]} if "description" in node else {})}


def known_keys(root: Schema, path: Sequence[str | int], content: Any) -> list[str]:
    """Return the keys that a schema defines under a path."""
    return list(schema_at(root, path, content).get("properties", {}))


def is_open(root: Schema, path: Sequence[str | int], content: Any) -> bool:
    """Return whether a path accepts any key, as in the parameters of a strategy."""
    return schema_at(root, path, content).get("additionalProperties") is True


def place_of(root: Schema, path: Sequence[str | int], content: Any) -> str:
    """Return the location where the last key of a path is known, if there is exactly one; otherwise an empty string.

    The key's own mapping is searched first, with locations relative to it; then each surrounding mapping, with
    locations from the top. Only the least deep matches count.
    """
    *around, key = path
    for depth in range(len(around), -1, -1):
        above = tuple(around[:depth])
        if found := _nearest(root, above, key, content):
            place = found[0][len(above) if depth == len(around) else 0 :]
            return ".".join(map(str, place)) if len(found) == 1 else ""
    return ""


def _nearest(root: Schema, above: Path, key: str | int, content: Any) -> list[Path]:
    """Return the least deep paths below `above` that end with a key."""
    level: list[Path] = [above]
    for _ in range(_DEEPEST):
        level = [(*path, name) for path in level for name in _keys_at(root, path, content)]
        if found := [path for path in level if path[-1] == key]:
            return found
    return []


def _keys_at(root: Schema, path: Path, content: Any) -> list[str]:
    """Return the keys under a path: those of the schema, and given ones where free keys are allowed."""
    form = schema_at(root, path, content)
    for part in path:
        content = _part(content, part)
    has_names_of_its_own = bool(form.get("patternProperties") or form.get("additionalProperties"))
    given = content if has_names_of_its_own and isinstance(content, Mapping) else ()
    return list(dict.fromkeys([*form.get("properties", {}), *given]))


def _form(root: Schema, node: Schema, content: Any) -> Schema:
    """Follow a reference, and select a form by its discriminator, otherwise the form with keys."""
    if "$ref" in node:
        return _form(root, root["$defs"][node["$ref"].rsplit("/", 1)[-1]], content)
    forms = node.get("oneOf") or node.get("anyOf")
    if not forms:
        return node
    discriminator = node.get("discriminator", {})
    kind = content.get(discriminator.get("propertyName", "kind")) if isinstance(content, Mapping) else None
    mapping = discriminator.get("mapping", {})
    if isinstance(kind, str) and kind in mapping:
        return _form(root, {"$ref": mapping[kind]}, content)
    if mapping:
        return node
    return next((form for form in (_form(root, form, content) for form in forms) if "properties" in form), node)


def _part(content: Any, key: str | int) -> Any:
    """Return the value under a key, or at an index of a list."""
    if isinstance(content, Mapping):
        return content.get(key)
    if isinstance(content, list) and isinstance(key, int):
        return content[key] if key < len(content) else None
    return None


def _any_key(form: Schema) -> Schema:
    patterns = form.get("patternProperties") or {"": form.get("additionalProperties")}
    found = next(iter(patterns.values()))
    return found if isinstance(found, dict) else {}
