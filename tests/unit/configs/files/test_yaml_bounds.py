"""YAML that would grow without end, or that is no data: one message, and at once."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.files.yaml_reader import parse_scalar, parse_yaml, read_yaml

LEVELS = "abcdefghijkl"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in itertools.pairwise(LEVELS)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{key}: &{key} {{p: *{before}, q: *{before}, r: *{before}, s: *{before}, t: *{before}}}\n"
    for before, key in itertools.pairwise(LEVELS)
)
HOSTILE = {
    "bomb": (BOMB, "line 6: found more than 100,000 values"),
    "mappings": (MERGES, "found more than 100,000 values"),
    "nesting": ("x: " + "[" * 200_000 + "]" * 200_000, "found more than 50 levels"),
    "open nesting": ("x: " + "{a: " * 5_000, "found more than 50 levels"),
    "own value": ("x: &x [*x]", "the alias *x stands within its own value"),
    "size": ("x: " + "y" * 1_000_001, "allowed: at most 1,000,000"),
    "many": ("x: [" + "1," * 200_000 + "]", "found more than 100,000 values"),
    "tag": ("x: !!python/object/apply:os.system [id]", "line 1: could not determine a constructor for the tag"),
    "digits": ("x: " + "9" * 5_000, "4300 digits"),
    "NUL": ("x: a\0b", "control characters are not allowed"),
}


def in_file(text: str, folder: Path) -> str:
    path = folder / "symbols.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, shown_as="symbols.yaml")
    return str(caught.value)


def in_text(text: str, _: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, shown_as="symbols.yaml")
    return str(caught.value)


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("read", [in_file, in_text])
def test_hostile_yaml_is_one_short_message_at_once(kind: str, read: Callable[[str, Path], str], tmp_path: Path) -> None:
    text, expected = HOSTILE[kind]
    began_s = time.process_time()

    message = read(text, tmp_path)

    assert time.process_time() - began_s < 2
    assert expected in message
    assert "symbols.yaml" in message
    assert len(message) < 300


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_value_of_a_variable_is_no_yaml_value(kind: str) -> None:
    with pytest.raises(ValueError, match="YAML value") as caught:
        parse_scalar(HOSTILE[kind][0])

    assert len(str(caught.value)) < 300


def test_endless_file_is_rejected_by_its_size() -> None:
    with pytest.raises(ConfigError, match="allowed: at most 1,000,000"):
        read_yaml(Path("/dev/zero"), shown_as="symbols.yaml")


def test_ordinary_anchors_and_merges_are_read() -> None:
    found = parse_yaml("base: &b {x: 1, y: [1, 2]}\nmore: {<<: *b, z: *b}\nb2: &c 3\nlast: *c\n", shown_as="f")

    assert found["more"] == {"x": 1, "y": [1, 2], "z": {"x": 1, "y": [1, 2]}}
    assert found["last"] == 3
