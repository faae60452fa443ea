"""Import paths that moved: each works for one release, with a DeprecationWarning."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def moved(old: str, new: str | Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that finds its names at their new place.

    Args:
        old: The module that moved, its `__name__`.
        new: The module that holds the names now; or, by name, the module of each.
    """

    def find(name: str) -> Any:
        home = None if name.startswith("__") else new if isinstance(new, str) else new.get(name)
        found = None if home is None else getattr(importlib.import_module(home), name, None)
        if found is None:
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name)
        message = f"{old}.{name} moved: import it from {home}. The old path works for one release more."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return found

    return find
