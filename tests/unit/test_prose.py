"""No logic reads prose: what a person reads is made of values at the edge, and never compared, cut or searched."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("trading", "configs", "adapters", "tasks", "worker", "beat", "benchmarks", "tests/fixtures")

CUTS = {"startswith", "endswith", "partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix",
        "find", "rfind", "index", "rindex", "count"}  # fmt: skip
MATCHES = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer", "compile"}

SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? (\S+ )*[A-Za-z]{2,}|[A-Za-z]{2,} $|[\w)]: ?$|^ ?[|;:] $")
"""Two words, one that another follows, or what separates the parts of our sentences."""

PROSE_NAMES = {"reason", "headline", "decision", "said", "told", "words", "note", "detail", "error", "last_error"}
"""Names of variables and fields that hold what a person reads."""

READERS_OF_OLD_TEXT = {
    "trading/events/legacy_text.py",
    "adapters/ledger/migrations/versions/0007_structured_decisions.py",
    "adapters/ledger/migrations/versions/0009_drawdown_rules.py",
}
"""Modules that read what version 0.1.0 stored; no other may."""

ALLOWED = {
    ("adapters/candle_files/columns.py", "'volume '"): "the name of a column in a file that another program wrote",
    (
        "adapters/candle_files/columns.py",
        repr(r"\s*<?(?:date|time|datetime|date time)\s*[\[(]\s*([A-Za-z][\w/+-]*)\s*[\])]>?\s*"),
    ): "the name of a column in a file that another program wrote",
    ("adapters/database.py", "':memory:'"): "how SQLite names a database in memory",
    ("adapters/ledger/audit/recompute.py", "found"): "a value of any column",
    (
        "adapters/candle_files/raw_rows.py",
        "'Error tokenizing data. C error: '",
    ): "pandas says so in its text alone",
    ("tests/fixtures/apps/running.py", "['exec .venv/bin/celery -A tasks trading up ']"): "a command that make prints",
    ("worker/log_format.py", "'in ([0-9.e-]+)s: '"): "Celery logs the run time of a task in this text alone",
}
"""(Module, text that it looks for) and why that is no prose of ours."""

Texts = Mapping[str, Sequence[str]]


def texts_of(node: ast.AST | None, named: Texts) -> Iterator[str]:
    """Yield the texts that an expression stands for; what is not known of an f-string counts as a letter."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from texts_of(part, named)
        case ast.Name(id=name):
            yield from named.get(name, ())


def named_texts(tree: ast.Module) -> Texts:
    """Return the texts that names are given in a module."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).extend(texts_of(node.value, {}))
    return found


def looked_into(tree: ast.Module) -> Iterator[tuple[int, ast.expr, ast.expr | None]]:
    """Yield (line, what is asked for, what it is asked of) of each comparison, cut and search of a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[whole]):
                yield node.lineno, left, whole
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                yield from ((node.lineno, left, right), (node.lineno, right, left))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name), args=[pattern, *rest]):
                if name in MATCHES:
                    yield node.lineno, pattern, rest[-1] if rest else None
            case ast.Call(func=ast.Attribute(value=whole, attr=name), args=[part, *_]) if name in CUTS:
                yield node.lineno, part, whole
            case ast.MatchValue(value=part):
                yield part.lineno, part, None


def name_of(node: ast.expr | None) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str() as name)):
            return name
        case ast.Call(func=ast.Attribute(value=inner)):
            return name_of(inner)
    return ""


def prose_in(root: Path) -> list[tuple[str, str, str]]:
    """Return (module, text looked for, place) of each place of a tree that looks into what a person reads."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    trees = {str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    named = {path: named_texts(tree) for path, tree in trees.items()}
    constants = {name: texts for one in named.values() for name, texts in one.items() if name.isupper()}
    return [
        (path, ast.unparse(part), f"{path}:{line} looks for {ast.unparse(part)}")
        for path, tree in trees.items()
        if path not in READERS_OF_OLD_TEXT
        for line, part, whole in looked_into(tree)
        if (texts := list(texts_of(part, {**constants, **named[path]})))
        if any(map(SENTENCE.search, texts)) or (name_of(whole) in PROSE_NAMES and any(texts))
    ]


def test_no_logic_looks_into_what_a_person_reads() -> None:
    found = [place for path, part, place in prose_in(ROOT) if (path, part) not in ALLOWED]

    assert found == [], (
        "carry a value beside the text (trading/events/decisions.py), or add it to ALLOWED with the reason"
    )


@pytest.mark.parametrize(
    "code",
    [
        'entry.decision == "silent"',
        'SILENT = "no signal"\nprint(entry.made == SILENT)',
        'FEW = "too few rows"\nall(one.startswith(FEW) for one in many)',
        'named = f"{strategy}: "\n[part.removeprefix(named) for part in parts]',
        'text.split(" | ")',
        'text.startswith(("stop ", "the stop stays at "))',
        'reason.partition(":")[0]',
        'row["reason"].rpartition("no entries: ")',
        'f"{symbol} is paused: no entries" in text',
        'found.headline.startswith("traded")',
        '"SoftTimeLimitExceeded" in error',
        'str(one.get("last_error") or "").startswith("BadCandle:")',
        're.match(r"stop (\\S+) -> (\\S+): ", text)',
        'title == "Exit reason"',
        'match text:\n    case "not started yet":\n        pass',
    ],
)
def test_code_that_looks_into_prose_is_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "trading").mkdir()
    (tmp_path / "trading" / "one.py").write_text(code, encoding="utf-8")

    assert [path for path, _, _ in prose_in(tmp_path)] == ["trading/one.py"]


@pytest.mark.parametrize(
    "code",
    [
        'name.partition(":")',
        'rule == "paused"',
        "one.kind is DecisionKind.NO_SIGNAL",
        'raise ValueError("this is a sentence: with a colon")',
        'name.endswith(".csv.gz")',
        're.compile(r"-r\\d+$")',
    ],
)
def test_code_that_looks_into_ids_and_foreign_formats_is_not(tmp_path: Path, code: str) -> None:
    (tmp_path / "trading").mkdir()
    (tmp_path / "trading" / "one.py").write_text(code, encoding="utf-8")

    assert prose_in(tmp_path) == []
