"""How the blast radius is shown: a table for the terminal, a page for the docs."""

import os
import platform
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from benchmarks.blast_rig import LAG, WELL
from benchmarks.blast_row import GOAL, Row, Terms

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "blast-radius.md"
WIDTH = 120
FOUND = (
    """A symbol has a process, a queue and a prefetch slot of its own: what hangs or dies holds up nobody else, and a
    hung step is killed at its hard time limit.""",
    """Control is answered by whichever worker is free, and a worker that is not takes no control message.""",
    """The launcher looks at each log five times a second, keeps 10 MB of it, and 10 MB put aside.""",
    """A pool process that took more than `TRADING__WORKER_MAX_MEMORY_MB` (1000) at its peak is replaced after its
    step, and the memory is given back with it. That costs the symbol about a second. Without the limit, what a
    strategy keeps is kept until its worker ends.""",
    """What is shared stays shared: processor, disk, Redis, the ledger. On a machine of its own, or in a container with
    a limit (`cpus`, `mem_limit`), a symbol cannot take its neighbours' processor either.""",
)
"""What the runs have shown, in words."""

HEADINGS = ("case", "p50 ms", "p95 ms", "p99 ms", "decisions", "p50", "p99", "p99 after", "cores")


def table(rows: Sequence[Row]) -> Table:
    """Draw the rows for a terminal."""
    drawn = Table(title=f"Decision latency of the other symbols (goal: p99 at most {GOAL}x)")
    for heading in HEADINGS:
        is_case = heading == "case"
        drawn.add_column(
            heading, justify="left" if is_case else "right", min_width=12 if is_case else None, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*_cells(row))
    return drawn


def page(rows: Sequence[Row], left_out: Mapping[str, str], terms: Terms, *, load: str) -> str:
    """Write the page for the docs.

    Args:
        left_out: Titles of the cases that could not be played, and why.
        load: The machine's load averages before and after.
    """
    parts = [
        "# Blast radius",
        _filled(f"What do the others feel when one symbol dies, hangs or runs wild? {_provenance(load)}"),
        *_method(terms),
        _lines(
            [
                f"| {' | '.join(HEADINGS)} |",
                f"|---|{'---:|' * (len(HEADINGS) - 1)}",
                *(f"| {' | '.join(_cells(row))} |" for row in rows),
            ]
        ),
        "## How to read it",
        *_reading(rows),
        "## What came of it",
        _lines(
            [
                *(_filled(f"- {_begun(row.title)}: {row.told}.") for row in rows if row.told),
                *(_filled(f"- Left out: {title}: {why}.") for title, why in left_out.items()),
            ]
        ),
        "## What holds the harm back",
        _lines(_filled(f"- {line}") for line in FOUND),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _provenance(load: str) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "pandas"))
    return (
        f"Written by `make blast ARGS=--write` on {datetime.now(UTC):%Y-%m-%d} (UTC): Python "
        f"{platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores, load average {load}."
    )


def _method(terms: Terms) -> list[str]:
    return [
        _filled(f"""
            {len(WELL) + 1} symbols play generated candles, {terms.rate:g} a second each, under the processes that `make
            run` starts, but for Flower: a worker for each symbol, a control worker, beat. One symbol is harmed;
            timed are the decisions of the other {len(WELL)}. Half of them have chains of three steps, half have a
            position open and chains of four. The ticks of each symbol are {LAG:.0%} further apart than those of the
            one before, so that they meet at every distance.
        """),
        _filled(f"""
            Latency runs from the moment at which a candle's tick is due until its decision stands in the journal,
            as a reader of the journal sees it: beat, broker, all steps and the commit. A phase lasts
            {terms.seconds:g} s; quiet phases and cases take turns, what is after one case is before the next, and
            all of it is played {terms.rounds} times. Nothing heals the harmed symbol meanwhile
            (`enable_auto_restart: false`), so that each case is seen at its worst.
        """),
        _filled("""
            Each cell has before/during/after; the ratios are of during to before, and the last of after to
            before. *Cores* is how many more processor cores the whole machine kept busy during the case.
        """),
    ]


def _reading(rows: Sequence[Row]) -> list[str]:
    own = [row for row in rows if row.is_ours]
    above = [row for row in own if row.p99_ratio > GOAL]
    quiet = [figures.p99_ms for row in rows for figures in (row.before, row.after)]
    nothing = "".join(f"; when nothing happened it came to {row.p99_ratio:.2f}x" for row in rows if row.is_nothing)
    least = min(figures.count for row in rows for figures in (row.before, row.during, row.after))
    text = _filled(f"""
        The goal is a p99 of at most {GOAL}x; {len(own) - len(above)} of {len(own)} cases are within it. Two things
        are in the ratios that no isolation takes out. One is chance: there are {least} decisions of a kind at least,
        so that a p99 rests on the {max(1, least // 100)} slowest of them, and the p99 of the quiet phases alone lay
        between {min(quiet):.0f} and {max(quiet):.0f} ms{nothing}. The other is the machine: what a harmed symbol
        calculates, its neighbours on the same processor wait for. The strangers show that part:
        they are no part of the system.
    """)
    if not above:
        return [text]
    lines = _lines(_filled(f"- {_begun(row.title)}: {row.p99_ratio:.2f}x{_machine(row, rows)}.") for row in above)
    return [text, "Above the goal:", lines]


def _machine(row: Row, rows: Sequence[Row]) -> str:
    """Say what the stranger came to that kept about as many cores busy."""
    strangers = [other for other in rows if other.is_stranger]
    if not strangers:
        return ""
    alike = min(strangers, key=lambda other: abs(other.more_cores - row.more_cores))
    return (
        f", with {row.more_cores:+.1f} cores; the stranger nearest to that, {alike.more_cores:+.1f}, "
        f"came to {alike.p99_ratio:.2f}x"
    )


def _filled(text: str) -> str:
    """Return a paragraph, or an item of a list, in lines of one width."""
    indent = "  " if text.startswith("- ") else ""
    words = " ".join(text.split())
    return textwrap.fill(words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _begun(title: str) -> str:
    return title[0].upper() + title[1:]


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    phases = (row.before, row.during, row.after)
    times = [
        "/".join(f"{getattr(each, name):.0f}" for each in phases) for name in ("p50_ms", "p95_ms", "p99_ms", "count")
    ]
    ratios = (f"{ratio:.2f}x" for ratio in (row.p50_ratio, row.p99_ratio, row.p99_after_ratio))
    return row.title, *times, *ratios, f"{row.more_cores:+.1f}"
