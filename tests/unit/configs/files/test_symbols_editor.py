"""Edits of symbols.yaml: the lines that change are those that were meant, and no other one."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.files.symbols_editor import SymbolsEditor
from tests.unit.configs.files.symbols_texts import parsed

SHIPPED = (Path(__file__).parents[4] / "configs" / "symbols.yaml").read_text(encoding="utf-8")
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


def changes(before: str, after: str) -> list[str]:
    """Return the lines that went and came, in order."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line.rstrip() for line in lines if line.startswith(("- ", "+ "))]


def test_value_changed_is_one_line_whose_comment_keeps_its_column() -> None:
    after = SymbolsEditor(SHIPPED).with_value("XAUUSD", ["risk", "units"], "2.5")

    assert changes(SHIPPED, after) == [
        "-       units: 10                  # ounces in each position",
        "+       units: 2.5                 # ounces in each position",
    ]


def test_value_put_in_stands_at_the_end_of_its_mapping() -> None:
    after = SymbolsEditor(SHIPPED).with_value("XAUUSD", ["venue", "faults", "seed"], "3")

    assert changes(SHIPPED, after) == ["+       faults:", "+         seed: 3"]
    assert parsed(after)["symbols"]["XAUUSD"]["venue"]["faults"] == {"seed": 3}


def test_symbol_added_stands_after_the_others_and_removed_again_leaves_the_file_as_it_was() -> None:
    after = SymbolsEditor(SHIPPED).with_symbol("ETHUSD", BLOCK)

    assert changes(SHIPPED, after) == [
        "+",
        "+   ETHUSD:",
        "+     timeframe: 5m",
        "+     risk:",
        "+       units: 3  # each time",
    ]
    assert SymbolsEditor(after).without("ETHUSD") == SHIPPED


@pytest.mark.parametrize("name", ["XAUUSD", "BTCUSD"])
def test_symbol_removed_takes_its_lines_and_none_of_the_others(name: str) -> None:
    after = SymbolsEditor(SHIPPED).without(name)

    found, expected = parsed(after), parsed(SHIPPED)
    del expected["symbols"][name]
    assert found == expected
    assert not [line for line in changes(SHIPPED, after) if line.startswith("+")]
    assert "\n\n\n" not in after
    assert after.endswith("\n")
    assert not after.endswith("\n\n")


@pytest.mark.parametrize("name", ["ON", "123", "1e4", "0.5"])
def test_name_that_yaml_would_not_read_as_text_is_quoted(name: str) -> None:
    assert list(parsed(SymbolsEditor(SHIPPED).with_symbol(name, BLOCK))["symbols"]) == ["XAUUSD", "BTCUSD", name]


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
    after = SymbolsEditor(ODD).with_value("GOLD", path, value)

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
    after = SymbolsEditor(ODD).with_value(name, path, value)

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

    after = SymbolsEditor(text).without(name)

    expected = parsed(text)
    del expected["symbols"][name]
    assert parsed(after) == expected
    gone = {"GOLD": {"gold's own", "not now"}, "SILVER": {"second one"}, "COPPER": set()}
    comments = {"first one", "gold's own", "not now", "second one", "what is traded", "the end"}
    assert {comment for comment in comments if comment not in after} == gone[name]


def test_symbol_added_to_a_file_with_an_odd_layout_is_indented_as_the_others() -> None:
    after = SymbolsEditor(ODD).with_symbol("TIN", BLOCK)

    assert "\n    TIN:\n      timeframe: 5m\n      risk:\n        units: 3  # each time\n# the end\n" in after
    assert parsed(after)["symbols"]["TIN"] == {"timeframe": "5m", "risk": {"units": 3}}


