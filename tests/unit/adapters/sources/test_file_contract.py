"""The contract of a played source holds for the file source."""

from pathlib import Path

import pytest

from adapters.sources.file import FileSource
from adapters.sources.playback_clock import MemoryAnchorStore
from tests.fixtures.candle_files import write_candles
from tests.unit.adapters.sources.played_candles import CANDLES
from trading_orchestrator.testing.contracts.source import PlayedSourceContract, Stage
from trading_orchestrator.testing.manual_clock import ManualClock


class TestFileSourceAtFullSpeed(PlayedSourceContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        source = FileSource(write_candles(tmp_path / "x.csv", CANDLES), "XAUUSD", "1m")
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[30]), truth=CANDLES)


class TestFileSourceBeforeABreak(PlayedSourceContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        source = FileSource(write_candles(tmp_path / "x.csv.gz", CANDLES), "XAUUSD", "1m", step=10)
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[29]), truth=CANDLES)


class TestFileSourceWithAClock(PlayedSourceContract):
    @pytest.fixture(params=[20.5, 40.5, 43.0, 71.99, 130.0])
    def stage(self, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
        wall = ManualClock()
        path = write_candles(tmp_path / "x.csv", CANDLES)
        source = FileSource(path, "XAUUSD", "1m", 60, now_ms=wall, anchors=MemoryAnchorStore())
        source.newest(1, after_ms=None)
        wall.now_ms += int(request.param * 1_000)
        return Stage(source, "1m", after_ms=int(CANDLES.open_ms[15]), truth=CANDLES)
