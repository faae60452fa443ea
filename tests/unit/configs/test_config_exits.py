"""The key `exits` in symbols.yaml: the example of docs/reference/exits.md loads, and wrong values are told."""

import re
from pathlib import Path

import pytest

from adapters.wiring.pipeline_spec import exit_rules_of, strategies_of
from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.snapshot import deciding_digest
from trading.exits.exit_rules import BreakEven, ExitTerms, TrailingStop

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "exits.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[0]
SHIPPED = (ROOT / "configs" / "symbols.yaml").read_text(encoding="utf-8")


def loaded(exits: str) -> SystemConfig:
    """Load the shipped symbols with a block of keys at the first one."""
    block = "".join(f"    {line}\n" for line in exits.splitlines())
    text = SHIPPED.replace("    session:\n", f"{block}    session:\n", 1)
    return load_system(ROOT / "configs", {}, texts={"symbols.yaml": text})


def test_the_example_of_the_page_loads() -> None:
    assert loaded(EXAMPLE).symbols["XAUUSD"].exits == ExitTerms(
        trailing_stop=TrailingStop(distance_fraction=0.002, from_profit_fraction=0.003),
        break_even=BreakEven(from_profit=3.0, offset=0.6),
    )


def test_the_page_names_each_key_with_its_meaning() -> None:
    for one in (TrailingStop, BreakEven):
        assert [name for name in one.model_fields if f"`{name}`" not in PAGE] == []
        assert all(field.description for field in one.model_fields.values())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("trailing_stop:", "trailing:", r"symbols\.XAUUSD\.exits\.trailing: .*trailing_stop"),
        ("distance_fraction: 0.002", "distanse: 5", r"exits\.trailing_stop\.distanse: .*distance"),
        (
            "distance_fraction: 0.002",
            "distance: -5",
            r"exits\.trailing_stop\.distance: found -5.*above 0.*quote currency",
        ),
        ("distance_fraction: 0.002", "distance: 0", r"exits\.trailing_stop\.distance: found 0"),
        ("distance_fraction: 0.002", "distance: '5'", r"exits\.trailing_stop\.distance: found '5'"),
        ("distance_fraction: 0.002", "distance_fraction: 2", r"distance_fraction: found 2; allowed: below 1"),
        (
            "distance_fraction: 0.002",
            "distance: 5\n    distance_fraction: 0.002",
            r"exits\.trailing_stop: distance and distance_fraction are both given: give one of them",
        ),
        (
            "distance_fraction: 0.002",
            "distance:",
            r"exits\.trailing_stop\.distance: found nothing; allowed: a value; leave the key out to go without",
        ),
        (
            "from_profit_fraction: 0.003",
            "from_profit_fraction: 30",
            r"exits\.trailing_stop\.from_profit_fraction: found 30; allowed: below 1\.0 \(.*of the entry price",
        ),
        (
            "from_profit: 3.0",
            "from_profit_fraction: 1.0",
            r"exits\.break_even\.from_profit_fraction: found 1\.0; allowed: below 1",
        ),
        ("distance_fraction: 0.002", "", r"exits\.trailing_stop: it has no distance: give distance in quote currency"),
        (
            "from_profit_fraction: 0.003",
            "from_profit: 1\n    from_profit_fraction: 0.003",
            r"exits\.trailing_stop: from_profit and from_profit_fraction are both given",
        ),
        ("from_profit: 3.0", "", r"exits\.break_even: it has no profit: give from_profit in quote currency"),
        ("offset: 0.6", "offset: 3", r"exits\.break_even: offset is 3 and from_profit is 3: offset must be less"),
    ],
)
def test_wrong_value_is_reported_with_what_is_allowed(before: str, after: str, message: str) -> None:
    assert before in EXAMPLE
    lines = re.sub(rf"{re.escape(before)}.*", after, EXAMPLE, count=1)

    with pytest.raises(ConfigError, match=message):
        loaded(lines)


@pytest.mark.parametrize("rule", ["trailing_stop", "break_even"])
def test_rule_whose_keys_are_all_commented_out_is_rejected(rule: str) -> None:
    text = rf"symbols\.XAUUSD\.exits\.{rule}: found nothing; allowed: a value; leave the key out to go without \(A stop"

    with pytest.raises(ConfigError, match=text):
        loaded(f"exits:\n  {rule}:\n    # distance: 5.0")


def test_each_of_several_strategies_has_the_exits_of_its_symbol_or_its_own() -> None:
    several = """
strategy:
strategies:
  shared: {name: ema_cross}
  own:
    name: ema_cross
    exits: {break_even: {from_profit: 2.0}}
    risk: {sizing: fixed_units, units: 1, tick_size: 0.25, on_opposite_signal: ignore}
  none:
    name: ema_cross
    exits: {}
exits:
  trailing_stop: {distance: 5.0}
"""
    text = re.sub(r"    strategy:\n.*?    risk:", "    risk:", SHIPPED, count=1, flags=re.DOTALL)
    block = "".join(f"    {line}\n" for line in several.strip().splitlines())
    text = text.replace("    session:\n", f"{block}    session:\n", 1)
    gold = load_system(ROOT / "configs", {}, texts={"symbols.yaml": text}).symbols["XAUUSD"]

    rules = exit_rules_of(gold, strategies_of(gold))

    assert list(rules) == ["shared", "own"]
    assert rules["shared"].terms == ExitTerms(trailing_stop=TrailingStop(distance=5.0))
    assert rules["own"].terms == ExitTerms(break_even=BreakEven(from_profit=2.0))
    assert (rules["own"].tick_size, rules["own"].ignores_opposite) == (0.25, True)


def test_exits_are_part_of_what_decides() -> None:
    plain = load_system(ROOT / "configs", {})

    assert deciding_digest(loaded("exits: {}"), "XAUUSD") == deciding_digest(plain, "XAUUSD")
    assert deciding_digest(loaded(EXAMPLE), "XAUUSD") != deciding_digest(plain, "XAUUSD")
