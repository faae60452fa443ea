"""The JSON schema: complete, and true of the shipped files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from configs.files.json_schema import FILES, json_schema, schema_at, schema_of
from configs.files.yaml_reader import read_yaml

SHIPPED = Path(__file__).parents[4] / "configs"


def shipped(name: str) -> dict[str, Any]:
    return read_yaml(SHIPPED / name, shown_as=name)


def undescribed(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, member in node.get("properties", {}).items():
            if not member.get("description"):
                yield f"{path}.{key}"
        for key, child in node.items():
            yield from undescribed(child, f"{path}.{key}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from undescribed(child, f"{path}.{number}")


@pytest.mark.parametrize("name", FILES)
def test_schema_of_each_file_describes_every_property(name: str) -> None:
    assert list(undescribed(json_schema()[name], name)) == []


@pytest.mark.parametrize("name", FILES)
def test_schema_of_each_file_agrees_with_the_shipped_one(name: str) -> None:
    schema = json_schema()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(shipped(name), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("symbols.XAUUSD.source.kind", "oracle"),
        ("symbols.XAUUSD.source.speed", "fast"),
        ("symbols.XAUUSD.timefram", "1m"),
        ("symbols.XAUUSD.risk.units", "many"),
        ("symbols.BAD NAME", {}),
        ("account.starting_balance", "much"),
    ],
)
def test_schema_of_the_symbols_rejects_what_the_models_refuse(path: str, value: object) -> None:
    content = shipped("symbols.yaml")
    *parents, last = path.split(".")
    node = content
    for key in parents:
        node = node[key]
    node[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json_schema()["symbols.yaml"], jsonschema.Draft202012Validator)


def test_schema_at_a_union_follows_the_kind_that_the_file_names() -> None:
    for kind, member in (("file", "path"), ("simulated", "seed")):
        content = {"symbols": {"X": {"source": {"kind": kind}}}}
        assert member in schema_at(schema_of("symbols.yaml"), ("symbols", "X", "source"), content)["properties"]


def test_schema_at_an_unknown_path_is_empty() -> None:
    assert schema_at(schema_of("services.yaml"), ("services", "nothing", "such"), {}) == {}
