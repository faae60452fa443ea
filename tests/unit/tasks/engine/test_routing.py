"""Routing: steps to their symbol's queue, control tasks to their own, and later steps first."""

import pytest

from tasks.engine.routing import CONTROL_QUEUE, PATIENT, PRIORITY_STEPS, URGENT, route
from tasks.engine.stages import FIRST_STAGE, FLATTEN, RECONCILE, RESOLVE, STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_route_of_a_step_is_the_queue_of_its_symbol(stage: str) -> None:
    found = route(stage, ("{json}",), {"symbol": "XAUUSD", "deadline_ms": 1}, {})

    assert found is not None
    assert found["queue"] == "XAUUSD"


def test_route_of_a_fetch_called_by_hand_takes_the_first_argument() -> None:
    assert route(FIRST_STAGE, ["BTCUSD", 1], None, {}) == {"queue": "BTCUSD", "priority": PATIENT}


def test_route_lets_a_chain_end_before_the_next_tick_begins() -> None:
    priorities = [(route(stage, None, {"symbol": "XAUUSD"}, {}) or {})["priority"] for stage in STAGES]

    assert priorities == [PATIENT, URGENT, URGENT, URGENT]
    assert set(priorities) == set(PRIORITY_STEPS)
    assert URGENT < PATIENT  # lower is first on Redis


@pytest.mark.parametrize("name", ["tasks.pause_symbol", "tasks.restart_symbol", "tasks.status", "tasks.pause_all"])
def test_route_of_a_control_task_is_the_control_queue_whatever_its_symbol(name: str) -> None:
    assert route(name, ["XAUUSD"], {"symbol": "XAUUSD"}, {}) == {"queue": CONTROL_QUEUE, "priority": URGENT}


@pytest.mark.parametrize("name", [RECONCILE, FLATTEN, RESOLVE])
def test_route_of_what_queries_the_venue_is_the_symbols_own_queue_between_two_chains(name: str) -> None:
    assert route(name, None, {"symbol": "XAUUSD"}, {}) == {"queue": "XAUUSD", "priority": PATIENT}


def test_route_of_an_incident_to_resolve_without_its_symbol_is_the_control_queue() -> None:
    assert route(RESOLVE, [7], {"reason": "seen"}, {}) == {"queue": CONTROL_QUEUE, "priority": URGENT}


@pytest.mark.parametrize("name", ["celery.backend_cleanup", "other.fetch"])
def test_route_of_what_is_not_ours_is_left_alone(name: str) -> None:
    assert route(name, ["XAUUSD"], {}, {}) is None
