"""Bounds of a YAML text, checked on its events before anything is built: aliases can make a short text endless."""

from typing import Any

import yaml
from msgspec import Struct

from configs.errors import ConfigError

MOST_BYTES = 1_000_000
MOST_NODES = 100_000
"""Values in a text, those that aliases repeat included."""
MOST_LEVELS = 50

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Open(Struct):
    """A list or mapping that has begun: its anchor, and the number of its values so far."""

    anchor: str | None
    nodes: int = 1


def check_bounds(text: str | bytes, *, shown_as: str) -> None:
    """Check the size, the depth and the number of values of a YAML text.

    Raises:
        ConfigError: One of them is above its limit, or a value contains itself; states found and allowed.
        yaml.YAMLError: The text is invalid YAML.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError([f"{shown_as}: found {len(text):,} bytes; allowed: at most {MOST_BYTES:,}"])
    opened = [_Open(None, 0)]
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_Parser):
        where = f"{shown_as}, line {event.start_mark.line + 1}" if event.start_mark else shown_as
        nodes = _nodes(event, opened, sizes, where)
        opened[-1].nodes += nodes
        if opened[-1].nodes > MOST_NODES:
            raise ConfigError([f"{where}: found more than {MOST_NODES:,} values, aliases included; allowed: fewer"])
        if len(opened) > MOST_LEVELS:
            raise ConfigError([f"{where}: found more than {MOST_LEVELS} levels of nesting; allowed: fewer"])


def _nodes(event: yaml.Event, opened: list[_Open], sizes: dict[str, int], where: str) -> int:
    """Follow one event, and return the number of values that it completes."""
    if isinstance(event, yaml.CollectionStartEvent):
        opened.append(_Open(event.anchor))
        return 0
    if isinstance(event, yaml.CollectionEndEvent):
        ended = opened.pop()
        if ended.anchor is not None:
            sizes[ended.anchor] = ended.nodes
        return ended.nodes
    if isinstance(event, yaml.AliasEvent):
        if any(one.anchor == event.anchor for one in opened):
            raise ConfigError([f"{where}: the alias *{event.anchor} stands within its own value"])
        return sizes.get(event.anchor or "", 1)
    if isinstance(event, yaml.ScalarEvent):
        if event.anchor is not None:
            sizes[event.anchor] = 1
        return 1
    return 0
