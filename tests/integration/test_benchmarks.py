"""`make bench` works: a few rounds of it, on a real worker. What it measures is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.chain_cost import NOOP, SCENARIOS

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def test_bench_of_a_few_rounds_tells_a_cost_of_each_kind_of_chain() -> None:
    argv = [sys.executable, "-m", "benchmarks", "--rounds", str(ROUNDS), "--warm-up", "0", "--json"]

    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)

    assert ended.returncode == 0, ended.stderr[-2_000:]
    costs = {row["chain"]: row for row in json.loads(ended.stdout)}
    assert set(costs) == {NOOP, *SCENARIOS}
    assert all(row["count"] == ROUNDS and 0 < row["p50_ms"] <= row["p99_ms"] for row in costs.values())