def test_value_that_stands_elsewhere_is_left_to_a_person() -> None:
    with pytest.raises(ValueError, match=r"SILVER\.strategy\.name is defined elsewhere"):
        SymbolsEditor(ODD).with_value("SILVER", ["strategy", "name"], "b")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["risk", "units", "each"], "1", "XAUUSD.risk.units is no mapping"),
        (["risk", "units"], "", "is no YAML value"),
        (["risk", "units"], "{", "is no YAML value"),
        (["risk", "units"], "a: b", "is no YAML value"),
        (["risk", "units"], "1\nx: 2", "is no YAML value"),
        (["risk", "units"], "1, x: 2", "is no YAML value"),
    ],
)
def test_value_that_cannot_be_put_in_is_rejected(path: list[str], value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SymbolsEditor(SHIPPED).with_value("XAUUSD", path, value)


@pytest.mark.parametrize("symbols", ["{A: {risk: 1}}", "{}"])
def test_symbols_in_braces_are_left_to_a_person(symbols: str) -> None:
    with pytest.raises(ValueError, match="not written one below the other"):
        SymbolsEditor(f"symbols: {symbols}\n").with_symbol("B", BLOCK)


def test_file_without_a_last_line_end_and_with_those_of_windows_keeps_its_own() -> None:
    text = "symbols:\r\n  A:\r\n    risk: 1"

    after = SymbolsEditor(text).with_symbol("B", "risk: 2")

    assert after == "symbols:\r\n  A:\r\n    risk: 1\r\n\r\n  B:\r\n    risk: 2\r\n"


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("a: 'x'  # why", '"y"', 'a: "y"  # why'),
        ("a: 'x'", "5", "a: 5"),
        ("a: 5", "'5'", "a: '5'"),
        ("a: 5", "2.50", "a: 2.50"),
        ("a: 5", "1e-05", "a: 1e-05"),
        ("a: 5", "2025-01-06", "a: 2025-01-06"),
        ("a: 5", "0o17", "a: 0o17"),
        ("a: 5", "on", "a: on"),
        ("a:", "~", "a: ~"),
        ("a: 5   # why", "12345678", "a: 12345678 # why"),
        ("a: zuerst  # für später", "größer 日本", "a: größer 日本 # für später"),
        ("a: |\n      two\n      lines", "one", "a: one"),
        ("a:\n    - 1\n    - 2", "[3]", "a: [3]"),
        ("a:\n      - 1", "[3]", "a: [3]"),
        (f"a: {'word ' * 60}end", f"[{'1, ' * 100}1]", f"a: [{'1, ' * 100}1]"),
        (f"a: [{'1, ' * 100}1]", "1", "a: 1"),
    ],
)
def test_value_replaced_is_written_as_it_was_given(before: str, value: str, after: str) -> None:
    text = "# top\nsymbols:\n  A:\n    {}\n    # next\n    'b':   [ 1,2 ]   #odd\n"

    assert SymbolsEditor(text.format(before)).with_value("A", ["a"], value) == text.format(after)


def test_value_replaced_on_the_last_line_keeps_its_missing_line_end() -> None:
    assert SymbolsEditor("symbols:\r\n  A:\r\n    x: 1").with_value("A", ["x"], "2") == "symbols:\r\n  A:\r\n    x: 2"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("symbols:\n  A: {x: 1}\n  A: {x: 2}\n", 'line 3: found duplicate key "A"'),
        ("symbols:\n  A: {x: 1, x: 2}\n", 'line 2: found duplicate key "x"'),
        ("symbols:\n  A: {x: *y}\n", "line 2: found undefined alias 'y'"),
        ("symbols:\n\tA: 1\n", "line 2: found character '\\\\t'"),
    ],
)
def test_file_that_is_not_valid_is_rejected_with_its_line(text: str, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        SymbolsEditor(text)


ANCHORED = "symbols:\n  A:\n    x: &one {y: 1}\n    z: [\n      1,  # why\n      2]\n  B:\n    v: {x: *one, w: 1}\n"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda text: text.without("A"), "an anchor"),
        (lambda text: text.with_value("A", ["x"], "2"), "an anchor"),
        (lambda text: text.with_value("B", ["v", "w"], "2"), "line 8: found undefined alias 'one'"),
        (lambda text: text.with_value("B", ["v", "x"], "2"), "is defined elsewhere"),
        (lambda text: text.with_value("A", ["z"], "[3]"), "comments inside its brackets"),
    ],
)
def test_edit_that_would_break_an_alias_or_lose_a_comment_is_rejected(
    edit: Callable[[SymbolsEditor], str], found: str
) -> None:
    with pytest.raises(ValueError, match=rf"{found}.*: edit the file by hand"):
        edit(SymbolsEditor(ANCHORED))
