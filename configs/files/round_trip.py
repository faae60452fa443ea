"""Nodes and scalars of ruamel.yaml, read and written so that the strict reader reads the same values."""

import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, FoldedScalarString, LiteralScalarString

from configs.files.yaml_reader import parse_scalar

ENDLESS = 1_000_000
BY_HAND = "edit the file by hand"


class _PlainText(VersionedResolver):
    """Keep each plain scalar as text: the strict reader decides its meaning, not ruamel.yaml."""

    @property
    def versioned_resolver(self) -> Any:
        """Return no rule."""
        return {}


def _yaml() -> YAML:
    reader = YAML(typ="rt")
    reader.Resolver = _PlainText
    reader.preserve_quotes = True
    reader.width = ENDLESS
    return reader


def dump(document: Any) -> str:
    """Return a document as YAML text."""
    stream = StringIO()
    _yaml().dump(document, stream)
    return stream.getvalue()


def load(text: str, *, lines_before: int = 0) -> Any:
    """Read YAML with its layout.

    Raises:
        ValueError: ruamel.yaml cannot read it; the line counts `lines_before`.
    """
    try:
        return _yaml().load(text)
    except MarkedYAMLError as error:
        line = f"line {lines_before + error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error.context}: {BY_HAND}") from None
    except YAMLError as error:
        raise ValueError(f"{' '.join(str(error).split())}: {BY_HAND}") from None


def is_block(value: Any) -> bool:
    """Return whether a value takes whole lines below its key."""
    if isinstance(value, str):
        return isinstance(value, FoldedScalarString | LiteralScalarString)
    return not is_flow(value)


def is_flow(value: CommentedMap | CommentedSeq) -> bool:
    """Return whether a mapping or a list is written in brackets."""
    return bool(value.fa.flow_style()) or not value


def key_column(value: Any) -> int | None:
    """Return the column of the keys of a mapping in block style."""
    if not isinstance(value, CommentedMap) or is_flow(value):
        return None
    return int(value.lc.key(next(iter(value)))[1])


def put(mapping: Any, keys: Sequence[str], value: Any) -> None:
    """Set a value below keys; mappings that are missing are added."""
    for key in keys[:-1]:
        mapping = mapping.setdefault(key, {})
    mapping[keys[-1]] = value


def key_text(key: str) -> str:
    """Return a key as YAML text that the strict reader reads as that key."""
    return key if parse_scalar(key) == key else json.dumps(key)


def quoted(key: str) -> str:
    """Return a key that ruamel.yaml writes as text that the strict reader reads as that key."""
    return key if parse_scalar(key) == key else DoubleQuotedScalarString(key)


def one_line(value: str) -> str:
    """Return YAML on one line without surrounding spaces.

    Raises:
        ValueError: It is not YAML on one line.
    """
    try:
        is_same = "\n" not in value and parse_scalar(f"{{x: {value}}}") == {"x": parse_scalar(value)}
    except ValueError:
        is_same = False
    if not value.strip() or not is_same:
        raise ValueError(f"{value!r} is no YAML value on one line; put text with special characters in quotes")
    return value.strip()
