"""Edit `symbols.yaml` in place: only the affected lines change; comments and layout stay."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import PlainScalarString

from configs.errors import ConfigError, dotted
from configs.files.round_trip import (
    BY_HAND,
    ENDLESS,
    dump,
    is_block,
    is_flow,
    key_column,
    key_text,
    load,
    one_line,
    put,
    quoted,
)
from configs.files.yaml_reader import parse_scalar, parse_yaml

_STEP = 2


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
        self._document: CommentedMap = load(text)

    def with_symbol(self, name: str, block: str) -> str:
        """Return the text with one more symbol after the existing ones.

        Args:
            block: YAML of the symbol's configuration, not indented.

        Raises:
            ValueError: The symbols are in flow style, or the text must be edited by hand.
        """
        symbols, entries = self._symbols()
        key, last = list(entries.items())[-1]
        first_column = key_column(symbols[key])
        step = _STEP if first_column is None else first_column - last.column
        lines = ["", f"{' ' * last.column}{key_text(name)}:", *_indented(block, last.column + step)]
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
        written, keys = one_line(value), ["symbols", name, *path]
        after = self._with_value(keys, written)
        return self._checked(after, lambda content: put(content, keys[1:], parse_scalar(written)))

    def _with_value(self, keys: Sequence[str], written: str) -> str:
        node, limit, entry, start = self._document, len(self._lines), _Entry(0, 0, 0), 0
        for depth, key in enumerate(keys):
            if not isinstance(node, CommentedMap):
                raise ValueError(f"{dotted(keys[1:depth])} is no mapping, so nothing in it can be named {key}")
            if key not in node:
                if is_flow(node):
                    break
                return self._added(node, limit, keys[depth:], written)
            if node.lc.value(key) < node.lc.key(key):
                raise ValueError(f"{dotted(keys[1:])} is defined elsewhere (*alias): {BY_HAND}")
            if not is_flow(node):
                entry, start = self._entries(node, limit)[key], depth
                limit = entry.end
            node = node[key]
        return self._rewritten(entry, keys[start:], written)

    def _symbols(self) -> tuple[CommentedMap, "dict[str, _Entry]"]:
        symbols = self._document["symbols"]
        if not isinstance(symbols, CommentedMap) or is_flow(symbols):
            raise ValueError(f"the symbols are not written one below the other: {BY_HAND}")
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
        lines = [f"{' ' * (last.column + _STEP * depth)}{key_text(key)}:" for depth, key in enumerate(keys)]
        lines[-1] += f" {written}"
        return self._spliced(last.end, last.end, lines)

    def _rewritten(self, entry: "_Entry", keys: Sequence[str], written: str) -> str:
        """Rewrite one entry of a block mapping with ruamel.yaml, with the value below `keys` replaced."""
        first, end, column = entry
        parsed = self._parsed(entry)
        if not is_block(parsed[keys[0]]):
            end = self._end(end, column=ENDLESS)  # comments below a value on one line are not part of it
            if any("#" in line for line in self._lines[first : end - 1]):
                raise ValueError(f"{keys[0]} has comments inside its brackets or text: {BY_HAND}")
            parsed = self._parsed(_Entry(first, end, column))
        new = load(written)
        put(parsed, [quoted(key) for key in keys], PlainScalarString(new) if type(new) is str else new)
        return self._spliced(first, end, _indented(dump(parsed), column))

    def _parsed(self, entry: "_Entry") -> Any:
        lines = [line.rstrip("\r\n") for line in self._lines[entry.first : entry.end]]
        dedented = [line[min(entry.column, len(line) - len(line.lstrip(" "))) :] for line in lines]
        return load("\n".join(dedented), lines_before=entry.first)

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
            raise ValueError(f"the edit would also change other values (an anchor, or an unusual layout): {BY_HAND}")
        return after


class _Entry(NamedTuple):
    """Lines from `first` up to, not including, `end` of a key in a block mapping, and the column of the key."""

    first: int
    end: int
    column: int


def _indented(block: str, column: int) -> list[str]:
    return [f"{' ' * column}{line}" if line.strip() else "" for line in block.rstrip().splitlines()]
