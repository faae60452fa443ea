"""The results as tables: for the terminal, as JSON, and as `docs/reference/kill-matrix.md`."""

import platform
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tests.chaos.kill_points.places import LISTED, Target
from tests.chaos.plan import Wanted, cells
from trading_orchestrator.launcher.embedded_redis import find_program

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kill-matrix.md"

_INTRO = """\
# The kill matrix

Written by `make chaos`; do not edit.

Real workers, a real beat, a real Redis and real databases play candles, and one process at a time is killed with
`kill -9` while the code stands at a named place: before, inside and after every write and every call of the venue, in
every stage of the chain. It comes back after a moment, the symbols go on, and every few kills all books are compared
with an undisturbed run of the same candles through the same services in one process: journal, decisions, orders, fills
and positions in the ledger, and orders, fills, positions and cash at the venue. The venue injects faults throughout
([inject faults](../how-to/inject-faults.md)): it times out before and after it has taken an order, answers nonsense,
shows fills late, twice and out of order, rejects, and fills in parts.

What it shows: **at most one live order per decision, and every decision is accounted for.**
"""

_LIMITS = """\
## What it does not cover

- Loss of power or a crash of the machine: the kernel lives on, so what was written but not yet synced is kept.
- A process that is frozen, not killed, in the middle of a send: what it has handed to the network still arrives.
- The loss of Redis with its files, a network that is cut, a disk that is full.
- Two processes killed in the same moment.
- Setting and clearing a quarantine, and flattening: too seldom to wait for. Tests in one process cut their writes.
- Restarts by the health ladder: they are switched off, so that nothing but the system's own recovery is seen.
- Venues other than the paper venue behind the lying one.
- Event streams: a worker that dies between the ledger's commit and Redis does not publish what it has booked.
"""


def summary(outcomes: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Return all that a run came to, JSON-safe."""
    kills = [kill for outcome in outcomes for kill in outcome["kills"]]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "versions": versions(outcomes),
        "kills": len(kills),
        "places": len({kill["place"] for kill in kills}),
        "took_s": max((outcome["took_s"] for outcome in outcomes), default=0.0),
        "databases": {outcome["database"]: _half(outcome) for outcome in outcomes},
        "recovery_s": {target: _percentiles(kills, target) for target in (*Target, "all")},
        "table": _table(kills),
        "differences": [text for outcome in outcomes for text in outcome["differences"]],
        "unlisted": sorted({place for outcome in outcomes for place in outcome["unlisted"]}),
    }


def versions(outcomes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what ran."""
    told = subprocess.run([str(find_program()), "--version"], capture_output=True, text=True, check=True).stdout
    servers = [outcome["server"] for outcome in outcomes if outcome["server"]]
    return {
        "python": platform.python_version(),
        "celery": version("celery"),
        "kombu": version("kombu"),
        "redis server": " ".join(told.split()[:3]),
        "sqlite": sqlite3.sqlite_version,
        **({"postgresql": servers[0]} if servers else {}),
    }


def page(found: Mapping[str, Any]) -> str:
    """Return the results as the text of `docs/reference/kill-matrix.md`."""
    lines = [_INTRO, "## The last run", "", f"- {found['at']}, seed {found['seed']}, {_minutes(found['took_s'])}"]
    lines.append("- " + ", ".join(f"{name} {text}" for name, text in found["versions"].items()))
    lines.append(f"- {found['kills']:,} kills at {found['places']} places")
    for name, half in found["databases"].items():
        lines.append(
            f"- {name}: {half['kills']:,} kills, {half['cells_done']} of {half['cells']} cells, "
            f"{half['looks']} comparisons, {half['differences']} that differed; {half['second_looks']} agreed only at "
            "a second look three candles later, once an order that was on its way had arrived on both sides"
        )
    lines += ["", _counts(found), "", "Kills by stage and by what was killed:", "", *_markdown(found["table"]), ""]
    lines += ["Time from the kill until the symbol that stood there has decided a further candle, in seconds:", ""]
    lines += _recovery(found["recovery_s"])
    lines += ["", "## Not reached", "", *_not_reached(found["databases"]), "", _LIMITS]
    return "\n".join(lines)


def _counts(found: Mapping[str, Any]) -> str:
    if found["differences"]:
        return f"**{len(found['differences'])} comparisons differed: see what the run printed.**"
    return "0 duplicate orders, 0 orphans, 0 candles lost, doubled or reordered, 0 books that differ."


def _half(outcome: Mapping[str, Any]) -> dict[str, Any]:
    every = cells(Wanted(outcome["database"], 0, 0))
    done = {(kill["place"], kill["target"]) for kill in outcome["kills"]}
    missed = sorted({tuple(cell) for cell in outcome["missed"]} - done)
    return {
        "kills": len(outcome["kills"]),
        "cells": len(every),
        "cells_done": len(done),
        "looks": outcome["looks"],
        "second_looks": outcome["second_looks"],
        "differences": len(outcome["differences"]),
        "not_reached": missed,
        "not_tried": len(every) - len(done | set(missed)),
    }


def _percentiles(kills: Sequence[Mapping[str, Any]], target: str) -> dict[str, float] | None:
    took_s = [kill["recovery_s"] for kill in kills if target in ("all", kill["target"])]
    if not took_s:
        return None
    p50, p99 = np.percentile(took_s, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(max(took_s), 2)}


def _table(kills: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    counted = Counter((kill["place"].partition(".")[0], kill["target"]) for kill in kills)
    return {stage: {target.value: counted[stage, target.value] for target in Target} for stage in LISTED}


def _markdown(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    heads = [target.value for target in Target]
    rows = [f"| {stage} | {' | '.join(str(row[head] or '') for head in heads)} |" for stage, row in table.items()]
    return [f"| stage | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}", *rows]


def _recovery(found: Mapping[str, Mapping[str, float] | None]) -> list[str]:
    rows = [f"| {name} | {took['p50']} | {took['p99']} | {took['max']} |" for name, took in found.items() if took]
    return ["| killed | p50 | p99 | max |", "|---|---:|---:|---:|", *rows]


def _not_reached(databases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, half in databases.items():
        places: dict[str, list[str]] = {}
        for place, target in half["not_reached"]:
            places.setdefault(place, []).append(target)
        lines += [f"- {name}: `{place}` ({', '.join(targets)})" for place, targets in places.items()]
        if half["not_tried"]:
            lines.append(f"- {name}: {half['not_tried']} cells were not tried, the number of kills was reached before")
    return lines or ["Every cell was reached."]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes"
