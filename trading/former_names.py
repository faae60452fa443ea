"""Former names of public functions and classes: they work for one release, with a warning."""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def former_names(module: str, now: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a `__getattr__` for a module that finds its former names, each with a `DeprecationWarning`.

    Args:
        module: Name of the module, `__name__`.
        now: Present name by former name.
    """

    def find(name: str) -> Any:
        if name not in now:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {module}.{now[name]}", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], now[name])

    return find
