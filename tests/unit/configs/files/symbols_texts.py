"""Texts of symbols.yaml for the tests of the editor."""

from typing import Any

from configs.files.yaml_reader import parse_yaml


def parsed(text: str) -> Any:
    return parse_yaml(text, shown_as="text")
