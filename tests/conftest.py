"""Fixtures that any test may ask for."""

pytest_plugins = ("tests.fixtures.databases", "tests.fixtures.redis_server", "tests.fixtures.system")
