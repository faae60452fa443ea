"""Beat while its configuration changes: it continues with the applied one, and keeps the old one if that is faulty."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from adapters.redis.applied_config import AppliedConfig
from configs.fetch_interval import PROMPT_S
from configs.loading import load_system
from configs.snapshot import content_of
from tasks.engine.routing import CONTROL_QUEUE
from tests.fixtures.apps.system import TradingSystem
from tests.integration.beat.beats import Beat


def edit(system: TradingSystem, symbols: dict[str, Any]) -> None:
    path = system.folder / "configs" / "symbols.yaml"
    path.write_text(yaml.safe_dump({"account": dict(system.account), "symbols": symbols}), encoding="utf-8")


def apply(beat: Beat) -> None:
    """Put in force what the files say."""
    folder = beat.system.folder / "configs"
    applied = AppliedConfig(beat.client, beat.system.settings.namespace)
    content = content_of(load_system(folder), folder)
    assert applied.apply(content, seen=applied.revision(), renewed=()) is not None


def test_beat_given_another_configuration_continues_with_it_and_disturbs_no_other_slot(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()
    beat.tick()
    symbols = {name: dict(one) for name, one in beat.system.symbols.items()}
    symbols["GBPUSD"] = symbols.pop("EURUSD")
    symbols["BTCUSD"]["source"] = {**symbols["BTCUSD"]["source"], "speed": "max"}
    edit(beat.system, symbols)

    beat.tick()
    assert beat.sent("GBPUSD") == [], "edited, and not applied"
    apply(beat)
    with caplog.at_level(logging.INFO, "beat.scheduler"):
        for _ in range(3):
            beat.tick()

    assert [one.kind for one in beat.sent("GBPUSD")] == ["tick", "reconcile"]
    ticks = Counter(message_id.split(":")[1] for message_id in beat.ticks())
    assert (ticks["XAUUSD"], ticks["EURUSD"]) == (1, 1)
    assert ticks["BTCUSD"] >= 2, "another rhythm begins at once"
    assert f"BTCUSD:{PROMPT_S:g}s" in caplog.text
    assert len(beat.sent(CONTROL_QUEUE)) == 2


def test_beat_given_a_configuration_that_is_faulty_reports_it_once_and_keeps_the_old_one(
    make_beat: Callable[..., Beat], caplog: pytest.LogCaptureFixture
) -> None:
    beat = make_beat()
    beat.tick()
    symbols = {name: dict(one) for name, one in beat.system.symbols.items()}
    edit(beat.system, {**symbols, "GBPUSD": symbols["EURUSD"]})
    apply(beat)
    edit(beat.system, {**symbols, "GBPUSD": {"timeframe": "7x"}})

    for _ in range(3):
        beat.scheduler._looked_s = 0.0  # it looks again each second
        beat.tick()

    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "timeframe" in errors[0].getMessage()
    assert set(beat.ticks().values()) == {1}
    assert beat.sent("GBPUSD") == []
    edit(beat.system, {**symbols, "GBPUSD": symbols["EURUSD"]})
    beat.scheduler._looked_s = 0.0
    beat.tick()
    assert [one.kind for one in beat.sent("GBPUSD")] == ["tick", "reconcile"]
