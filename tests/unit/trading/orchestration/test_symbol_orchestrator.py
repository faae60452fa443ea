"""The orchestrator of one symbol: recovery, quarantine, and what an operator asks for."""

from tests.unit.trading.orchestration.memory_symbol import NAMES, MemorySymbol, orchestrator
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState, SymbolState


def published_events(symbol: MemorySymbol) -> list[str]:
    return [event.type.value.removeprefix("ORCHESTRATOR_") for event in symbol.events]


def test_strategy_that_always_raises_ends_in_quarantine_and_a_person_brings_it_back() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.parts[2].error = "ValueError: no"
    for _ in range(40):
        symbol.step()
        one.recover()

    assert symbol.actions == [*["restart services"] * 3, "restart symbol and worker", "quarantine: step_failed"]
    assert one.state == SymbolState.QUARANTINED.value
    assert published_events(symbol)[0] == "STARTED"
    assert [kind for kind in published_events(symbol) if kind in ("ERROR", "QUARANTINED")][-1] == "QUARANTINED"
    assert published_events(symbol).count("SERVICE_STOPPED") == 3

    assert one.clear_quarantine("mended")
    assert one.state == SymbolState.RECOVERING.value
    assert symbol.actions[-1] == "restart symbol"
    symbol.parts[2].error = ""
    symbol.step()
    one.recover()
    assert one.state == SymbolState.RUNNING.value


def test_quarantine_that_is_cleared_begins_the_ladder_from_its_foot() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.parts[2].error = "ValueError: no"
    for _ in range(40):
        symbol.step()
        one.recover()
    one.clear_quarantine()
    symbol.actions.clear()
    for _ in range(40):
        symbol.step()
        one.recover()

    assert symbol.actions == [*["restart services"] * 3, "restart symbol and worker", "quarantine: step_failed"]


def test_restart_that_helps_is_reported_and_the_state_goes_through_recovering() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    one.recover()
    symbol.parts[0].error = ""
    symbol.step()
    one.recover()

    assert published_events(symbol) == ["STARTED", "ERROR", "RECOVERING", "SERVICE_STOPPED", "STARTED"]
    assert symbol.actions == ["restart services", "retract_incident"]
    assert one.state == SymbolState.RUNNING.value


def test_without_auto_restart_what_is_unhealthy_is_only_reported() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol, heals=False)
    symbol.parts[0].error = "ValueError: no"
    for _ in range(10):
        symbol.step()
        one.recover()

    assert symbol.actions == []
    assert one.state == SymbolState.ERROR.value
    assert published_events(symbol) == ["ERROR"]


def test_check_that_another_has_overtaken_does_nothing() -> None:
    symbol = MemorySymbol()
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    symbol.overtaken = True

    assert orchestrator(symbol).recover() is None
    assert symbol.actions == []
    assert symbol.events == []


def test_silence_while_nobody_watched_is_no_issue() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    symbol.at_ms += 8 * 3_600_000
    one.recover()
    first = list(symbol.actions)
    for _ in range(200):
        symbol.at_ms += 60_000
        one.recover()

    assert first == [], "the system was away for the night"
    assert symbol.actions[0] == "restart symbol and worker", "now it is up, and still nothing moves"


def test_symbol_requested_to_run_after_a_long_stop_is_given_time() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.stop()
    for _ in range(300):
        symbol.at_ms += 60_000
        one.recover()
    one.start()
    symbol.at_ms += 60_000
    one.recover()

    assert symbol.actions == ["start"]


def test_pause_resume_and_stop_are_states_at_once_and_reported_once() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    one.start()
    one.pause("news")
    one.pause("news again")
    one.resume()
    one.stop("done")
    one.start()

    assert published_events(symbol) == ["STARTED", "PAUSED", "RESUMED", "STOPPED", "STARTED"]
    assert symbol.events[1].reason == "news"
    assert symbol.events[1].details == {"before": "running"}


def test_pause_of_a_unhealthy_symbol_is_kept_and_does_not_hide_the_issue() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.parts[0].error = "ValueError: no"
    symbol.step()
    one.recover()
    one.pause()

    assert one.desired is DesiredState.PAUSED
    assert one.state.value in ("error", "recovering")
    symbol.parts[0].error = ""
    symbol.step()
    one.recover()
    assert one.state == SymbolState.PAUSED.value


def test_health_of_a_symbol_has_the_keys_of_the_document() -> None:
    symbol = MemorySymbol()
    symbol.step()
    one = orchestrator(symbol)
    one.recover()
    symbol.step(0.5)
    health = one.check_health()

    assert {key: health[key] for key in ("symbol", "state", "is_healthy", "healthy_services", "total_services")} == {
        "symbol": "XAUUSD",
        "state": "running",
        "is_healthy": True,
        "healthy_services": 4,
        "total_services": 4,
    }
    assert [service["service_name"] for service in health["services"]] == list(NAMES)
    assert health["uptime"] == 30.0


def test_symbol_whose_exit_failed_is_unhealthy_with_the_reason_and_is_not_restarted() -> None:
    symbol = MemorySymbol()
    one = orchestrator(symbol)
    symbol.step()
    one.recover()
    assert one.check_health()["is_healthy"]
    failed = Incident(IncidentKind.EXIT_FAILED, symbol.symbol, "ema", "the venue rejected the exit")
    symbol.incidents = [failed]
    for _ in range(20):
        symbol.step()
        one.recover()

    health = one.check_health()
    assert (health["is_healthy"], health["state"], health["reason"]) == (False, "running", failed.reason)
    assert health["sicknesses"] == [{"kind": "exit_failed", "service": "", "reason": failed.reason}]
    assert symbol.actions == []
    symbol.incidents = []
    assert one.check_health()["is_healthy"]


def test_symbol_with_a_rejected_message_runs_on_and_is_not_well() -> None:
    symbol = MemorySymbol(progress_ms=1_000_000, rejected="incident 7: a message was rejected")
    one = orchestrator(symbol)
    for _ in range(3):
        assert one.recover() is None

    health = one.check_health()
    assert (health["state"], health["is_healthy"]) == (SymbolState.RUNNING.value, False)
    assert health["sicknesses"] == [{"kind": "message_rejected", "service": "", "reason": symbol.rejected}]
    assert symbol.actions == []
