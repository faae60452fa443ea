"""Edit `symbols.yaml` in place: only the affected lines change; comments and layout stay."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    FoldedScalarString,
    LiteralScalarString,
    PlainScalarString,
)

from configs.errors import ConfigError, dotted
from configs.files.yaml_reader import parse_scalar, parse_yaml
from trading.errors import Rejected

_STEP = 2
_ENDLESS = 1_000_000
_BY_HAND = "edit the file by hand"


class SymbolsEditor:
    """The text of a valid `symbols.yaml`; each edit returns a new text.

    Each new text is read back by the strict reader: an edit that would change any other value is rejected.

    Raises:
        ValueError: ruamel.yaml cannot read the text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.splitlines(keepends=True)
        self._document: CommentedMap = _loaded(text)

    def with_symbol(self, name: str, block: str) -> str:
        """Return the text with one more symbol after the existing ones.

        Args:
            block: YAML of the symbol's configuration, not indented.

        Raises:
            ValueError: The symbols are in flow style, or the text must be edited by hand.
        """
        symbols, entries = self._symbols()
        key, last = list(entries.items())[-1]
        first_column = _first_column(symbols[key])
        step = _STEP if first_column is None else first_column - last.column
        lines = ["", f"{' ' * last.column}{_written(name)}:", *_indented(block, last.column + step)]
        after = self._spliced(last.end, last.end, lines)
        return self._checked(after, lambda content: content.update({name: parse_scalar(block)}))

    def without(self, name: str) -> str:
        """Return the text without a symbol and without the comment directly above it.

        Raises:
            ValueError: The symbols are in flow style, or the text must be edited by hand.
        """
        _, entries = self._symbols()
        first, end, column = entries[name]
        if name == next(iter(entries)):  # a comment above the first symbol may refer to all of them
            while end < len(self._lines) and self._is_blank(end):
                end += 1
            return self._checked(self._spliced(first, end, []), lambda content: content.pop(name))
        while self._comment_column(first - 1) == column:
            first -= 1
        while self._is_blank(first - 1):
            first -= 1
        return self._checked(self._spliced(first, end, []), lambda content: content.pop(name))

    def with_value(self, name: str, path: Sequence[str], value: str) -> str:
        """Return the text with one value of a symbol replaced or added.

        Args:
            path: Keys below the symbol's name.
            value: YAML on one line.

        Raises:
            ValueError: `value` is not YAML on one line, a part of the path is an alias or not a mapping, or the text
                must be edited by hand.
        """
        written, keys = _one_line(value), ["symbols", name, *path]
        after = self._with_value(keys, written)
        return self._checked(after, lambda content: _put(content, keys[1:], parse_scalar(written)))

    def _with_value(self, keys: Sequence[str], written: str) -> str:
        node, limit, entry, start = self._document, len(self._lines), _Entry(0, 0, 0), 0
        for depth, key in enumerate(keys):
            if not isinstance(node, CommentedMap):
                raise ValueError(f"{dotted(keys[1:depth])} is no mapping, so nothing in it can be named {key}")
            if key not in node:
                if _is_flow(node):
                    break
                return self._added(node, limit, keys[depth:], written)
            if node.lc.value(key) < node.lc.key(key):
                raise ValueError(f"{dotted(keys[1:])} is defined elsewhere (*alias): {_BY_HAND}")
            if not _is_flow(node):
                entry, start = self._entries(node, limit)[key], depth
                limit = entry.end
            node = node[key]
        return self._rewritten(entry, keys[start:], written)

    def _symbols(self) -> tuple[CommentedMap, "dict[str, _Entry]"]:
        symbols = self._document["symbols"]
        if not isinstance(symbols, CommentedMap) or _is_flow(symbols):
            raise ValueError(f"the symbols are not written one below the other: {_BY_HAND}")
        limit = self._entries(self._document, len(self._lines))["symbols"].end
        return symbols, self._entries(symbols, limit)

    def _entries(self, mapping: CommentedMap, limit: int) -> "dict[str, _Entry]":
        """Return the lines of each entry of a mapping in block style that ends before line `limit`."""
        places = {key: mapping.lc.key(key) for key in mapping}
        ends = [*(line for line, _ in places.values()), limit][1:]
        return {
            key: _Entry(line, self._end(end, column), column)
            for (key, (line, column)), end in zip(places.items(), ends, strict=True)
        }

    def _end(self, end: int, column: int) -> int:
        """Return the line after an entry; comments not indented deeper than its key belong to the next entry."""
        while self._is_blank(end - 1) or 0 <= self._comment_column(end - 1) <= column:
            end -= 1
        return end

    def _added(self, mapping: CommentedMap, limit: int, keys: Sequence[str], written: str) -> str:
        last = list(self._entries(mapping, limit).values())[-1]
        lines = [f"{' ' * (last.column + _STEP * depth)}{_written(key)}:" for depth, key in enumerate(keys)]
        lines[-1] += f" {written}"
        return self._spliced(last.end, last.end, lines)

    def _rewritten(self, entry: "_Entry", keys: Sequence[str], written: str) -> str:
        """Rewrite one entry of a block mapping with ruamel.yaml, with the value below `keys` replaced."""
        first, end, column = entry
        parsed = self._parsed(entry)
        if not _is_block(parsed[keys[0]]):
            end = self._end(end, column=_ENDLESS)  # comments below a value on one line are not part of it
            if any("#" in line for line in self._lines[first : end - 1]):
                raise ValueError(f"{keys[0]} has comments inside its brackets or text: {_BY_HAND}")
            parsed = self._parsed(_Entry(first, end, column))
        new = _loaded(written)
        _put(parsed, [_quoted(key) for key in keys], PlainScalarString(new) if type(new) is str else new)
        stream = StringIO()
        _yaml().dump(parsed, stream)
        return self._spliced(first, end, _indented(stream.getvalue(), column))

    def _parsed(self, entry: "_Entry") -> Any:
        lines = [line.rstrip("\r\n") for line in self._lines[entry.first : entry.end]]
        dedented = [line[min(entry.column, len(line) - len(line.lstrip(" "))) :] for line in lines]
        return _loaded("\n".join(dedented), lines_before=entry.first)

    def _is_blank(self, line: int) -> bool:
        return not self._lines[line].strip()

    def _comment_column(self, line: int) -> int:
        """Return the column of a comment on a line without other content, otherwise -1."""
        text = self._lines[line]
        return text.index("#") if text.lstrip().startswith("#") else -1

    def _spliced(self, first: int, end: int, lines: Sequence[str]) -> str:
        before, after = "".join(self._lines[:first]), "".join(self._lines[end:])
        if before and not before.endswith("\n"):
            before += self._newline
        new = "".join(line + self._newline for line in lines)
        is_last_replaced = first < end == len(self._lines)
        if lines and is_last_replaced and not self.text.endswith("\n"):
            new = new.removesuffix(self._newline)
        return before + new + after

    def _checked(self, after: str, change: Callable[[dict[str, Any]], object]) -> str:
        is_ended = after.endswith("\n") and not self.text.endswith("\n")  # block text on the last line ends with it
        expected = parse_yaml(self.text + self._newline * is_ended, shown_as="before")
        change(expected["symbols"])
        expected["symbols"] = expected["symbols"] or None
        try:
            found = parse_yaml(after, shown_as="after")
        except ConfigError:
            found = {}
        if repr(found) != repr(expected):  # distinguishes 1 from 1.0 and True, and treats NaN as equal to NaN
            raise ValueError(f"the edit would also change other values (an anchor, or an unusual layout): {_BY_HAND}")
        return after


