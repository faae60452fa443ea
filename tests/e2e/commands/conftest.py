"""A failed assertion of a command of the README shows its values, as in a test module."""

import pytest

pytest.register_assert_rewrite("tests.e2e.commands.readme_commands")
