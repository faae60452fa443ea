"""The faults of a venue in `symbols.yaml`: off by default, checked key by key, and within reach of the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.fault_injection import Faults
from configs.loading import load_system
from configs.plugins.venues import PaperVenue

SHIPPED = Path(__file__).parents[3] / "configs"
KEY = "TRADING__SYMBOLS__XAUUSD__VENUE__FAULTS"


def loaded(**environ: str) -> Faults | None:
    venue = load_system(SHIPPED, environ).symbols["XAUUSD"].venue
    assert isinstance(venue, PaperVenue)
    return venue.faults


def faults_of(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(**environ)
    return str(caught.value)


def test_faults_as_shipped_are_left_out() -> None:
    assert loaded() is None


def test_faults_by_default_are_none_at_all() -> None:
    faults = Faults()
    assert [name for name in Faults.model_fields if name.endswith("_probability") and getattr(faults, name)] == []
    assert not faults.reusable_ids
    assert (faults.visibility_s, faults.clock_offset_ms, faults.most_in_a_row) == (0, 0, 2)


def test_faults_from_the_environment_one_by_one_or_at_once() -> None:
    expected = Faults(seed=7, late_fill_probability=0.25)

    assert loaded(**{f"{KEY}__SEED": "7", f"{KEY}__LATE_FILL_PROBABILITY": "0.25"}) == expected
    assert loaded(**{KEY: "{seed: 7, late_fill_probability: 0.25}"}) == expected


@pytest.mark.parametrize("value", ["1.01", "-0.1", ".nan", "often"])
@pytest.mark.parametrize("name", [name for name in Faults.model_fields if name.endswith("_probability")])
def test_faults_with_a_probability_that_is_none_say_so(name: str, value: str) -> None:
    message = faults_of(**{f"{KEY}__{name.upper()}": value})

    assert message.startswith(f"{KEY}__{name.upper()}: symbols.XAUUSD.venue.faults.{name}: found ")
    assert "probability, 0 to 1" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("most_in_a_row", "0"), ("most_in_a_row", "11"), ("visibility_s", "-1"), ("seed", "-1"), ("reusable_ids", "2")],
)
def test_faults_with_a_number_that_cannot_be_are_rejected(name: str, value: str) -> None:
    assert f"venue.faults.{name}: found {value}" in faults_of(**{f"{KEY}__{name.upper()}": value})


def test_faults_with_an_unknown_key_name_the_one_that_was_meant() -> None:
    assert "did you mean 'late_fill_probability'?" in faults_of(**{f"{KEY}__LATE_FILLS_PROBABILITY": "0.5"})


def test_faults_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Faults().seed = 3  # type: ignore[misc]
