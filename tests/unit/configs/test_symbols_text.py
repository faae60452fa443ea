"""Edits of symbols.yaml: the lines that change are those that were meant, and no other one."""

import difflib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.symbols_text import SymbolsText, replace_file
from configs.yaml_file import dump_yaml, parse_yaml
from trading.errors import Rejected

SHIPPED = (Path(__file__).parents[3] / "configs" / "symbols.yaml").read_text(encoding="utf-8")
BLOCK = "timeframe: 5m\nrisk:\n  units: 3  # each time\n"
ODD = """\
account: {name: test}

# what is traded
symbols:
    # the first one
    GOLD:
        # gold's own words
        risk: {units: 1, sizing: fixed_units,}   # in braces
        session:
        strategy: &shared
            name: ema_cross
            params: {}
        note: |
            two
            lines

        # timeframe: 5m  (not now)
    # the second one
    "SILVER":
        strategy: *shared
        risk: {}


    COPPER: {strategy: {name: b}}
# the end
"""


def parsed(text: str) -> Any:
    return parse_yaml(text, shown_as="text")


def changes(before: str, after: str) -> list[str]:
    """Return the lines that went and came, in order."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line.rstrip() for line in lines if line.startswith(("- ", "+ "))]


def test_value_changed_is_one_line_whose_comment_keeps_its_column() -> None:
    after = SymbolsText(SHIPPED).with_value("XAUUSD", ["risk", "units"], "2.5")

    assert changes(SHIPPED, after) == [
        "-       units: 10                  # ounces in each position",
        "+       units: 2.5                 # ounces in each position",
    ]


def test_value_put_in_stands_at_the_end_of_its_mapping() -> None:
    after = SymbolsText(SHIPPED).with_value("XAUUSD", ["venue", "faults", "seed"], "3")

    assert changes(SHIPPED, after) == ["+       faults:", "+         seed: 3"]
    assert parsed(after)["symbols"]["XAUUSD"]["venue"]["faults"] == {"seed": 3}


def test_symbol_added_stands_after_the_others_and_removed_again_leaves_the_file_as_it_was() -> None:
    after = SymbolsText(SHIPPED).with_symbol("ETHUSD", BLOCK)

    assert changes(SHIPPED, after) == [
        "+",
        "+   ETHUSD:",
        "+     timeframe: 5m",
        "+     risk:",
        "+       units: 3  # each time",
    ]
    assert SymbolsText(after).without("ETHUSD") == SHIPPED


@pytest.mark.parametrize("name", ["XAUUSD", "BTCUSD"])
def test_symbol_removed_takes_its_lines_and_none_of_the_others(name: str) -> None:
    after = SymbolsText(SHIPPED).without(name)

    found, expected = parsed(after), parsed(SHIPPED)
    del expected["symbols"][name]
    assert found == expected
    assert not [line for line in changes(SHIPPED, after) if line.startswith("+")]
    assert "\n\n\n" not in after
    assert after.endswith("\n")
    assert not after.endswith("\n\n")


@pytest.mark.parametrize("name", ["ON", "123", "1e4", "0.5"])
def test_name_that_yaml_would_not_read_as_text_is_quoted(name: str) -> None:
    assert list(parsed(SymbolsText(SHIPPED).with_symbol(name, BLOCK))["symbols"]) == ["XAUUSD", "BTCUSD", name]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["risk", "units"], "2", {"units": 2, "sizing": "fixed_units"}),
        (["risk", "max_units"], "2", {"units": 1, "sizing": "fixed_units", "max_units": 2}),
        (["risk", "deep", "er"], "2", {"units": 1, "sizing": "fixed_units", "deep": {"er": 2}}),
        (["risk"], "{units: 3}", {"units": 3}),
    ],
)
def test_value_in_braces_is_changed_in_its_place(path: list[str], value: str, expected: Any) -> None:
    after = SymbolsText(ODD).with_value("GOLD", path, value)

    assert parsed(after)["symbols"]["GOLD"]["risk"] == expected
    assert len(changes(ODD, after)) == 2
    assert "# in braces" in after


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("GOLD", ["session"], "{kind: always}"),
        ("GOLD", ["note"], "one line"),
        ("GOLD", ["timeframe"], "5m"),
        ("GOLD", ["strategy", "params", "fast"], "5"),
        ("SILVER", ["risk", "units"], "5"),
        ("SILVER", ["timeframe"], "1m"),
        ("COPPER", ["strategy", "name"], "c"),
        ("COPPER", ["risk"], "{units: 1}"),
    ],
)
def test_value_of_a_file_with_an_odd_layout_is_the_only_one_that_changes(
    name: str, path: list[str], value: str
) -> None:
    after = SymbolsText(ODD).with_value(name, path, value)

    expected = parsed(ODD)
    node = expected["symbols"][name]
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = parsed(f"x: {value}")["x"]
    assert parsed(after) == expected
    kept = [line for line in ODD.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in after.splitlines() if line.lstrip().startswith("#")] == kept


@pytest.mark.parametrize("name", ["GOLD", "SILVER", "COPPER"])
def test_symbol_of_a_file_with_an_odd_layout_goes_alone(name: str) -> None:
    text = ODD.replace("&shared", "").replace("*shared", "{name: b}")

    after = SymbolsText(text).without(name)

    expected = parsed(text)
    del expected["symbols"][name]
    assert parsed(after) == expected
    gone = {"GOLD": {"gold's own", "not now"}, "SILVER": {"second one"}, "COPPER": set()}
    comments = {"first one", "gold's own", "not now", "second one", "what is traded", "the end"}
    assert {comment for comment in comments if comment not in after} == gone[name]


def test_symbol_added_to_a_file_with_an_odd_layout_is_indented_as_the_others() -> None:
    after = SymbolsText(ODD).with_symbol("TIN", BLOCK)

    assert "\n    TIN:\n      timeframe: 5m\n      risk:\n        units: 3  # each time\n# the end\n" in after
    assert parsed(after)["symbols"]["TIN"] == {"timeframe": "5m", "risk": {"units": 3}}


def test_value_that_stands_elsewhere_is_left_to_a_person() -> None:
    with pytest.raises(ValueError, match=r"SILVER\.strategy\.name stands elsewhere"):
        SymbolsText(ODD).with_value("SILVER", ["strategy", "name"], "b")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["risk", "units", "each"], "1", "XAUUSD.risk.units is no mapping"),
        (["risk", "units"], "", "is no YAML value"),
        (["risk", "units"], "{", "is no YAML value"),
        (["risk", "units"], "a: b", "is no YAML value"),
        (["risk", "units"], "1\nx: 2", "is no YAML value"),
        (["risk", "units"], "1, x: 2", "is no YAML value"),
    ],
)
def test_value_that_cannot_be_put_in_is_refused(path: list[str], value: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SymbolsText(SHIPPED).with_value("XAUUSD", path, value)


@pytest.mark.parametrize("symbols", ["{A: {risk: 1}}", "{}"])
def test_symbols_in_braces_are_left_to_a_person(symbols: str) -> None:
    with pytest.raises(ValueError, match="not written one below the other"):
        SymbolsText(f"symbols: {symbols}\n").with_symbol("B", BLOCK)


def test_file_without_a_last_line_end_and_with_those_of_windows_keeps_its_own() -> None:
    text = "symbols:\r\n  A:\r\n    risk: 1"

    after = SymbolsText(text).with_symbol("B", "risk: 2")

    assert after == "symbols:\r\n  A:\r\n    risk: 1\r\n\r\n  B:\r\n    risk: 2\r\n"


NAMES = st.text("abcXYZ_09", min_size=1, max_size=6)
LEAVES = st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False), st.text("ab: #'\"-{}[]1", max_size=8))
TREES = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
)


@settings(deadline=None)  # a busy machine is no fault
@given(symbols=st.dictionaries(NAMES, TREES, min_size=2, max_size=4), data=st.data())
def test_whatever_is_written_an_edit_changes_what_was_meant_and_nothing_else(
    symbols: dict[str, Any], data: st.DataObject
) -> None:
    text = dump_yaml({"account": {"name": "a"}, "symbols": symbols})
    assert parsed(text)["symbols"] == symbols
    name = data.draw(st.sampled_from(sorted(symbols)))

    gone = parsed(SymbolsText(text).without(name))["symbols"]
    assert gone == {other: config for other, config in symbols.items() if other != name}

    more = parsed(SymbolsText(text).with_symbol("NEW", dump_yaml(symbols[name])))["symbols"]
    assert more == {**symbols, "NEW": symbols[name]}

    path = data.draw(st.lists(NAMES, min_size=1, max_size=2))
    if len(path) > 1 and not isinstance(symbols[name].get(path[0], {}), dict):
        with pytest.raises(ValueError, match="is no mapping"):
            SymbolsText(text).with_value(name, path, "7")
        return
    changed = parsed(SymbolsText(text).with_value(name, path, "7"))["symbols"]
    node = changed[name]
    for part in path[:-1]:
        node = node[part]
    assert node[path[-1]] == 7
    assert {other: config for other, config in changed.items() if other != name} == gone


def test_file_replaced_keeps_its_mode_and_what_it_said_and_follows_a_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "symbols.yaml"
    target.parent.mkdir()
    target.write_text("before")
    target.chmod(0o640)
    link = tmp_path / "symbols.yaml"
    link.symlink_to(target)

    kept = replace_file(link, before="before", after="after")

    assert (target.read_text(), kept.read_text(), link.is_symlink()) == ("after", "before", True)
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in target.parent.iterdir()) == ["symbols.yaml", "symbols.yaml.bak"]


def test_file_that_somebody_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "symbols.yaml"
    path.write_text("theirs")

    with pytest.raises(Rejected, match="somebody else"):
        replace_file(path, before="before", after="after")

    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
