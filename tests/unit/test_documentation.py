"""The documentation is reachable: each page from the index, each link to a file that exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)\s]*)?\)")
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
TERMS_AT_MOST = 25


def links_of(page: Path) -> Iterator[Path]:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / target).resolve()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_links_to_files_that_exist(page: Path) -> None:
    assert [str(target) for target in links_of(page) if not target.exists()] == []


def test_each_page_is_reachable_from_the_index() -> None:
    seen, waiting = set(), [INDEX]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        waiting += [target for target in links_of(page) if target.suffix == ".md" and target not in seen]

    assert {page for page in PAGES if DOCS in page.parents} <= seen


def test_glossary_is_short_and_sorted() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (DOCS / "reference" / "glossary.md").read_text(), re.MULTILINE)
    terms = [row for row in rows if row != "Term"]

    assert 0 < len(terms) <= TERMS_AT_MOST
    assert terms == sorted(terms, key=str.lower)
