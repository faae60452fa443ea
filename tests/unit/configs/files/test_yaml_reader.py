"""Strict reading of YAML: the type of each scalar, and the rejections."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.files.yaml_reader import parse_scalar, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("1e-4", 1e-4),
        ("100_000", 100_000),
        ("true", True),
        ("18:00", "18:00"),
        ("010", 10.0),
        ("2025-01-06T00:00:00Z", "2025-01-06T00:00:00Z"),
        ("[a, b]", ["a", "b"]),
        ("''", ""),
        ("~", None),
        ("plain", "plain"),
    ],
)
def test_scalar_as_text_means_what_a_reader_expects(text: str, value: object) -> None:
    assert parse_scalar(text) == value


def test_scalar_that_is_no_yaml_is_rejected() -> None:
    with pytest.raises(ValueError, match="not a YAML value"):
        parse_scalar("{")


def faults_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "symbols.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, shown_as="configs/symbols.yaml")
    return str(caught.value)


def test_yaml_with_a_key_given_twice_is_rejected_with_both_lines(tmp_path: Path) -> None:
    text = "account:\n  name: a\nsymbols:\n  XAUUSD: 1\n  BTCUSD: 2\n  XAUUSD: 3\n"
    assert faults_of(tmp_path, text) == "configs/symbols.yaml, line 6: key 'XAUUSD' is given twice, first in line 4"


def test_yaml_with_a_syntax_error_is_rejected_with_its_line(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "account:\n  name: [a\nb: c\n").startswith("configs/symbols.yaml, line 3: ")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "text\n"])
def test_yaml_without_a_mapping_is_rejected(tmp_path: Path, text: str) -> None:
    assert "allowed: keys with values" in faults_of(tmp_path, text)


def test_yaml_with_bytes_that_are_no_text_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "symbols.yaml"
    path.write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"^configs/symbols\.yaml") as caught:
        read_yaml(path, shown_as="configs/symbols.yaml")
    assert "\n" not in str(caught.value)


def test_yaml_that_is_not_there_reports_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TRADING__CONFIG_DIR") as caught:
        read_yaml(tmp_path / "services.yaml", shown_as="configs/services.yaml")
    assert str(tmp_path) in str(caught.value)


def test_yaml_with_a_shared_part_is_merged(tmp_path: Path) -> None:
    path = tmp_path / "symbols.yaml"
    path.write_text("a: &base {x: 1, y: 2}\nb:\n  <<: *base\n  y: 3\n", encoding="utf-8")
    assert read_yaml(path, shown_as="symbols.yaml")["b"] == {"x": 1, "y": 3}


def test_yaml_with_a_python_object_is_rejected(tmp_path: Path) -> None:
    assert "could not determine a constructor" in faults_of(tmp_path, "a: !!python/object/apply:os.getcwd []\n")
