"""Editing `symbols.yaml` as a person would: the lines that change, and no other one; comments and layout stay."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from configs.errors import dotted
from configs.yaml_file import parse_scalar
from trading.errors import Rejected

_STEP = 2
Entry = tuple[yaml.Node, yaml.Node]
"""Key and value of a mapping, each with its place in the text."""


class SymbolsText:
    """A valid `symbols.yaml`, as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.splitlines(keepends=True)
        if self._lines and not self._lines[-1].endswith("\n"):
            self._lines[-1] += self._newline
        self._symbols = _child(yaml.compose("".join(self._lines), yaml.SafeLoader), "symbols")

    def with_symbol(self, name: str, block: str) -> str:
        """Return the text with one more symbol at the end of the others.

        Args:
            block: YAML of what stands under its name, not indented.

        Raises:
            ValueError: The symbols are not written one below the other.
        """
        entries = self._entries()
        key, value = entries[-1]
        column = key.start_mark.column
        step = _first_column(value, column + _STEP) - column
        lines = ["", f"{' ' * column}{_written(name)}:", *_indented(block, column + step)]
        return self._spliced(self._end(entries[-1]), self._end(entries[-1]), lines)

    def without(self, name: str) -> str:
        """Return the text without a symbol, and without the comment right above it.

        Raises:
            ValueError: The symbols are not written one below the other.
        """
        entries = self._entries()
        at = [key.value for key, _ in entries].index(name)
        first, last = entries[at][0].start_mark.line, self._end(entries[at])
        while at and self._comment_column(first - 1) == entries[at][0].start_mark.column:
            first -= 1
        if at:
            while self._is_blank(first - 1):
                first -= 1
        else:
            while self._is_blank(last):
                last += 1
        return self._spliced(first, last, [])

    def with_value(self, name: str, path: Sequence[str], value: str) -> str:
        """Return the text with one value of a symbol changed, or put in where there was none.

        Args:
            path: Keys below the symbol's name.
            value: As it is written in YAML, on one line.

        Raises:
            ValueError: It is no YAML on one line, or the text must be edited by hand there.
        """
        written = _one_line(value)
        key, node = next(entry for entry in self._entries() if entry[0].value == name)
        for depth, part in enumerate(path):
            if not isinstance(node, yaml.MappingNode):
                raise ValueError(f"{dotted([name, *path[:depth]])} is no mapping, so nothing in it can be named {part}")
            found = next((entry for entry in node.value if entry[0].value == part), None)
            if found is None:
                return self._with_new(node, path[depth:], written)
            if not _is_inside(found, node):
                raise ValueError(f"{dotted([name, *path])} stands elsewhere (*alias): edit the file by hand")
            key, node = found
        return self._with_other(key, node, written)

    def _entries(self) -> list[Entry]:
        if not isinstance(self._symbols, yaml.MappingNode) or _is_flow(self._symbols) or not self._symbols.value:
            raise ValueError("the symbols are not written one below the other: edit the file by hand")
        entries: list[Entry] = self._symbols.value
        return entries

    def _with_other(self, key: yaml.Node, value: yaml.Node, written: str) -> str:
        text = "".join(self._lines)
        if _is_block(value):
            rest = "".join(self._lines[self._end((key, value)) :])
            return f"{text[: key.end_mark.index]}: {written}{self._newline}{rest}"
        start, end = value.start_mark.index, value.end_mark.index
        if start == end:  # nothing is written after the colon
            return f"{text[:start].rstrip()} {written}{text[start:]}"
        after = text[end:]
        gap = len(after) - len(after.lstrip(" "))
        if after[gap : gap + 1] == "#":
            after = " " * max(1, gap + (end - start) - len(written)) + after[gap:]
        return text[:start] + written + after

    def _with_new(self, node: yaml.MappingNode, path: Sequence[str], written: str) -> str:
        if node.flow_style:
            text = "".join(self._lines)
            end = node.end_mark.index - 1
            head = text[:end].rstrip()
            separator = "" if head.endswith(("{", ",")) else ", "
            nested = "".join(f"{_written(part)}: {{" for part in path[:-1]) + f"{_written(path[-1])}: {written}"
            return f"{head}{separator}{nested}{'}' * (len(path) - 1)}{text[end:]}"
        column = node.value[0][0].start_mark.column
        lines = [f"{' ' * (column + _STEP * depth)}{_written(part)}:" for depth, part in enumerate(path)]
        lines[-1] += f" {written}"
        after = _last_line(node.value[-1]) + 1
        return self._spliced(after, after, lines)

    def _end(self, entry: Entry) -> int:
        """Return the line after an entry, with the comments that stand below it and deeper than its key."""
        key, _ = entry
        end = _last_line(entry)
        while self._is_blank(end):  # a block scalar ends where the next key begins
            end -= 1
        end = line = end + 1
        while self._is_blank(line) or self._comment_column(line) > key.start_mark.column:
            line += 1
            if not self._is_blank(line - 1):
                end = line
        return end

    def _is_blank(self, line: int) -> bool:
        return 0 <= line < len(self._lines) and not self._lines[line].strip()

    def _comment_column(self, line: int) -> int:
        """Return where the comment of a line begins that has nothing else, -1 for any other line."""
        text = self._lines[line] if 0 <= line < len(self._lines) else ""
        return text.index("#") if text.lstrip().startswith("#") else -1

    def _spliced(self, first: int, last: int, lines: Sequence[str]) -> str:
        new = [line + self._newline for line in lines]
        return "".join([*self._lines[:first], *new, *self._lines[last:]])


