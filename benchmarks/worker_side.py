"""What the benchmark adds to a worker: Celery's own no-op chain, a market of one candle a tick, and a bell at the end."""

from dataclasses import replace
from typing import Any

import pandas as pd
from celery.signals import task_success
from pydantic import Field

import tasks.runtime
from adapters.redis_client import connect
from configs.settings import load_settings, resolve_redis_url
from tasks import app
from trading.candles import Candles
from trading.indicators import Indicator, ema
from trading.ports import Bars, CandleSource
from trading.strategies import Signals, Strategy

DONE = "benchmark:done"
NOOP_STAGES = ("benchmark.fetch", "benchmark.indicators", "benchmark.strategy", "benchmark.execute")

_client = connect(resolve_redis_url(load_settings()))
_open_source = tasks.runtime.open_source


def _noop(name: str) -> None:
    @app.task(name=name)
    def step(message: str | None = None, **_: Any) -> str:
        return "ok"


for _name in NOOP_STAGES:
    _noop(_name)


@task_success.connect
def ring(sender: Any, **_: Any) -> None:
    """Tell the benchmark that a chain is over, from its last step; the same for both kinds of chain."""
    if not sender.request.chain and sender.request.root_id:
        _client.lpush(DONE, sender.request.root_id)


class OneCandleATick:
    """A source that never has more: live, a chain handles the candle that has just closed, and that is all there is."""

    def __init__(self, source: CandleSource) -> None:
        self._source = source

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        return replace(self._source.newest(count, after_ms=after_ms), more=False)

    def history(self, until_ms: int, *, count: int) -> Candles:
        return self._source.history(until_ms, count=count)

    def since(self, after_ms: int, *, limit: int) -> Bars:
        return replace(self._source.since(after_ms, limit=limit), more=False)


def _one_candle_a_tick(*args: Any, **kwargs: Any) -> CandleSource:
    return OneCandleATick(_open_source(*args, **kwargs))


tasks.runtime.open_source = _one_candle_a_tick


class Hold(Strategy):
    """Buys whenever it is asked and never leaves: after its first entry a position is open at every candle."""

    slow: int = Field(default=50, ge=2, le=500, description="Bars of the average that it computes like the others do.")

    def indicators(self) -> dict[str, Indicator]:
        return {"slow": ema(self.slow)}

    def signals(self, rows: pd.DataFrame) -> Signals:
        is_first = (rows.index.to_numpy() // 60_000) % 1_000_000 == 0
        return Signals(len(rows)).buy(is_first, reason="hold")


class Flip(Strategy):
    """Turns round at every candle: the dearest chain there is, two orders and two fills each time."""

    def indicators(self) -> dict[str, Indicator]:
        return {"slow": ema(50)}

    def signals(self, rows: pd.DataFrame) -> Signals:
        is_even = (rows.index.to_numpy() // 60_000) % 2 == 0
        return Signals(len(rows)).buy(is_even, reason="even minute").sell(~is_even, reason="odd minute")
