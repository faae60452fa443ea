"""The rules stay pure, folders stay small, and the tree names no place that only one machine has."""

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator"}

OUTSIDE_THE_HOUSE = {"tests", "benchmarks"}
NOT_OURS = {"build", "dist", "docs", "var"}

IMPURE_MODULES = {
    "alembic", "asyncio", "billiard", "celery", "concurrent", "flower", "http", "kombu", "logging", "multiprocessing",
    "os", "psutil", "psycopg", "random", "redis", "requests", "secrets", "select", "shutil", "signal", "socket",
    "sqlalchemy", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "tornado", "urllib", "uuid",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
"""Methods of datetime, date and pandas.Timestamp that read a clock."""

MACHINE_PATH = re.compile(r"(?<![\w.$}~*-])/(?:work|home|root|Users|opt/py[p]i)/[\w.-]+")
REGISTRY = re.compile(
    r"py[p]i\.org|pythonh[o]sted|registry\.np[m]js|deb\.d[e]bian\.org|https?://[^\s\"']+/s[i]mple\b|(?:extra-)?ind[e]x-url"
)


def packages() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in NOT_OURS)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, full module name) of each import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, _absolute(path, node)


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def shown(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def tree() -> list[Path]:
    """Return the files of the project: those that git keeps, and new ones that it does not ignore."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        answer = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: which files belong to the project is not known")
    paths = [ROOT / name for name in answer.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def matches(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in tree():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            found += [f"{shown(path, number)}: {match.group()}" for match in pattern.finditer(line)]
    return found


def test_packages_of_the_tree_are_known_and_shipped() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = settings["tool"]["setuptools"]["packages"]["find"]
    with_code = {path.parent for name in PACKAGES for path in modules(name)}

    assert set(packages()) - OUTSIDE_THE_HOUSE == PACKAGES
    assert set(settings["tool"]["importlinter"]["root_packages"]) == PACKAGES
    assert all(any(fnmatch(name, pattern) for pattern in found["include"]) for name in PACKAGES)
    assert [folder for folder in with_code if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_package_does_not_import_tests_or_settings_of_celery(package: str) -> None:
    """The order of the packages is a contract of import-linter; these stand outside of it."""
    wrong = [
        f"{shown(path, line)} imports {name}"
        for path in modules(package)
        for line, name in imports(path)
        if name.split(".")[0] in OUTSIDE_THE_HOUSE | {"celeryconfig"}
    ]

    assert modules(package)
    assert wrong == []


MOST_FILES = 15
"""Python files in a folder, besides its `__init__.py`: with more, nobody finds one at a glance."""


def test_no_folder_holds_more_files_than_can_be_read_at_a_glance() -> None:
    folders = Counter(path.parent for path in tree() if path.suffix == ".py" and path.name != "__init__.py")

    assert {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > MOST_FILES} == {}


def test_trading_imports_nothing_that_reaches_outside() -> None:
    wrong = [
        f"{shown(path, line)} imports {name}"
        for path in modules("trading")
        for line, name in imports(path)
        if name.split(".")[0] in IMPURE_MODULES
    ]

    assert wrong == []


def test_trading_reads_no_clock() -> None:
    wrong = [
        f"{shown(path, node.lineno)} calls {node.func.attr}()"
        for path in modules("trading")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    ]

    assert wrong == []


def test_celeryconfig_imports_configs_and_tasks_alone() -> None:
    ours = {name.split(".")[0] for _, name in imports(ROOT / "celeryconfig.py")} & set(PACKAGES)

    assert ours == {"configs", "tasks"}


def test_no_file_holds_a_path_of_one_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert matches(REGISTRY) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "cd " + "/".join(["", "home", "someone", "trading"])),
        (MACHINE_PATH, "path: " + "/".join(["", "Users", "someone"])),
        (REGISTRY, "https://" + ".".join(["pypi", "org"])),
        (REGISTRY, "pip install --" + "-".join(["index", "url"])),
    ],
)
def test_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
