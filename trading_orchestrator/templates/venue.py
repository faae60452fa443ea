"""A venue: sends orders to the exchange, and reads orders, fills and positions back.

| Method | Required | Change here |
|---|---|---|
| `terms` | yes | `visibility_s`: how long `find` may not show an order that was sent |
| `submit` | yes | the same `client_order_id` twice must place one order; stop and target go with the entry |
| `cancel` | yes | an order that has ended is returned as it is; one never sent is `Rejected` |
| `move_stop` | yes, if a strategy or an exit rule moves stops | modify the stop in place; else raise `Rejected` |
| `find` | yes | None only when the exchange is sure that it has no such order |
| `sync` | yes | an exchange with its own market ignores `candles`, and returns its newest fill sequence |
| `fills` | yes | each fill once, by ascending `sequence`; `fill_id` is unique over all symbols |
| `positions` | yes | one for each symbol and strategy; where an exchange nets them, trade one strategy a symbol |
| `open_orders` | yes | those of other programs too |
| `clock_ms` | yes | the clock of the exchange, in real time |
| `quoted_spread` | optional | ask minus bid now, in quote currency; `risk.max_spread` needs it |

Each method raises `Rejected` when the exchange refuses, and `Transient` when its answer is not known: `Client` does so.
`trading.ports.venue.Venue` states each promise, and `tests/test_venue.py` checks them.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from trading.market.candles import Candles
from trading.orders.orders import Fill, OpenOrder, OrderRequest, VenueOrder, VenuePosition
from trading.ports.venue import VenueTerms
from trading_orchestrator.plugins import VenueConfig, VenueContext, VenuePlugin
from trading_orchestrator.templates.client import Client


class AcmeVenue:
    """The order interface of the exchange; it implements `trading.ports.venue.Venue`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def terms(self) -> VenueTerms:
        return VenueTerms(visibility_s=0.0)

    def submit(self, request: OrderRequest) -> VenueOrder:
        return self._client.call("submit", {"order": request}, VenueOrder)

    def cancel(self, client_order_id: str) -> VenueOrder:
        return self._client.call("cancel", {"client_order_id": client_order_id}, VenueOrder)

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        self._client.call("move_stop", {"entry_id": entry_id, "stop_loss": stop_loss, "open_ms": open_ms}, type(None))

    def find(self, client_order_id: str) -> VenueOrder | None:
        found: VenueOrder | None = self._client.call(
            "find",
            {"client_order_id": client_order_id},
            VenueOrder | None,  # type: ignore[arg-type]  # a union is no class
        )
        return found

    def sync(self, symbol: str, candles: Candles) -> int:
        rows = [[int(at), *row] for at, row in zip(candles.open_ms, candles.values.tolist(), strict=True)]
        return self._client.call("sync", {"symbol": symbol, "candles": rows}, int)

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        return self._client.call("fills", {"symbol": symbol, "after": after}, list[Fill])

    def positions(self) -> Sequence[VenuePosition]:
        return self._client.call("positions", {}, list[VenuePosition])

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        return self._client.call("open_orders", {"symbol": symbol}, list[OpenOrder])

    def clock_ms(self) -> int:
        return self._client.call("clock_ms", {}, int)


class AcmeVenueConfig(VenueConfig):
    """The settings of the venue in symbols.yaml."""

    kind: Literal["acme"] = Field(description="acme: orders go to the Acme exchange.")
    url: str = Field(pattern=r"^https?://", description="Address of the order interface.")


def open_venue(context: VenueContext[AcmeVenueConfig]) -> dict[str, AcmeVenue]:
    """Open a venue for each symbol."""
    return {symbol: AcmeVenue(Client(config.url)) for symbol, config in context.configs.items()}


VENUE = VenuePlugin(config=AcmeVenueConfig, open=open_venue)
