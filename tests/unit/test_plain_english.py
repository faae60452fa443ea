"""Docstrings, comments and messages are plain technical English: active voice and the standard terms of the field."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator", "benchmarks")

HISTORY = ("adapters/ledger/migrations/versions", "adapters/ledger/tables.py")
"""They keep the words of their time: comments of columns are part of databases."""

FORMER_NAMES = re.compile(r"\btasks\.heal\b")
"""A former public name that still works."""

TESTS = ("tests",)
"""Checked for the openings of docstrings alone: tests quote messages of the former dialect."""

NOUN_OPENING = re.compile(r"(What|Who|Whose|Of what|Of whom)\b")

BANNED = re.compile(
    r"\b(sick|sickness|heal|healed|set aside|lying|writes? down|written down|gives? way|the ladder|rung|"
    r"chronicle|going on|goes on|go on|hears? of|heard of|telling|somebody|(ask|asked) again)\b",
    re.IGNORECASE,
)
"""Words of the former dialect; the field says unhealthy, recover, quarantine, faulty, record, yield, step, operator."""


def files(folders: Sequence[str] = FOLDERS) -> list[Path]:
    found = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in found if not str(file.relative_to(ROOT)).startswith(HISTORY)]


def texts_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each docstring and message: string constants of two words or more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def openings_in(text: str) -> list[str]:
    """Return a line for each docstring, of a constant too, that opens with a noun clause."""
    return [
        f"line {node.lineno}: begins with {found.group()!r}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if (found := NOUN_OPENING.match(node.value.value))
    ]


def faults_in(text: str) -> list[str]:
    """Return a line for each docstring that opens with a noun clause, and each banned word."""
    tree = ast.parse(text)
    words = [
        f"line {line}: {found.group()!r}"
        for line, one in texts_in(tree)
        for found in BANNED.finditer(FORMER_NAMES.sub("", one))
    ]
    comments = [
        f"line {number}: {found.group()!r}"
        for number, line in enumerate(text.splitlines(), 1)
        if (start := line.find("  # ")) >= 0 or (start := len(line) - len(line.lstrip())) >= 0
        if line[start:].lstrip().startswith("#")
        for found in BANNED.finditer(line[start:])
    ]
    return [*openings_in(text), *words, *comments]


def test_prose_of_the_code_is_plain_english() -> None:
    found = {str(file.relative_to(ROOT)): faults for file in files() if (faults := faults_in(file.read_text("utf-8")))}

    assert found == {}


def test_docstrings_of_tests_do_not_open_with_a_noun_clause() -> None:
    found = {str(file): faults for file in files(TESTS) if (faults := openings_in(file.read_text("utf-8")))}

    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        '"""What a symbol may do."""',
        'def one() -> None:\n    """Who asked for it."""',
        'class One:\n    """Of what a value is made."""',
        'raise ValueError("the service is sick: restart it")',
        'note = f"{name} was written down at {time}"',
        "value = 1  # a step that has to heal by itself",
        'LIMIT = 3\n"""What a message may take."""',
        'raise ValueError("another change was faster: look at it, and ask again")',
        'reason = "no symbol enters; exits go on"',
        "# the ladder has three rungs\nvalue = 1",
    ],
)
def test_prose_in_the_former_dialect_is_found(code: str) -> None:
    assert faults_in(code)


@pytest.mark.parametrize(
    "code",
    [
        '"""Actions that a symbol may take."""',
        'SICK = "sick"',
        'text = "replying to a request"',
        'colour = "#a0b0c0"',
    ],
)
def test_plain_prose_and_stored_values_are_not_found(code: str) -> None:
    assert faults_in(code) == []
