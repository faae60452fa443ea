"""`python -m benchmarks.blast`: effect of one misbehaving symbol on the others; `make blast`.

Five symbols play generated candles at a steady pace, each with its own worker. One of them gets each known fault in
turn. The decisions of the other four are timed before, during and after it.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.blast_cases import Case, cases, joined
from benchmarks.blast_page import PAGE, page, table
from benchmarks.blast_rig import Phase, Rig
from benchmarks.blast_row import Figures, Row, Terms
from tests.fixtures.servers.redis_server import RedisServer
from trading.structs import asdict

WARM_UP_S = 5.0
LAST_WORDS_S = 2.0
"""Time after the last phase for its late decisions."""

PATIENCE = 4
"""Most phases of a case that ends by itself."""
DEFAULT_S, DEFAULT_ROUNDS, DEFAULT_RATE = 9.0, 2, 4.0


@dataclass(frozen=True, slots=True)
class Span:
    """A case and its phases: one of each kind for each round."""

    case: Case
    before: list[Phase] = field(default_factory=list)
    during: list[Phase] = field(default_factory=list)
    after: list[Phase] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


class NothingToPlay(Exception):
    """No case could be played."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blast", description=__doc__)
    parser.add_argument("--seconds", type=float, default=DEFAULT_S, help="length of each phase")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="number of rounds of all cases")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="candles a second of each symbol")
    parser.add_argument("--only", default="", help="cases whose title contains this text")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, to standard output")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} in docs/")
    given = parser.parse_args(arguments)
    if given.seconds < 1 or given.rounds < 1 or given.rate <= 0:
        parser.error(
            f"found --seconds {given.seconds:g}, --rounds {given.rounds}, --rate {given.rate:g}; "
            "allowed are seconds and rounds of 1 or more, and a rate above 0"
        )
    terms = Terms(given.seconds, given.rounds, given.rate)
    console = Console(stderr=True)
    load = f"{os.getloadavg()[0]:.1f}"
    try:
        rows, left_out = measure(terms, only=given.only, console=console)
    except NothingToPlay as error:
        parser.error(str(error))
    if given.json:
        Console(soft_wrap=True).print_json(json.dumps([asdict(row) for row in rows]))
    else:
        Console().print(table(rows))
    for row in rows:
        if row.told:
            console.print(f"{row.title}: {row.told}")
    for title, why in left_out.items():
        console.print(f"left out: {title}: {why}")
    if given.write:
        load += f" before and {os.getloadavg()[0]:.1f} at the end"
        PAGE.write_text(page(rows, left_out, terms, load=load), encoding="utf-8")
        console.print(f"written: {PAGE.name}")
    return 0


def measure(terms: Terms, *, only: str, console: Console) -> tuple[list[Row], dict[str, str]]:
    """Play all cases on a Redis, a ledger and workers of their own.

    Args:
        only: Part of the titles of the cases to play.

    Returns:
        A row for each case, and the titles of those that could not be played, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="trading-blast-") as folder:
        server = RedisServer(Path(folder)).start()
        try:
            rig = Rig(Path(folder), server, rate=terms.rate)
            selected = [context for context in cases(rig) if only in context.title]
            left_out = {context.title: why for context in selected if (why := context.missing())}
            to_play = [context for context in selected if context.title not in left_out]
            if not to_play:
                titles = ", ".join(context.title for context in cases(rig))
                raise NothingToPlay(f"--only {only!r}: found no such title; expected part of one of {titles}")
            console.print("starting; each case lasts two phases")
            with rig.running():
                spans = _play(rig, to_play, terms, console)
                rig.let_pass(LAST_WORDS_S)
        finally:
            server.stop()
    return [_row(rig, span) for span in spans], left_out


def _play(rig: Rig, to_play: Sequence[Case], terms: Terms, console: Console) -> list[Span]:
    """Play quiet phases and cases alternately: the phase after one case is the phase before the next."""
    spans = [Span(context) for context in to_play]
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        phases = 2 * len(spans) * terms.rounds + 1
        bar = progress.add_task("quiet", total=WARM_UP_S + terms.seconds * phases)

        def tick(passed_s: float) -> None:
            progress.advance(bar, passed_s)

        rig.let_pass(WARM_UP_S, tick=tick)
        quiet = rig.let_pass(terms.seconds, tick=tick)
        for span in spans * terms.rounds:
            rig.wait_for_faulty_symbol()
            progress.update(bar, description=span.case.title)
            span.before.append(quiet)
            span.during.append(_harmed(rig, span.case, terms.seconds, tick))
            span.results.append(span.case.result())
            progress.update(bar, description="quiet")
            quiet = rig.let_pass(terms.seconds, tick=tick)
            span.after.append(quiet)
    return spans


def _harmed(rig: Rig, context: Case, seconds: float, tick: Callable[[float], None]) -> Phase:
    context.begin()
    during = rig.let_pass(seconds, step=context.step, tick=tick)
    for _ in range(PATIENCE - 1):
        if not context.is_over():
            during = during.then(rig.let_pass(seconds, step=context.step))
    context.end()
    return during


def _row(rig: Rig, span: Span) -> Row:
    before, during, after = (_figures(rig, phases) for phases in (span.before, span.during, span.after))
    results = joined([results for results in span.results if results])
    return Row(span.case.title, span.case.kind, before, during, after, results)


def _figures(rig: Rig, phases: Sequence[Phase]) -> Figures:
    latencies_ms = np.array([latency_s for phase in phases for latency_s in rig.of(phase)]) * 1000
    if not len(latencies_ms):
        raise RuntimeError("found a phase without decisions; use longer phases, or a faster machine")
    p50_ms, p95_ms, p99_ms = np.percentile(latencies_ms, [50, 95, 99]).tolist()
    busy_cores = sum(phase.busy_cores * phase.lasted_s for phase in phases) / sum(phase.lasted_s for phase in phases)
    return Figures(len(latencies_ms), p50_ms, p95_ms, p99_ms, busy_cores)


if __name__ == "__main__":
    raise SystemExit(main())
