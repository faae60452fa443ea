"""A candle source: polls the exchange for the candles of one symbol, in real time.

| Method | Required | Change here |
|---|---|---|
| `newest` | yes | the newest bars, the forming one last; `as_of_ms` is the market time of the answer |
| `history` | yes | closed candles alone, up to and including `until_ms` |
| `since` | yes | the oldest candles after `after_ms`; `has_more` when `limit` cut them |
| `close` | yes | drops connections; the next call opens them again |
| `place_of` | optional | file and line of a candle, for errors; a source of recorded candles has it |

Each method raises `Transient` when the exchange does not answer: `Client` does so. A candle that has closed never
changes, and the forming one shows nothing later than `as_of_ms`. `trading.ports.candle_source.CandleSource` states each
promise, and `tests/test_source.py` checks them.
"""

from typing import Annotated, Literal

from msgspec import Struct
from pydantic import Field

from trading.market.candles import Candles
from trading.market.timeframes import Timeframe
from trading.ports.candle_source import Bars
from trading_orchestrator.plugins import SourceConfig, SourceContext, SourcePlugin
from trading_orchestrator.templates.client import Client


class Answer(Struct, array_like=True):
    """Market time of the answer, and the candles as `Candles.from_rows` takes them, oldest first."""

    as_of_ms: int
    rows: list[tuple[int, float, float, float, float, float]]


class AcmeSource:
    """The market data interface of the exchange; it implements `trading.ports.candle_source.CandleSource`."""

    def __init__(self, client: Client, timeframe: str) -> None:
        self._client = client
        self._grid = Timeframe.parse(timeframe)

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        as_of_ms, candles = self._read(count)
        return Bars(candles, as_of_ms)

    def history(self, until_ms: int, *, count: int) -> Candles:
        as_of_ms, candles = self._read(count + 1, end_ms=until_ms)  # the last one may be forming
        closed = int(self._grid.closes(candles.open_ms).searchsorted(as_of_ms, side="right"))
        return candles[:closed][-count:]

    def since(self, after_ms: int, *, limit: int) -> Bars:
        as_of_ms, candles = self._read(limit + 1, start_ms=after_ms + 1)
        return Bars(candles[:limit], as_of_ms, has_more=len(candles) > limit)

    def close(self) -> None:
        """Keep nothing: `Client` opens a connection for each call."""

    def _read(self, limit: int, **bounds: int) -> tuple[int, Candles]:
        answer = self._client.call("candles", {"bar_ms": self._grid.length_ms, "limit": limit, **bounds}, Answer)
        return answer.as_of_ms, Candles.from_rows(answer.rows)


class AcmeSourceConfig(SourceConfig):
    """The settings of the source in symbols.yaml."""

    kind: Literal["acme"] = Field(description="acme: candles of the Acme exchange.")
    url: str = Field(pattern=r"^https?://", description="Address of the market data interface.")
    speed: Annotated[float, Field(strict=True, gt=0)] = Field(
        default=1.0,
        description="Seconds of market time in one real second: 1, but for the stand-in.",
    )

    @property
    def pace(self) -> float | None:
        return self.speed


def open_source(context: SourceContext[AcmeSourceConfig]) -> AcmeSource:
    """Open the source of one symbol."""
    return AcmeSource(Client(context.config.url), context.timeframe)


SOURCE = SourcePlugin(config=AcmeSourceConfig, open=open_source)
