"""The exit hook of a strategy: its rows, its answers and its errors."""

from typing import Any

import pytest

from tests.fakes import Databases, Desk, PlannedStrategy, planned, system_config
from tests.unit.trading.exits.exit_desks import AT_CLOSE, BUY, SHOWN, WARM, WILFUL_PARAMS, make_desk, resting, rising
from trading.errors import Broken
from trading.events.event import EventType
from trading.events.messages import IndicatorsUpdated, SignalGenerated
from trading_orchestrator.testing.candles import make_candles


class TestHook:
    """A hook that exits, seen through both kinds of fills."""

    @pytest.mark.parametrize("fill_at", ["close", "next_open"])
    def test_exit_by_a_hook_is_decided_like_a_close_and_names_the_rule(
        self, databases: Databases, fill_at: str
    ) -> None:
        desk = self.desk(databases, {"kind": "paper", "fill_at": fill_at})

        desk.play(WARM + 60)

        exits = [text for text in desk.journal.values() if text.startswith("close ") and "manage_position" in text]
        assert exits
        rows = [row for row in desk.ledger.decisions(limit=1_000) if row["reason"] in exits]
        assert len(rows) == len(exits)
        assert {(row["checks"][0]["rule"], row["outcome"]) for row in rows} == {("exit_rule", "accepted")}
        generated = [one for one in desk.events_of(EventType.SIGNAL_GENERATED) if "manage_position" in one.reason]
        assert len(generated) == len(exits)

    def test_hook_that_would_risk_more_than_the_entry_is_refused_and_the_stop_stays(self, databases: Databases) -> None:
        desk = self.desk(databases, AT_CLOSE)

        desk.play(WARM + 80)

        refused = [text for text in desk.journal.values() if "the stop that the entry came with" in text]
        assert refused
        assert all(text.startswith("the stop stays at ") for text in refused)
        assert any(": nan is no price of a stop: manage_position: no price" in text for text in desk.journal.values())

    def test_hook_gets_its_row_through_json_too(self, databases: Databases) -> None:
        desk = self.desk(databases, AT_CLOSE)
        seen: list[SignalGenerated] = []
        desk.pipeline.bus.subscribe(lambda event: seen.append(event) if isinstance(event, SignalGenerated) else None)

        desk.play(WARM + 20)

        message = next(one for one in seen if one.rows is not None)
        assert SignalGenerated.model_validate_json(message.model_dump_json()) == message
        assert message.rows is not None
        assert message.rows.open_ms.tolist() == message.candles.open_ms.tolist()

    def desk(self, databases: Databases, venue: dict[str, Any]) -> Desk:
        config = system_config(WILFUL_PARAMS, venue=venue)
        desk = Desk(databases, config, make_candles(140, seed=6), shown=WARM)
        desk.advance()
        return desk


def test_rows_do_not_travel_where_no_strategy_has_a_hook(databases: Databases) -> None:
    desk = make_desk(databases, {SHOWN: BUY})
    seen: list[object] = []
    desk.pipeline.bus.subscribe(seen.append)

    desk.play(SHOWN + 3)

    assert any(isinstance(one, IndicatorsUpdated) for one in seen)
    assert {one.rows for one in seen if isinstance(one, SignalGenerated)} == {None}


def test_error_of_a_hook_is_an_error_of_the_stage_and_the_stop_stays(databases: Databases) -> None:
    name = "tests.unit.trading.exits.test_exit_hook:Wrong"
    config = system_config(planned({SHOWN: BUY}, stop_distance=2.0) | {"name": name}, venue=AT_CLOSE)
    desk = Desk(databases, config, rising(), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 1)

    with pytest.raises(Broken, match="allowed: ExitNow, MoveStop with a number as its stop_loss, and None"):
        desk.advance(show=1)

    assert resting(desk) == [103.0]


class Wrong(PlannedStrategy):
    """Answers a bare number."""

    def manage_position(self, row: object, position: object) -> float:
        return 1.0
