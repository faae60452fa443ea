"""A seeded sample of the kill matrix on PostgreSQL."""

from pathlib import Path

import pytest

from tests.chaos.sample import assert_sample_is_clean

pytestmark = pytest.mark.timeout(400)


def test_sample_of_kills_on_postgresql_leaves_the_books_of_the_undisturbed_run(tmp_path: Path) -> None:
    assert_sample_is_clean("postgresql", tmp_path)
