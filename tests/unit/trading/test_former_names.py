import sys
from types import ModuleType

import pytest

from trading.former_names import former_names


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("made_for_a_test")
    made.__dict__.update(present=42, __getattr__=former_names("made_for_a_test", {"former": "present"}))
    monkeypatch.setitem(sys.modules, "made_for_a_test", made)
    return made


def test_former_name_is_found_with_a_warning_that_names_the_present_one(module: ModuleType) -> None:
    with pytest.warns(DeprecationWarning, match=r"made_for_a_test\.former is now made_for_a_test\.present"):
        assert module.former == 42


def test_name_that_was_never_there_is_an_attribute_error(module: ModuleType) -> None:
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = module.other
