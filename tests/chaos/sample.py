"""The quick part of the matrix, as a test of one database."""

import os
from pathlib import Path

import pytest

from tests.chaos.half import run_half
from tests.chaos.kill_points.places import LISTED, Target
from tests.chaos.plan import KillPlan
from tests.chaos.systems.postgres import KillablePostgres

KILLS = 32
SEED = 20_261_122


def assert_sample_is_clean(database: str, folder: Path) -> None:
    """Kill a while in every stage, and fail with what differs."""
    if database == "postgresql":
        _need_postgresql()
    faults: list[str] = []

    outcome = run_half(
        KillPlan(database, KILLS, SEED, is_quick=True), lambda news: faults.append(str(news)), parent=folder
    )

    assert outcome.differences == [], "\n".join(faults)
    assert len(outcome.kills) >= KILLS
    assert {kill.place.partition(".")[0] for kill in outcome.kills} == set(LISTED)
    expected_targets = set(Target) - (set() if database == "postgresql" else {Target.POSTGRESQL})
    assert {kill.target for kill in outcome.kills} == expected_targets
    assert not outcome.unlisted, f"reached, but in no table, so never killed there: {sorted(outcome.unlisted)}"
    assert outcome.counts["looks"] >= KILLS // 10


def _need_postgresql() -> None:
    try:
        KillablePostgres().stop()
    except Exception as error:  # whatever keeps it from starting is the reason to skip
        if os.environ.get("CI"):
            raise
        pytest.skip(f"PostgreSQL does not start here: {error!r}")
