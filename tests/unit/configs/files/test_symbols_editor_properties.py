"""Any edit of any `symbols.yaml` changes what was meant and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.files.symbols_editor import SymbolsEditor
from configs.files.yaml_reader import dump_yaml
from tests.unit.configs.files.symbols_texts import parsed

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

    gone = parsed(SymbolsEditor(text).without(name))["symbols"]
    assert gone == {other: config for other, config in symbols.items() if other != name}

    more = parsed(SymbolsEditor(text).with_symbol("NEW", dump_yaml(symbols[name])))["symbols"]
    assert more == {**symbols, "NEW": symbols[name]}

    path = data.draw(st.lists(NAMES, min_size=1, max_size=2))
    if len(path) > 1 and not isinstance(symbols[name].get(path[0], {}), dict):
        with pytest.raises(ValueError, match="is no mapping"):
            SymbolsEditor(text).with_value(name, path, "7")
        return
    changed = parsed(SymbolsEditor(text).with_value(name, path, "7"))["symbols"]
    node = changed[name]
    for part in path[:-1]:
        node = node[part]
    assert node[path[-1]] == 7
    assert {other: config for other, config in changed.items() if other != name} == gone


INDENTS = st.sampled_from([2, 3, 4])
COMMENTS = st.sampled_from(["", "  # why", " # 1: {", "      # über 日本"])
SCALARS = st.sampled_from(
    ["1", "1e-4", "'x: y'", '"a b"', "[ 1,2 ]", "{a: 1 ,b: 2}", "word " * 40 + "end", "18:00", "~"]
)


@st.composite
def symbol_lines(draw: st.DrawFn, name: str, indent: int, dash: int) -> list[str]:
    """Draw the lines of one symbol: comments, blank lines, scalars, sequences and block text at any indentation."""
    inner, lines = " " * (2 * indent), [f"{' ' * indent}{name}:{draw(COMMENTS)}"]
    for key in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        lines += draw(st.sampled_from([[], [""], [f"{inner}# about the next"], ["", f"{inner}  # deeper"]]))
        kind = draw(st.sampled_from(["scalar", "scalar", "sequence", "text", "mapping"]))
        head = f"{inner}{json.dumps(key)}:"
        lines += {
            "scalar": [f"{head}   {draw(SCALARS)}{draw(COMMENTS)}"],
            "sequence": [f"{head}{draw(COMMENTS)}", f"{inner}{' ' * dash}- 1", f"{inner}{' ' * dash}- {{a: 1}}  # one"],
            "text": [f"{head} |", f"{inner}  # no comment", "", f"{inner}  end"],
            "mapping": [f"{head}{draw(COMMENTS)}", f"{inner}{' ' * indent}deep: {draw(SCALARS)}{draw(COMMENTS)}"],
        }[kind]
    return lines


@settings(deadline=None, max_examples=50)  # a busy machine is no fault
@given(data=st.data(), indent=INDENTS, dash=st.sampled_from([0, 2]), newline=st.sampled_from(["\n", "\r\n"]))
def test_edit_of_one_symbol_leaves_every_line_of_the_others_as_it_was(
    data: st.DataObject, indent: int, dash: int, newline: str
) -> None:
    blocks = [newline.join(data.draw(symbol_lines(name, indent, dash))) for name in "ABC"]
    head, end = (
        newline.join(["account:   {name: a}  # mine", "", "symbols:", ""]),
        data.draw(st.sampled_from(["", newline])),
    )
    text = head + newline.join(blocks) + end
    key = data.draw(st.sampled_from(list(parsed(text)["symbols"]["B"])) | st.just("NEW"))

    after = SymbolsEditor(text).with_value("B", [key], "{new: 1}")

    assert after.startswith(head + blocks[0] + newline)
    assert after.endswith(newline + blocks[2] + end)
    assert parsed(after)["symbols"]["B"] == parsed(text)["symbols"]["B"] | {key: {"new": 1}}
    assert SymbolsEditor(text).without("B") == head + blocks[0] + newline + blocks[2] + end
    assert SymbolsEditor(text).with_symbol("D", "x: 1").startswith(text)
