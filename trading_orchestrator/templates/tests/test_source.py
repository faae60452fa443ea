"""The source passes the contract of every candle source, on the stand-in for the exchange."""

import threading
from collections.abc import Iterator

import pytest

from trading_orchestrator.templates.client import Client
from trading_orchestrator.templates.exchange import Exchange, ExchangeServer
from trading_orchestrator.templates.source import AcmeSource
from trading_orchestrator.testing import MINUTE_MS, START_MS, SYMBOL, ManualClock
from trading_orchestrator.testing.contracts.source import SourceContract, Stage


class TestAcmeSource(SourceContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        now = ManualClock(START_MS + MINUTE_MS // 2)
        with ExchangeServer(Exchange([SYMBOL], now_ms=now)) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            yield Stage(AcmeSource(Client(server.url), "1m"), "1m", after_ms=START_MS - 5 * MINUTE_MS)
            server.shutdown()
