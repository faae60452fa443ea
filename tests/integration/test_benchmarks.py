"""`make bench` and `make blast` work: a little of each, on real workers, without a check of the figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chain_cost import CHAINS

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "benchmarks", "--rounds", str(ROUNDS), "--json", *options]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.long
@pytest.mark.timeout(250)
def test_bench_of_a_few_rounds_reports_a_cost_of_each_kind_of_chain() -> None:
    ended = bench()

    assert ended.returncode == 0, ended.stderr[-2_000:]
    costs = {row["chain"]: row for row in json.loads(ended.stdout)}
    assert set(costs) == set(CHAINS)
    assert all(row["count"] == ROUNDS and 0 < row["p50_ms"] <= row["p99_ms"] for row in costs.values())


@pytest.mark.long
def test_bench_whose_windows_are_not_full_measures_nothing() -> None:
    ended = bench("--warm-up", "0")

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "give a longer --warm-up" in ended.stderr


@pytest.mark.long
@pytest.mark.timeout(250)
def test_blast_of_one_case_times_the_other_symbols_before_during_and_after_it() -> None:
    options = ("--seconds", "2", "--rounds", "1", "--rate", "2", "--only", "hung in tasks.strategy", "--json")

    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.blast", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr[-2_000:]
    [row] = json.loads(ended.stdout)
    assert (row["title"], row["kind"]) == ("hung in tasks.strategy", "symbol")
    assert row["told"] != "0 steps hung"
    for phase in ("before", "during", "after"):
        figures = row[phase]
        assert figures["count"] >= 1
        assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
