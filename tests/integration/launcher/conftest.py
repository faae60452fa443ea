"""A supervisor whose children end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launcher.supervised import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.supervisor.stop(is_forced=lambda: True)