def replace_file(path: Path, *, before: str, after: str) -> Path:
    """Put `after` in the place of a file that holds `before`, at once; what it held stays beside it.

    Returns:
        The file that holds what was there before.

    Raises:
        Rejected: Somebody else has changed the file meanwhile.
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


def _child(node: Any, key: str) -> yaml.Node:
    found: yaml.Node = next(value for name, value in node.value if name.value == key)
    return found


def _is_block(node: yaml.Node) -> bool:
    """Return whether a value takes whole lines: those below its key, to its end."""
    return node.style in ("|", ">") if isinstance(node, yaml.ScalarNode) else not _is_flow(node)


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _is_inside(entry: Entry, node: yaml.Node) -> bool:
    key, value = entry
    return bool(key.end_mark.index <= value.start_mark.index and value.end_mark.index <= node.end_mark.index)


def _last_line(entry: Entry) -> int:
    """Return the line on which an entry ends; that may be a blank one after a block scalar."""
    key, value = entry
    line: int = key.start_mark.line
    if value.start_mark.index < key.end_mark.index:  # an alias: the value stands elsewhere
        return line
    if not _is_block(value):
        return max(line, value.end_mark.line)
    if isinstance(value, yaml.CollectionNode) and value.value:
        last = value.value[-1]
        return _last_line(last if isinstance(value, yaml.MappingNode) else (last, last))
    return int(value.end_mark.line) - (value.end_mark.column == 0)


def _first_column(value: yaml.Node, otherwise: int) -> int:
    if isinstance(value, yaml.MappingNode) and not _is_flow(value) and value.value:
        return int(value.value[0][0].start_mark.column)
    return otherwise


def _indented(block: str, column: int) -> list[str]:
    return [f"{' ' * column}{line}" if line.strip() else "" for line in block.rstrip().splitlines()]


def _written(key: str) -> str:
    """Return a key as YAML has to have it, so that it stays the text that it is."""
    return key if parse_scalar(key) == key else json.dumps(key)


def _one_line(value: str) -> str:
    try:
        is_same = "\n" not in value and parse_scalar(f"{{x: {value}}}") == {"x": parse_scalar(value)}
    except ValueError:
        is_same = False
    if not value.strip() or not is_same:
        raise ValueError(f"{value!r} is no YAML value on one line; put text with special characters in quotes")
    return value.strip()