class _Entry(NamedTuple):
    """Lines from `first` up to, not including, `end` of a key in a block mapping, and the column of the key."""

    first: int
    end: int
    column: int


class _PlainText(VersionedResolver):
    """Keep each plain scalar as text: the strict reader decides its meaning, not ruamel.yaml."""

    @property
    def versioned_resolver(self) -> Any:
        """Return no rule."""
        return {}


def replace_file(path: Path, *, before: str, after: str) -> Path:
    """Replace a file with content `before` by `after` atomically; a copy of the old content stays beside it.

    Returns:
        The path of the copy.

    Raises:
        Rejected: The file was changed in the meantime.
        OSError: It cannot be written.
    """
    target = path.resolve()
    if target.read_bytes() != before.encode():
        raise Rejected("file_changed", f"{path} was changed by somebody else meanwhile: look at it, and ask again")
    kept = target.with_name(f"{target.name}.bak")
    shutil.copy2(target, kept)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after.encode())
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return kept


def _yaml() -> YAML:
    reader = YAML(typ="rt")
    reader.Resolver = _PlainText
    reader.preserve_quotes = True
    reader.width = _ENDLESS
    return reader


def _loaded(text: str, *, lines_before: int = 0) -> Any:
    try:
        return _yaml().load(text)
    except MarkedYAMLError as error:
        line = f"line {lines_before + error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error.context}: {_BY_HAND}") from None
    except YAMLError as error:
        raise ValueError(f"{' '.join(str(error).split())}: {_BY_HAND}") from None


def _is_block(value: Any) -> bool:
    """Return whether a value takes whole lines below its key."""
    if isinstance(value, str):
        return isinstance(value, FoldedScalarString | LiteralScalarString)
    return not _is_flow(value)


def _is_flow(value: CommentedMap | CommentedSeq) -> bool:
    return bool(value.fa.flow_style()) or not value


def _first_column(value: Any) -> int | None:
    """Return the column of the keys of a mapping in block style."""
    if not isinstance(value, CommentedMap) or _is_flow(value):
        return None
    return int(value.lc.key(next(iter(value)))[1])


def _put(mapping: Any, keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        mapping = mapping.setdefault(key, {})
    mapping[keys[-1]] = value


def _indented(block: str, column: int) -> list[str]:
    return [f"{' ' * column}{line}" if line.strip() else "" for line in block.rstrip().splitlines()]


def _written(key: str) -> str:
    """Return a key as YAML text that the strict reader reads as that key."""
    return key if parse_scalar(key) == key else json.dumps(key)


def _quoted(key: str) -> str:
    """Return a key that ruamel.yaml writes as text that the strict reader reads as that key."""
    return key if parse_scalar(key) == key else DoubleQuotedScalarString(key)


def _one_line(value: str) -> str:
    try:
        is_same = "\n" not in value and parse_scalar(f"{{x: {value}}}") == {"x": parse_scalar(value)}
    except ValueError:
        is_same = False
    if not value.strip() or not is_same:
        raise ValueError(f"{value!r} is no YAML value on one line; put text with special characters in quotes")
    return value.strip()
