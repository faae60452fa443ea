"""Additions of the benchmark to a worker: Celery's own no-op chain, one candle per tick, a signal at the end."""

from typing import Any

from celery.signals import task_success

import tasks.engine.worker_context
from adapters.redis.client import connect
from adapters.wiring import pipeline
from benchmarks.names import DONE, NOOP_STAGES
from configs.settings import load_settings, resolve_redis_url
from tasks import app
from tasks.engine.stages import RECONCILE
from trading.market.candles import Candles
from trading.ports.candle_source import Bars, CandleSource
from trading.structs import replace

_client = connect(resolve_redis_url(load_settings()))
_open_source = pipeline.open_source


def _noop(name: str) -> None:
    @app.task(name=name)
    def step(message: str | None = None, **_: Any) -> str:
        return "ok"


for _name in NOOP_STAGES:
    _noop(_name)


@task_success.connect
def ring(sender: Any, **_: Any) -> None:
    """Report the end of a chain to the benchmark, from its last step; the same for both kinds of chain."""
    if not sender.request.chain and sender.name != RECONCILE:
        _client.lpush(DONE, sender.request.root_id)


class OneCandleATick:
    """A source that never has more candles: a live chain handles only the candle that has just closed."""

    def __init__(self, source: CandleSource) -> None:
        self._source = source

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        return replace(self._source.newest(count, after_ms=after_ms), has_more=False)

    def history(self, until_ms: int, *, count: int) -> Candles:
        return self._source.history(until_ms, count=count)

    def since(self, after_ms: int, *, limit: int) -> Bars:
        return replace(self._source.since(after_ms, limit=limit), has_more=False)

    def close(self) -> None:
        self._source.close()


def _one_candle_a_tick(*args: Any, **kwargs: Any) -> CandleSource:
    return OneCandleATick(_open_source(*args, **kwargs))


tasks.engine.worker_context.open_source = _one_candle_a_tick  # type: ignore[attr-defined]  # the one place where it is looked up
