"""Names and import paths of an earlier version: each works for one more release, with a DeprecationWarning."""

import importlib
import operator
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_NONE: Mapping[str, str] = MappingProxyType({})


def moved(old: str, new: str | Mapping[str, str], *, renamed: Mapping[str, str] = _NONE) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that finds names that have moved.

    Args:
        old: `__name__` of the calling module.
        new: The module that now holds the names, or a mapping from each name to its module.
        renamed: Present name (dotted for a method of a class) by former name; if `new` equals `old`, only these
            names are found.
    """

    def find(name: str) -> Any:
        home = new if isinstance(new, str) else new.get(name, "")
        present = renamed.get(name, name)
        is_known = bool(home) and (home != old or name in renamed) and not name.startswith("__")
        if not is_known or not hasattr(importlib.import_module(home), present.partition(".")[0]):
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name)
        found = operator.attrgetter(present)(importlib.import_module(home))
        message = f"{old}.{name} is now {home}.{present}. The former name works for one more release."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return found

    return find
