"""Fixtures of the services' tests."""

import pytest

from tests.fakes import Databases


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Ledger and paper books of a module's tests; each desk empties them."""
    return Databases(tmp_path_factory.mktemp("desk"))
