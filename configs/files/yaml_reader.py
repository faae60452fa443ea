"""Read a YAML file strictly: duplicate keys are errors, and only text that looks like a number is a number."""

import re
from pathlib import Path
from typing import Any

import yaml

from configs.errors import ConfigError, dotted
from configs.files.yaml_bounds import MOST_BYTES, check_bounds

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where PyYAML was built with it
_REPLACED_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}


class _Loader(_Base):  # type: ignore[misc]  # the base is one of two classes
    """YAML 1.2 scalars: `1e-4` is a number, `18:00` is not, and a date stays text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the name and form that PyYAML looks for
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED_TAGS]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Reject duplicate keys, before merge keys are resolved."""
        _reject_duplicates(node)
        super().flatten_mapping(node)


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9_]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """Quote only text that the loader above would not read as text."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _reject_duplicates(node: yaml.MappingNode) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key '{key.value}' is given twice, first in line {seen[key.value]}", key.start_mark
            )
        seen[key.value] = line


def parse_scalar(text: str) -> Any:
    """Parse the value of an environment variable as YAML.

    Raises:
        ValueError: It is not valid YAML.
    """
    try:
        check_bounds(text, shown_as="the value")
        return yaml.load(text, _Loader)  # a SafeLoader
    except ConfigError as error:
        raise ValueError(f"a YAML value within its bounds; {error}") from None
    except (yaml.YAMLError, ValueError):  # ValueError: a number of thousands of digits
        raise ValueError("not a YAML value") from None


def dump_yaml(content: Any) -> str:
    """Format a value as YAML in block style, with keys in their order."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def read_yaml(path: Path, *, shown_as: str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: It is missing, unreadable, invalid YAML, has a duplicate key, or is not a mapping; names the line.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([_missing(path)]) from None
    except OSError as error:
        raise ConfigError([f"{shown_as}: cannot be read ({error.strerror}): {path}"]) from None
    return parse_yaml(text, shown_as=shown_as)


def parse_yaml(text: str | bytes, *, shown_as: str) -> dict[str, Any]:
    """Return the mapping in a YAML text.

    Raises:
        ConfigError: It is invalid YAML, has a duplicate key, or is not a mapping; names the line.
    """
    try:
        check_bounds(text, shown_as=shown_as)
        content = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        update = error.problem_mark or error.context_mark
        line = f", line {update.line + 1}" if update else ""
        raise ConfigError([f"{shown_as}{line}: {error.problem or error.context}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{shown_as}: {' '.join(str(error).split())}"]) from None
    except ConfigError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError([f"{shown_as}: {error}"]) from None
    if not isinstance(content, dict):
        raise ConfigError([f"{shown_as}: {dotted(())}: found {type(content).__name__}; allowed: keys with values"])
    return content


def _missing(path: Path) -> str:
    return (
        f"{path.name}: not found in {path.parent}. Start in the project's folder, "
        "or set TRADING__CONFIG_DIR to the folder that contains services.yaml and symbols.yaml"
    )
