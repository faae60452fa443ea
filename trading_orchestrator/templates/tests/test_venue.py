"""The venue passes the contract of every venue, on the stand-in for the exchange."""

import threading
from collections.abc import Iterator

import pytest

from trading.errors import Transient
from trading_orchestrator.templates.client import Client
from trading_orchestrator.templates.exchange import Exchange, ExchangeServer
from trading_orchestrator.templates.venue import AcmeVenue
from trading_orchestrator.testing import OTHER, SYMBOL, CandleMarket
from trading_orchestrator.testing.contracts.venue import Market, VenueContract


class TestAcmeVenue(VenueContract):
    @pytest.fixture
    def market(self) -> Iterator[Market]:
        with ExchangeServer(Exchange([SYMBOL, OTHER])) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            yield CandleMarket(AcmeVenue(Client(server.url)))
            server.shutdown()


def test_venue_without_an_exchange_raises_transient() -> None:
    with ExchangeServer(Exchange([SYMBOL])) as server:
        url = server.url

    with pytest.raises(Transient):
        AcmeVenue(Client(url)).positions()
